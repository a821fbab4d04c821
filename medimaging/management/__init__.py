"""Administrative commands of the platform."""
