"""From files to integer sequences on disk: encodings, dataset folders, named sets, preprocessing."""
