"""From files to sequences of integers on disk, and from there to batches.

`source_files` finds files, `music_dataset` and `text_dataset` read and encode them,
`dataset_writer` writes the dataset folder, all in one pass that `preprocessing` begins; `dataset`
opens it, `batches` pads its sequences, and `augmentation` varies them. `named` has the datasets
with a name.
"""
