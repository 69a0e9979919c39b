"""What we know of stations and do to them: connections, inventory, status, and the life of every command."""
