"""What the templates ask of this app's rows."""
