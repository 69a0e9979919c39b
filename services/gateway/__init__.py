"""The gateway: where stations connect."""
