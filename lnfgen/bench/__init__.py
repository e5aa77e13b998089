"""How fast models sample and train on this machine: what `lnfgen bench` measures, for Python too."""
