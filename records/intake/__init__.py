"""From bytes that somebody sent to an object that can be filed. Touches no rows."""
