"""Model versions, classifications, reviews, and the workflow between them."""
