"""The one REST interface: reads SQL for what is and ClickHouse for what was, writes requests and commands."""
