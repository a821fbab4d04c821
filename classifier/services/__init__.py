"""Every write of the classifier app."""
