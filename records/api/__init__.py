"""The records part of the REST API."""
