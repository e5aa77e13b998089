"""The states of a key in a frame with onsets, as `lnfgen.conventions` numbers them."""

SILENT = 0
HELD = 1
STRUCK = 3
