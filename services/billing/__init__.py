"""What charging costs: tariffs, bills and their documents."""
