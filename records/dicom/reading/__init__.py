"""From bytes that somebody sent to what they say and hold. Nothing here changes a file."""
