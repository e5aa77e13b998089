"""Polyphonic music: the piano-roll, and the file formats that it is read from and written to."""
