"""From files to sequences of integers on disk, and from there to batches.

The way of a file: `gather` finds it, `rolls` or `texts` reads and encodes it, `prepared` holds the result, `storage`
writes and opens it, `batches` pads it. `resolve` is where commands begin; `named` has the datasets with a name.
"""
