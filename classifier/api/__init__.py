"""The REST API of the classifier app."""
