"""What the templates of all apps may ask for."""
