"""What the templates of records may ask for."""
