"""Pictures of runs and of measurements: what `lnfgen plot` and `lnfgen bench --plot` draw, for Python too."""
