"""From files to sequences of integers on disk, and from there to batches.

`gather` finds files, `rolls` and `texts` read and encode them, `prepared` writes the dataset
folder, all in one pass that `prepare` begins; `dataset` opens it, `batches` pads it. `named` has
the datasets with a name.
"""
