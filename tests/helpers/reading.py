"""The one piece that a file of a test holds."""

from collections.abc import Sequence

from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song


def one_song(pieces: Sequence[Song] | Sequence[str]) -> Song:
    """The song that is the only one of these pieces."""
    (song,) = pieces
    assert isinstance(song, Song)
    return song


def one_roll(pieces: Sequence[Song] | Sequence[str]) -> PianoRoll:
    """The roll of the song that is the only one of these pieces."""
    return one_song(pieces).roll
