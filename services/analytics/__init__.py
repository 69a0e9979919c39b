"""What was: every record of every topic in ClickHouse, exactly once in effect."""
