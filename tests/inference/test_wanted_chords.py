"""Chords that are wished for: where they are, and pieces that have them."""

import json
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from command import Call
from toy_charts import GRID, PIANO, blocks

import lnfgen
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError, LnfgenWarning
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_part
from lnfgen.inference.wanted_chords import (
    clash_remarks,
    home_of_chart,
    on_chords,
    wanted_changes,
    wanted_spans,
)
from lnfgen.inference.wish_reading import wishes_for
from lnfgen.music.chart import parse_chart
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.runs.trained import TrainedModel


@pytest.fixture(scope="module")
def chorales() -> TrainedModel:
    return lnfgen.load("chorales", "cpu")


def test_a_chart_begins_in_the_first_bar_that_is_drawn() -> None:
    drawn = np.zeros((32, 1, 128), np.bool_)
    drawn[19:] = True  # from within the third bar on
    roll = blocks("C", 4).in_range(0, 128)
    changes = wanted_changes(parse_chart("Dm G"), Song(roll, drawn=drawn))
    assert [(start, str(chord)) for start, chord in changes] == [(8, "Dm"), (12, "G")]
    assert wanted_changes(parse_chart("Dm G"), Song(roll))[0].start == 0


def test_a_chart_ends_with_the_last_bar_that_is_drawn() -> None:
    """What is kept after it is not asked to have these chords, and clashes with none."""
    notes = [(16 * bar, 16, 60) for bar in range(6)]
    part = known_part(MusicEncoding(), PianoRoll.from_notes(notes), ["bars:2-3"])
    assert isinstance(part, KnownMusic)
    chart = parse_chart("F# B")
    song = replace(part.song, drawn=part.hidden_cells)
    assert [(span.start, span.end) for span in wanted_spans(chart, song)] == [(16, 32), (32, 48)]
    assert clash_remarks(chart, part) == []


def test_no_chord_asks_for_nothing() -> None:
    spans = wanted_spans(parse_chart("C N.C."), Song(blocks("C", 2)))
    assert [(span.start, span.end) for span in spans] == [(0, 8)]


def test_what_is_kept_may_clash() -> None:
    roll = blocks("Db", 2)
    part = known_part(PIANO, roll, ["keys:C4-C5"])
    assert isinstance(part, KnownMusic)
    assert clash_remarks(parse_chart("C"), part) == [
        "what is kept clashes with the chords in bars 1, 2; it stays as it is"
    ]
    assert clash_remarks(parse_chart("Db"), part) == []


def test_music_on_its_chords_has_them() -> None:
    chart = parse_chart("C Am/C | F Dm7 | G7 | C")
    roll = blocks("C Am/C | F Dm7 | G7 | C", 8)
    assert on_chords(chart, roll) == ({"bars": 1.0, "basses": 1.0}, 0.0)


def test_a_persons_own_notes_do_not_count() -> None:
    """Neither in the bars, nor where a bass of theirs is the lowest note."""
    chart = parse_chart("C")
    kept = blocks("F#", 2)
    drawn = np.zeros((16, 1, 128), np.bool_)
    assert on_chords(chart, Song(kept, drawn=drawn))[0] is None
    drawn[:, :, 72:] = True
    notes = [(0, 16, pitch) for pitch in (36 + 6, 72, 76)]
    both = PianoRoll.from_notes(notes, steps_per_quarter=GRID, num_steps=16)
    assert on_chords(chart, Song(both)) == ({"bars": 0.0, "basses": 0.0}, 1.8)
    assert on_chords(chart, Song(both, drawn=drawn)) == ({"bars": 1.0}, 0.0)
    drawn[:, :, 36:48] = True
    assert on_chords(chart, Song(both, drawn=drawn))[0] == {"bars": 0.0, "basses": 0.0}


@pytest.mark.parametrize(
    ("text", "home"),
    [
        ("C Am F G7", "C major"),
        ("Am Dm E7 Am", "A minor"),
        ("F#m D A E", "F# minor"),
        ("D A E A", "A major"),
        ("Bb Gm Cm7 F7", "Bb major"),
    ],
)
def test_chords_have_a_home(text: str, home: str) -> None:
    assert str(home_of_chart(parse_chart(text))) == home


def test_a_chart_without_chords_has_no_home() -> None:
    assert home_of_chart(parse_chart("N.C.")) is None


