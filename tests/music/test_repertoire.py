"""Pieces with the numbers of their songs."""

from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.repertoire import Repertoire


def _piece(pitch: int) -> PianoRoll:
    return PianoRoll.from_notes([(0, 4, pitch)])


def test_each_piece_is_a_song_where_nothing_else_is_known() -> None:
    pieces = [_piece(60), _piece(61)]
    found = Repertoire.of(iter(pieces))
    assert found.pieces == pieces
    assert list(found.songs) == [0, 1]
    assert len(found) == 2
    assert Repertoire.of(found) is found


def test_the_pieces_of_a_song_are_together() -> None:
    pieces = [_piece(pitch) for pitch in (60, 61, 62, 63)]
    songs = Repertoire(pieces, [7, 2, 7, 2]).of_each_song()
    assert songs == [[pieces[0], pieces[2]], [pieces[1], pieces[3]]]
