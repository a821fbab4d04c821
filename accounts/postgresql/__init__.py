"""Django's PostgreSQL, by which nobody waits for a server that says nothing."""
