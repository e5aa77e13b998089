"""Models of discrete sequences. `build` builds one from its configuration."""
