"""Reference data: sites, stations, id tokens and API keys, each with its version."""
