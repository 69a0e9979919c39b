from tests.sql_fixture import migrated, postgres, postgres_url, sql_url, sqlite_url

__all__ = ["migrated", "postgres", "postgres_url", "sql_url", "sqlite_url"]
