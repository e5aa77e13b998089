"""Wishes: what they accept and measure, and that the pieces drawn towards them have what was
wanted."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import Call
from toy_music import song_of_band

import lnfgen
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.inference.wishes import FAR, Wishes, numbers, wishes_for
from lnfgen.music.figures import music_figures
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tonality import find_key
from lnfgen.runs.trained import TrainedModel

MUSIC = Encoding("music", steps_per_quarter=2, lowest_pitch=36, num_pitches=49, has_onsets=True)
TEXT = Encoding("text", vocabulary=tuple("\ufffd\nABCDEFGKM:/68|abc"))
TUNE = PianoRoll.from_notes(
    [(2 * i, 2, 60 + pitch) for i, pitch in enumerate((0, 4, 7, 5, 4, 2, 7, 12))]
)


def wanted(*want: str, encoding: Encoding = MUSIC) -> Wishes:
    return wishes_for(want, encoding)


def held(piece: PianoRoll | str, *want: str) -> list[bool]:
    encoding = TEXT if isinstance(piece, str) else MUSIC
    return [found["held"] for found in wanted(*want, encoding=encoding).report(piece).values()]


def test_wishes_hold_for_the_pieces_that_have_them() -> None:
    yes = (
        "key=C",
        "key=C major",
        "mode=major",
        "top=C4..C5",
        "top=..C5",
        "bass=C4..",
        "notes_per_bar=8",
    )
    assert all(
        held(
            TUNE, *yes, "leaps=0", "note_length=0.5", "scale_consistency=0.9..1", "top_pitch=64..65"
        )
    )
    no = (
        "key=G",
        "key=Cm",
        "mode=minor",
        "top=C4..B4",
        "bass=D4..",
        "notes_per_bar=..7",
        "leaps=1..2",
    )
    assert not any(held(TUNE, *no, "ends=cadence", "note_length=0.6..", "close_distance=0..9"))
    chord = PianoRoll.from_notes([(0, 4, pitch) for pitch in (48, 55, 64, 72)])
    assert held(chord, "ends=cadence") == [True]
    assert wanted("metre=4/4").report(TUNE) == {"metre=4/4": {"value": "4/4", "held": True}}
    assert held(TUNE, "metre=3/4") == [False]
    assert wanted("key=C").report(PianoRoll.from_notes([], num_steps=4)) == {
        "key=C": {"value": None, "held": False}
    }
    tune = "K:Am\nM:6/8\nabc|abc"
    assert all(held(tune, "key=A minor", "key=A", "metre=6/8", "line_length=5..6"))
    assert not any(held(tune, "key=A major", "key=G", "metre=3/4", "line_length=6.."))
    assert not any(held("K:Ador", "key=A")), "its line is not whole"


def test_the_distance_is_that_from_the_nearest_value_and_grows_in_weight() -> None:
    assert wanted("notes_per_bar=10..12").distance(TUNE) == 2
    assert wanted("notes_per_bar=10..12").distance(TUNE, 0.5) == 0.25
    assert wanted("top=D4..B4").distance(TUNE, 0.25) == 3, "what follows does not mend it"
    assert wanted("ends=cadence").distance(TUNE, 0.9) == 0
    assert wanted("ends=cadence").distance(TUNE) == 1
    silent = PianoRoll.from_notes([], num_steps=8)
    assert wanted("note_length=1").distance(silent, 0.5) == 0
    assert wanted("note_length=1").distance(silent) == FAR
    assert not wanted("metre=3/4").steers
    assert wanted("metre=3/4").time_signature == (3, 4)
    assert 0 < wanted("key=Em").distance(TUNE) < wanted("key=F#").distance(TUNE) <= FAR


def test_each_figure_of_compare_is_a_wish_and_a_piece_is_like_itself(tmp_path: Path) -> None:
    assert set(music_figures(4)) <= set(numbers("music"))
    for name, figure in music_figures(4).items():
        assert figure.unit > 0
        wishes = wanted(f"{name}=0..1")
        value = figure.value(TUNE)
        assert wishes.report(TUNE)[f"{name}=0..1"]["held"] == (0 <= value <= 1), name
    lnfgen.write(tmp_path / "scale.mid", TUNE)
    like = wanted(f"like={tmp_path / 'scale.mid'}")
    (read,) = lnfgen.read(tmp_path / "scale.mid", steps_per_quarter=2)
    assert len(like.wishes) > 10
    assert wishes_for({"like": tmp_path / "scale.mid"}, MUSIC).distance(read) == 0
    assert like.distance(read) == 0
    assert like.distance(PianoRoll.from_notes([(0, 16, 40), (0, 16, 47)], num_steps=16)) > 10


def test_a_band_has_wishes_for_its_parts_and_is_like_itself() -> None:
    song = song_of_band(1)
    band = replace(MUSIC, parts=song.parts)
    wishes = wanted("drums_repeat_rate=0.5..", "bass_polyphony=3..", encoding=band)
    assert [found["held"] for found in wishes.report(song).values()] == [True, False]
    like = wishes_for({"like": song}, band)
    assert like.distance(song) == 0
    assert like.distance(song_of_band(1, wrong=0.5)) > 1
    with pytest.raises(LnfgenError, match="drums_repeat_rate=1"):
        wanted("drums_repeat_rate=1")


@pytest.mark.parametrize(
    ("want", "said"),
    [
        ("speed=3", "the wish speed=3; expected one of key, mode, metre, top"),
        ("key", "the wish key=; expected a tonic"),
        ("key=H", "the wish key=H; expected a tonic"),
        ("mode=dorian", "expected major or minor"),
        ("metre=3/5", "expected a time signature"),
        ("top=C9", "pitches that leave some of C2 to C6 free"),
        ("top=..C1", "pitches that leave some of C2 to C6 free"),
        ("bass=C7..", "pitches that leave some of C2 to C6 free"),
        ("bass=C11..", "pitches that leave some of C2 to C6 free"),
        ("top=some", "expected a value or a range, such as 8"),
        ("notes_per_bar=9..8", "expected a value or a range, such as 8"),
        ("notes_per_bar=-3..-1", "not below 0"),
        ("notes_per_bar=1..2..3", "expected a value or a range"),
        ("notes_per_bar=nan", "expected a value or a range"),
        ("chord_rate=1.5..", "a share, at most 1"),
        ("ends=now", "expected ends=cadence"),
        ("like=absent.mid", "absent.mid"),
    ],
)
def test_a_wish_that_cannot_be_is_refused(want: str, said: str) -> None:
    with pytest.raises(LnfgenError, match=said):
        wanted(want)


def test_wishes_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(
        LnfgenError, match=r"the wish bass=C4..; expected pitches that leave some of C2 to C6 free"
    ):
        wanted("top=..C3", "bass=C4..")
    with pytest.raises(LnfgenError, match=r"expected characters that the model writes"):
        wanted("contains=z", encoding=TEXT)
    with pytest.raises(LnfgenError, match=r"expected one of contains, key, metre, line_length"):
        wanted("mode=minor", encoding=TEXT)


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
        assert np.flatnonzero(piece.sounding.any(0)).max() + piece.lowest_pitch <= 76
    assert chorales.sample(count=3, bars=3, seed=2, want=want) == pieces
    free = chorales.sample(count=3, bars=3, seed=2)
    assert chorales.sample(count=3, bars=3, seed=2, want={}) == free


def test_what_is_kept_stays_and_the_rest_has_what_is_wanted(chorales: TrainedModel) -> None:
    melody = PianoRoll.from_notes(
        [(2 * i, 2, 67 + p) for i, p in enumerate((0, 0, 2, 4, 5, 4, 2, 0))], steps_per_quarter=2
    )
    (piece,) = chorales.harmonize(melody, seed=1, want=["bass=G2..", "ends=cadence"])
    assert isinstance(piece, PianoRoll)
    assert np.array_equal(
        piece.edge_keys(True)[:16] + piece.lowest_pitch,
        melody.edge_keys(True) + melody.lowest_pitch,
    )
    assert all(
        found["held"]
        for found in wishes_for(["bass=G2..", "ends=cadence"], chorales.encoding)
        .report(piece)
        .values()
    )
    with pytest.raises(
        LnfgenError, match=r"what is kept has C5, which the wishes for top and bass leave out"
    ):
        chorales.harmonize(melody, want=["top=..B4"])
    with pytest.raises(LnfgenError, match=r"keeps its time signature"):
        chorales.harmonize(melody, want=["metre=3/4"])


def test_what_is_hardly_ever_reached_ends_with_the_nearest_piece(chorales: TrainedModel) -> None:
    with pytest.warns(
        LnfgenWarning,
        match=r"^the piece does not have note_length=9\.\.inf, but [0-9.]+: it is the nearest",
    ):
        (piece,) = chorales.sample(bars=1, seed=1, want={"note_length": (9, math.inf)}, seconds=0)
    assert isinstance(piece, PianoRoll)


def test_a_text_has_the_words_that_are_wanted() -> None:
    model = lnfgen.load("folk-abc", "cpu")
    with warnings.catch_warnings():
        warnings.simplefilter("error", LnfgenWarning)
        (text,) = model.sample(length=40, seed=3, want={"contains": "ABcd"}, seconds=0)
    assert isinstance(text, str)
    assert "ABcd" in text
    with pytest.raises(
        LnfgenError, match=r"the wish contains=ABcd; found no 4 free characters in a row"
    ):
        model.sample(length=3, seed=3, want={"contains": "ABcd"})


def test_the_commands_tell_which_wishes_hold(tmp_path: Path, toy_home: Path, call: Call) -> None:
    asked = (
        "--bars",
        "2",
        "--seed",
        "1",
        "--out",
        "w.mid",
        "--want",
        "top=..C7",
        "--want",
        "notes_per_bar=0..",
        "--json",
    )
    done = call("sample", "run-rolls", *asked)
    assert done.returncode == 0, done.stderr
    (piece,) = json.loads(done.stdout)["pieces"]
    assert [found["held"] for found in piece["wishes"].values()] == [True, True]
    assert list(piece["wishes"]) == ["top=..C7", "notes_per_bar=0.."]
    listed = json.loads(call("list", "--figures", "--json").stdout)["figures"]
    assert {"drums_repeat_rate"} == {
        row["name"] for row in listed if row["is"] == "drums: bars that came before"
    }
    assert {
        "name": "leaps",
        "of": "music",
        "is": "top line: moves over a fifth, count",
        "within": 0.5,
    } in listed
