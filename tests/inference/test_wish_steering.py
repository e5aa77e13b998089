"""Pieces that are drawn towards wishes have what was wanted, as far as the tries suffice."""

import itertools
import json
import math
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from command import Call
from toy_bands import FOUR, band_encoding
from toy_models import toy
from toy_music import band

import lnfgen
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_part import known_part
from lnfgen.inference.wishes import wishes_for
from lnfgen.models.observation import Frames
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.tonality import find_key
from lnfgen.runs.trained import TrainedModel


@pytest.fixture(scope="module")
def chorales() -> TrainedModel:
    return lnfgen.load("chorales", "cpu")


def test_pieces_are_drawn_towards_wishes(chorales: TrainedModel) -> None:
    want = {"mode": "minor", "top": "..E5"}
    pieces = chorales.sample(count=3, bars=3, seed=2, want=want)
    for piece in pieces:
        assert isinstance(piece, PianoRoll)
        found = find_key(piece)
        assert found is not None
        assert found.mode == "minor"
        highest = np.flatnonzero(piece.sounding.any(axis=(0, 1))).max()
        assert highest + piece.lowest_pitch <= 76
    assert chorales.sample(count=3, bars=3, seed=2, want=want) == pieces, "the same again"


def test_no_wish_changes_nothing(chorales: TrainedModel) -> None:
    free = chorales.sample(count=3, bars=3, seed=2)
    assert chorales.sample(count=3, bars=3, seed=2, want={}) == free


MELODY = PianoRoll.from_notes(
    [(2 * i, 2, 67 + pitch) for i, pitch in enumerate((0, 0, 2, 4, 5, 4, 2, 0))],
    steps_per_quarter=2,
)


def test_what_is_kept_stays_and_the_rest_has_what_is_wanted(chorales: TrainedModel) -> None:
    want = ["bass=G2..", "ends=cadence"]
    (song,) = chorales.harmonize(MELODY, seed=1, want=want)
    assert isinstance(song, Song)
    line = song.roll.edge_keys(True)[:16] + song.roll.lowest_pitch
    assert np.array_equal(line, MELODY.edge_keys(True) + MELODY.lowest_pitch)
    report = wishes_for(want, chorales.encoding).report(song)
    assert [found["held"] for found in report.values()] == [True, True]
    (again,) = chorales.harmonize(MELODY, seed=1, want=want)
    assert again == song, "the same again"


def test_wishes_that_what_is_kept_cannot_meet_are_refused(chorales: TrainedModel) -> None:
    said = r"what is kept has C5, which the wishes for top and bass leave out"
    with pytest.raises(LnfgenError, match=said):
        chorales.harmonize(MELODY, want=["top=..B4"])
    with pytest.raises(LnfgenError, match=r"keeps its time signature"):
        chorales.harmonize(MELODY, want=["time_signature=3/4"])


def test_what_is_hardly_ever_reached_ends_with_the_nearest_piece(chorales: TrainedModel) -> None:
    want = {"note_length": (9, math.inf)}
    said = r"^the piece does not have note_length=9\.\.inf, but [0-9.]+: it is the nearest"
    with pytest.warns(LnfgenWarning, match=said):
        (piece,) = chorales.sample(bars=1, seed=1, want=want, tries=1)
    assert isinstance(piece, PianoRoll)


def test_a_text_has_the_words_that_are_wanted() -> None:
    model = lnfgen.load("folk-abc", "cpu")
    want = {"contains": "ABcd"}
    with warnings.catch_warnings():
        warnings.simplefilter("error", LnfgenWarning)
        (text,) = model.sample(length=40, seed=3, want=want, tries=1)
    assert isinstance(text, str)
    assert "ABcd" in text
    assert model.sample(length=40, seed=3, want=want, tries=1) == [text], "the same again"
    said = r"the wish contains=ABcd; found no 4 free characters in a row"
    with pytest.raises(LnfgenError, match=said):
        model.sample(length=3, seed=3, want=want)


