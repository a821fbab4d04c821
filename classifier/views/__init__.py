"""The pages of the classifier app."""