@pytest.mark.parametrize("text", ["C Am F G7", "Gm | D7/F# Gm | Cm D"])
def test_samples_have_their_chords(chorales: TrainedModel, text: str) -> None:
    want = {"chords": text}
    choices = list(chorales.draw(1, bars=4, seed=1, want=want, tries=8))
    for choice in choices:
        assert not choice.is_steered, "the first draws have them"
        assert isinstance(choice.piece, PianoRoll)
        value, distance = on_chords(parse_chart(text), choice.piece)
        assert distance == 0, value
        assert wishes_for(want, chorales.encoding).report(choice.piece) == {
            f"chords={text}": {"value": value, "held": True}
        }
    again = chorales.sample(1, bars=4, seed=1, want=want, tries=8)
    assert again == [choice.piece for choice in choices], "the same again"


def test_a_melody_is_harmonised_by_chords(chorales: TrainedModel) -> None:
    pitches = (67, 67, 69, 67, 65, 64, 62, 60)
    notes = [(2 * place, 2, pitch) for place, pitch in enumerate(pitches)]
    melody = PianoRoll.from_notes(notes, steps_per_quarter=2)
    (song,) = chorales.harmonize(melody, seed=1, want=["chords=C F | G7 C"])
    assert isinstance(song, Song)
    line = song.roll.edge_keys(True)[:16] + song.roll.lowest_pitch
    assert np.array_equal(line, melody.edge_keys(True) + melody.lowest_pitch)
    spans = wanted_spans(parse_chart("C F | G7 C"), song)
    struck = song.roll.sounding[:, 0]
    lowest = [(int(struck[span.start].argmax()) + song.roll.lowest_pitch) % 12 for span in spans]
    assert sum(found == span.bass for found, span in zip(lowest, spans, strict=True)) >= 3
    with pytest.warns(LnfgenWarning, match=r"clashes with the chords in bar 1; it stays as it is"):
        chorales.harmonize(melody, seed=1, want=["chords=F#m | C"], tries=1)


@pytest.mark.parametrize(
    ("want", "said"),
    [
        (
            ["chords=C H7"],
            r"the wish chords=C H7: 'H7' is no chord symbol; expected one such as C, F#m7 or Bb/D",
        ),
        (["chords="], r"found no chord; expected at least one, as in C Am \| F G7"),
        (["chords=C", "chords=G"], r"one chart for a piece, but found chords=C too"),
    ],
)
def test_wishes_for_chords_that_cannot_be_are_refused(
    chorales: TrainedModel, want: list[str], said: str
) -> None:
    with pytest.raises(LnfgenError, match=said):
        chorales.sample(bars=1, want=want)


@pytest.fixture(scope="module")
def songs() -> TrainedModel:
    return lnfgen.load("band", "cpu")


@pytest.mark.slow
def test_a_band_over_a_chart_plays_as_many_notes_as_a_free_one(songs: TrainedModel) -> None:
    """Its bass and its chords do not fall silent to be right."""
    chart = "C Am F G7"
    asked = songs.sample(6, bars=4, seed=3, want={"chords": chart}, tries=4)
    for piece in asked:
        value, distance = on_chords(parse_chart(chart), piece)
        assert distance == 0, value
    free_pieces = songs.sample(6, bars=4, seed=3)
    for role in ("bass", "chords"):
        number = songs.encoding.roles.index(role)
        num_free = sum(int(piece.struck()[:, number].sum()) for piece in free_pieces)
        num_asked = sum(int(piece.struck()[:, number].sum()) for piece in asked)
        assert num_asked > num_free / 2


def test_a_kept_part_of_a_band_stays(songs: TrainedModel) -> None:
    melody = PianoRoll.from_notes([(0, 8, 72), (8, 8, 73)], steps_per_quarter=4)
    (song,) = songs.harmonize(melody, seed=1, want={"chords": "F C"}, tries=1)
    assert isinstance(song, Song)
    number = song.roll.roles.index("melody")
    line = song.roll.part(number)
    assert line.notes() == melody.notes()


def test_the_command_says_how_much_of_the_chords_is_there(call: Call) -> None:
    words = ("--bars", "2", "--seed", "1", "--out", "c.mid", "--json")
    done = call("sample", "chorales", *words, "--want", "chords=C | G7 C")
    assert done.returncode == 0, done.stderr
    (piece,) = json.loads(done.stdout)["pieces"]
    found = piece["wishes"]["chords=C | G7 C"]
    assert set(found["value"]) == {"bars", "basses"}
    assert piece["steered"] is False
    refused = call("sample", "chorales", *words, "--want", "chords=C Q")
    assert refused.returncode == 1
    assert refused.stderr.count(b"\n") == 1
    assert Fraction(found["value"]["bars"]) <= 1