def test_wishes_for_lines_leave_drums_out() -> None:
    parts = (FOUR[0], FOUR[3])
    model = toy("lstm", Frames(49, True, parts=2), emission="autoregressive")
    encoding = band_encoding(parts)
    piece = band(4, drums=[(0, 1, 36), (0, 1, 81)], melody=[(0, 1, 60)])
    wishes = wishes_for(["top=..C5", "bass=C4.."], encoding)
    part = known_part(encoding, piece, ["steps:2-"])
    (song,) = fill_pieces(model, part, wishes=wishes, particles=8)
    assert isinstance(song, Song)
    assert [report["held"] for report in wishes.report(song).values()] == [True, True]
    drums = [pitch for _, _, pitch in song.roll.notes(0)]
    assert min(drums) < 60
    assert max(drums) > 72
    assert wishes_for({"like": song}, encoding).distance(song) == 0
    with pytest.raises(LnfgenError, match="what is kept has C4"):
        next(fill_pieces(model, part, wishes=wishes_for(["bass=D4.."], encoding)))


def test_the_commands_say_which_wishes_hold(toy_home: Path, call: Call) -> None:
    words = ("--bars", "2", "--seed", "1", "--out", "w.mid", "--json", "--tries", "2")
    wants = ("--want", "top=..C7", "--want", "notes_per_bar=0..")
    done = call("sample", "run-rolls", *words, *wants)
    assert done.returncode == 0, done.stderr
    (piece,) = json.loads(done.stdout)["pieces"]
    # The toy run draws nothing but silence, which has no highest line.
    assert [found["held"] for found in piece["wishes"].values()] == [False, True]
    assert (
        b"the piece does not have top=..C7, but none: it is the nearest of 2 tries" in done.stderr
    )
    assert list(piece["wishes"]) == ["top=..C7", "notes_per_bar=0.."]


def test_wishes_are_listed_with_their_units(call: Call) -> None:
    listed = json.loads(call("list", "--figures", "--json").stdout)["figures"]
    repeats = [row["name"] for row in listed if row["is"] == "drums: bars that came before"]
    assert set(repeats) == {"drums_repeat_rate"}
    leaps = {
        "name": "leaps",
        "of": "music",
        "is": "top line: moves over a fifth, count",
        "within": 0.5,
    }
    assert leaps in listed


def test_no_clock_decides_what_a_seed_gives(
    chorales: TrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a busy machine a piece takes longer, and is the same."""
    want = {"note_length": (9, math.inf)}  # which no try has
    hours = itertools.count(step=3600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LnfgenWarning)
        (usual,) = chorales.sample(bars=1, seed=1, want=want, tries=3)
        monkeypatch.setattr(time, "monotonic", lambda: next(hours))
        (on_a_busy_machine,) = chorales.sample(bars=1, seed=1, want=want, tries=3)
    assert on_a_busy_machine == usual


def test_a_piece_does_not_depend_on_the_others(chorales: TrainedModel) -> None:
    want = {"key": "G"}
    several = chorales.sample(count=4, bars=1, seed=5, want=want)
    assert several[:1] == chorales.sample(bars=1, seed=5, want=want)
    assert several[:3] == chorales.sample(count=3, bars=1, seed=5, want=want)


def test_each_piece_is_there_before_the_next_one_is_begun(chorales: TrainedModel) -> None:
    endless = chorales.draw(10_000_000, bars=1, seed=5, want={"key": "G"})
    assert [next(endless).index, next(endless).index] == [0, 1]
    events: list[str] = []

    def progress(description: str, done: int, total: int) -> None:
        events.append(f"{description} {done} of {total}")

    chorales.harmonize(
        MELODY,
        count=2,
        seed=1,
        tries=1,
        particles=2,
        want={"notes_per_bar": (0, 99)},
        progress=progress,
        drawn=lambda song: events.append("drawn"),
    )
    assert events == ["tries 1 of 2", "drawn", "tries 2 of 2", "drawn"]


def test_tries_are_a_number_from_1_on(chorales: TrainedModel) -> None:
    for wrong in (0, -1, 10**30):
        with pytest.raises(LnfgenError, match=r" tries; expected 1 to 1,000$"):
            chorales.sample(bars=1, want={"key": "G"}, tries=wrong)
