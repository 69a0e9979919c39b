"""Re-rating: what past sessions come to by another tariff. Overwrites nothing."""
