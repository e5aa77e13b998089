"""MIDI files that tests write as hexdumps."""

import struct

END = "00 FF 2F 00"


def midi(*tracks: str, kind: int = 1, division: int = 4) -> bytes:
    """A file of tracks in hexadecimal; by default a tick is a step."""
    content = b"MThd" + struct.pack(">LHHH", 6, kind, len(tracks), division & 0xFFFF)
    for track in tracks:
        data = bytes.fromhex(track)
        content += b"MTrk" + struct.pack(">L", len(data)) + data
    return content
