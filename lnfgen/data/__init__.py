"""From files to sequences of integers on disk, and from there to batches.

`gather` finds files, `rolls` and `texts` read and encode them, `prepared` holds the result, `storage` writes and opens
it, `batches` pads it. Commands begin at `resolve`; `named` has the datasets with a name.
"""
