"""What is true now, in SQL: rows and the offsets they reach change in one database transaction."""
