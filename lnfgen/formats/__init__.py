"""Files of music and text, read and written."""
