"""What the services say to each other. Start with `contracts.topics`."""
