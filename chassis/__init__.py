"""How a service runs."""
