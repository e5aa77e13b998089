"""What is known of a piece, as bits for a model, and which pieces are drawn together."""

from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from toy_bands import TWO, band_encoding
from toy_keys import LOWEST
from toy_models import toy
from toy_music import band

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.inference.block_drawing import (
    MAX_ROW_STEPS,
    MAX_ROWS,
    PieceToDraw,
    block_size,
    known_bits,
)
from lnfgen.inference.known_music import KnownMusic, on_grid
from lnfgen.inference.known_part import known_part
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.observation import Frames, Known, Symbols
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song


def known_key(has_onsets: bool, *words: str) -> tuple[list[str], list[str]]:
    """What is known of a key that sounds from the second step to the third of five.

    A letter for each step: if it sounds, then if it is struck; - is not known.
    """
    encoding = MusicEncoding(has_onsets, lowest_pitch=LOWEST, num_pitches=1, steps_per_quarter=1)
    sounding = np.array([0, 1, 1, 0, 0], np.bool_)[:, None]
    roll = PianoRoll.of_one(sounding, None, lowest_pitch=LOWEST, steps_per_quarter=1)
    hidden = np.zeros((5, 1, 128), np.bool_)
    for word in words:
        hidden[int(word)] = True
    part = KnownMusic.aligned(encoding, on_grid(encoding, roll), hidden)
    known = known_bits(toy("lstm", Frames(1, has_onsets)), part)
    in_words = np.where(known.mask, np.where(known.values, "yes", "no"), "-")
    return in_words[:, 0].tolist(), in_words[:, 1:].ravel().tolist()


def test_a_known_note_begins_and_ends_where_it_did() -> None:
    sounds, struck = known_key(True, "3")
    assert sounds == ["no", "yes", "yes", "-", "no"]
    assert struck[3] == "yes", "if the key sounds after the note, then as another one"
    sounds, struck = known_key(True, "1")
    assert sounds[1] == "yes", "it is held at the next step"
    assert struck[1] == "-"
    sounds, struck = known_key(True, "0", "4")
    assert (sounds[0], sounds[4]) == ("-", "-")
    assert (struck[0], struck[4]) == ("-", "-")


def test_without_onsets_a_known_note_has_silence_around_it() -> None:
    sounds, struck = known_key(False, "0", "3", "4")
    assert sounds == ["no", "yes", "yes", "no", "-"]
    assert struck == []


def test_bits_of_a_step_are_those_of_its_parts() -> None:
    encoding = band_encoding(TWO, num_keys=2)
    piece = band(1, bass=[(0, 1, 22)], melody=[(0, 1, 45)])
    part = known_part(encoding, piece, ["part:bass,keys:A0"])
    known = known_bits(toy("lstm", Frames(2, True, parts=2)), part)
    assert known.mask.tolist() == [[False, True, False, True, True, True, True, True]]
    assert known.values[known.mask].tolist() == [True, True, True, False, True, False]


def test_pieces_that_are_drawn_together_have_one_shape() -> None:
    text = known_part(TextEncoding(("\ufffd", "a", "b")), "a_b", [])
    assert PieceToDraw(text, 0, str).shape == (3, None)
    roll = PianoRoll.from_notes([(0, 4, 60)], time_signature=(3, 4), num_steps=8)
    music = known_part(MusicEncoding(), roll, ["steps:5-"])
    assert PieceToDraw(music, 0, str).shape == (8, (3, 4))
    assert block_size(10, 4) == MAX_ROWS // 4
    assert block_size(10, 2 * MAX_ROWS) == 1
    assert block_size(MAX_ROW_STEPS // 8, 4) == 2


def test_a_known_symbol_is_known() -> None:
    text = known_part(TextEncoding(("\ufffd", "a", "b")), "a_b", [])
    known = known_bits(toy("lstm", Symbols(3)), text)
    assert known.mask.tolist() == [True, False, True]
    assert known.values[known.mask].tolist() == [1, 2]


# Against sums over all that may be hidden.

TOY = band_encoding(TWO, num_keys=2)
CASES = {
    "a melody beside a hidden bass": (
        band(2, bass=[(0, 1, 21)], melody=[(0, 1, 45), (1, 1, 46)]),
        ["part:bass"],
    ),
    "a held bass with a hidden start": (
        band(2, bass=[(0, 2, 21)], melody=[(0, 1, 46), (1, 1, 45)]),
        ["steps:1,part:bass", "steps:2,part:melody"],
    ),
}


def notes_of(roll: PianoRoll) -> set[tuple[int, int, int, int]]:
    """(part, start, length, pitch) of each note."""
    found = set()
    for part in range(roll.num_parts):
        found |= {(part, *note) for note in roll.notes(part)}
    return found


def kept_notes(part: KnownMusic) -> set[tuple[int, int, int, int]]:
    return {
        (number, start, length, pitch)
        for number, start, length, pitch in notes_of(part.song.roll)
        if not part.hidden_cells[start, number, pitch]
    }


def as_heard(x: np.ndarray) -> bytes:
    """The music of these values: a key that is held after silence is struck."""
    return TOY.encode(TOY.decode(x)).tobytes()


@torch.no_grad()
def likely_music(model: SequenceModel, part: KnownMusic) -> Counter[bytes]:
    """How likely each music is that has the known notes, by a sum over all values."""
    kept = kept_notes(part)
    fitting = []
    for bits in product((0, 1, 3), repeat=int(part.hidden.sum())):
        x = part.values.copy()
        x[part.hidden] = bits
        heard = TOY.decode(x)
        is_same = np.array_equal(TOY.encode(heard)[~part.hidden], part.values[~part.hidden])
        if is_same and kept <= notes_of(heard):
            fitting.append(x)
    lengths = torch.full((len(fitting),), part.num_steps)
    log_p = model(torch.tensor(np.array(fitting)), lengths, None).reconstruction[0].double()
    likely = Counter[bytes]()
    for x, p in zip(fitting, log_p.softmax(0).tolist(), strict=True):
        likely[as_heard(x)] += p
    return likely


@pytest.mark.contract
@pytest.mark.parametrize("case", CASES)
def test_draws_are_as_likely_as_sums_over_all_that_may_be_hidden(case: str) -> None:
    piece, words = CASES[case]
    model = toy("lstm", Frames(2, True, parts=2), emission="autoregressive")
    part = known_part(TOY, piece, words)
    assert isinstance(part, KnownMusic)
    likely = likely_music(model, part)
    assert len(likely) > 3
    known = known_bits(model, part)
    count = 1000
    each = Known(
        known.values.expand(count, *known.values.shape), known.mask.expand(count, *known.mask.shape)
    )
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    found = Counter[bytes]()
    for x in draw_hidden(model, each, 16, generators).numpy():
        song = part.decoded(x)
        assert isinstance(song, Song)
        assert kept_notes(part) <= notes_of(song.roll)
        found[as_heard(x)] += 1
    assert set(found) <= set(likely)
    assert sum(abs(found[key] / count - p) for key, p in likely.items()) / 2 < 0.07
