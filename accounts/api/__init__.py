"""The accounts part of the REST API."""
