"""What both encodings answer, and words on what pieces lose in them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding import Encoding, changes_in_words
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.errors import LnfgenError
from lnfgen.formats.text import UNKNOWN
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll

MUSIC = MusicEncoding(steps_per_quarter=2, num_pitches=24, lowest_pitch=60)
TEXT = TextEncoding((UNKNOWN, "a", "b"))
BAND = MusicEncoding(steps_per_quarter=2, num_pitches=49, parts=(Part("drums"), Part("melody")))
ALL = pytest.mark.parametrize("encoding", [MUSIC, TEXT, BAND], ids=["music", "text", "band"])


@ALL
def test_a_sequence_without_steps_is_like_all_others(encoding: Encoding) -> None:
    piece = "ab" if encoding is TEXT else PianoRoll.from_notes([(0, 2, 60)], steps_per_quarter=2)
    sequences, changes = encoding.adapt([piece, piece])
    empty = encoding.no_steps
    assert len(empty) == 0
    for sequence in sequences:
        assert (sequence.dtype, sequence.shape[1:]) == (empty.dtype, empty.shape[1:])
    assert not changes


@ALL
def test_a_blank_piece_has_its_steps(encoding: Encoding) -> None:
    blank = encoding.blank(8, (3, 4))
    if isinstance(blank, PianoRoll):
        assert blank.sounding.shape == (8, max(1, len(encoding.roles)), 128)
        assert (blank.time_signature, blank.roles) == ((3, 4), encoding.roles)
        assert not blank.sounding.any()
    else:
        assert len(blank) == 8


def test_bars_are_steps_of_music_alone() -> None:
    assert MUSIC.steps_of_bars(3, (4, 4)) == 24
    assert MUSIC.steps_of_bars(1, (5, 8)) == BAND.steps_of_bars(1, (5, 8)) == 5
    assert MusicEncoding(steps_per_quarter=1).steps_of_bars(1, (5, 8)) == 3  # rounded up
    with pytest.raises(LnfgenError, match=r"a length in bars \(3\) for text"):
        TEXT.steps_of_bars(3, None)


def test_files_are_read_with_the_options_of_the_dataset() -> None:
    made_with = {"max_length": 64, "tracks": "melody", "chunks": True, "parts": "4"}
    assert MUSIC.reading_options(made_with) == Options(
        kind="music", max_length=64, tracks="melody", steps_per_quarter=2, parts="1"
    )
    assert BAND.reading_options({}).parts == "drums,melody"
    assert TEXT.reading_options(made_with) == Options(kind="text", max_length=64, chunks=True)


@ALL
def test_the_marginal_is_a_distribution(encoding: Encoding) -> None:
    """The probabilities of all values of a step add up to 1."""
    if encoding is TEXT:
        train = [np.array([1, 1, 2], np.int32)]
        values = [np.array([symbol], np.int32) for symbol in range(3)]
    else:
        num_parts = max(1, len(encoding.roles))
        encoding = replace(encoding, num_pitches=1)
        train = [np.array([[3] * num_parts, [1] * num_parts, [0] * num_parts], np.uint8)[..., None]]
        steps = product((0, 1, 3), repeat=num_parts)
        values = [np.array([step], np.uint8)[..., None] for step in steps]
    log_p = encoding.fit_marginal(train)
    assert sum(np.exp(log_p(value)) for value in values) == pytest.approx(1)


def test_changes_in_words() -> None:
    assert changes_in_words(ConversionReport(rounded=1, out_of_range=1, unknown=2)).split("; ") == [
        "rounded 1 start or end of a note to the model's grid",
        "left out 1 note beyond the model's range",
        "took 2 characters not in the model's vocabulary as unknown",
    ]
    assert changes_in_words(ConversionReport()) == ""
