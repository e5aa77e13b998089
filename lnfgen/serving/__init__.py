"""The server of `lnfgen serve`: a page to work on, and the API that the page and scripts use.

`takes.py` keeps takes in a folder, `drawing_queue.py` draws one after the other, and `app.py` has
the routes. Only `app.py`, `event_stream.py`, `security.py` and `server.py` know HTTP.
"""
