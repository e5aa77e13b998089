"""Scores for a choir as music21 reads them, and read again they are exactly the piano-roll."""

import io
from fractions import Fraction
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from strategies import bands, rolls
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.notation import bars_of_voice, is_choral, musicxml_bytes, split
from lnfgen.formats.scores import read_score
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll

FOUR = [(start, 4, pitch) for start in range(0, 48, 4) for pitch in (48, 55, 64, 72)]


def parsed(content: bytes) -> Any:
    from music21 import converter

    parser = converter.Converter()
    parser.parseData(content.decode(), format="musicxml", forceSource=True)
    return parser.stream


def test_a_chorale_is_a_score_of_two_staves_with_two_voices_each() -> None:
    from music21 import clef, key, stream

    (roll,) = read_score(chorale(), ".mxl")
    content = musicxml_bytes(roll)
    score = parsed(content)
    assert [part.partName for part in score.parts] == ["Soprano, Alto", "Tenor, Bass"]
    clefs = [part.recurse().getElementsByClass(clef.Clef).first() for part in score.parts]
    assert [type(one).__name__ for one in clefs] == ["TrebleClef", "BassClef"]
    for part in score.parts:
        assert part.recurse().getElementsByClass(key.KeySignature).first().sharps == 3, (
            "Bach's own signature"
        )
        for measure in part.getElementsByClass(stream.Measure):
            assert len(measure.voices) == 2
            for voice, stems in zip(measure.voices, ("up", "down"), strict=True):
                assert {note.stemDirection for note in voice.notes} <= {stems}
    assert read_score(content, ".musicxml") == [roll]


def test_what_is_for_a_choir_and_what_not() -> None:
    assert is_choral(PianoRoll.from_notes([*FOUR, (0, 1, 76)])), "a fifth key at one step of 48"
    assert not is_choral(PianoRoll.from_notes([*FOUR, (0, 8, 76)]))
    assert not is_choral(
        PianoRoll.from_notes([(start, 4, pitch) for start, _, pitch in FOUR if pitch > 60])
    )
    assert not is_choral(PianoRoll.from_notes([], num_steps=4))
    assert len(parsed(musicxml_bytes(PianoRoll.from_notes(FOUR), voices=3)).parts) == 3, (
        "a staff for each when asked"
    )
    over_a_line = parsed(musicxml_bytes(PianoRoll.from_notes([*FOUR[:-4], (44, 8, 72)]), voices=4))
    assert [note.tie.type for note in over_a_line.recurse().notes if note.tie] == ["start", "stop"]


@given(rolls(), st.sampled_from((None, 1, 2, 3, 4)))
# a step of silence used to be no piece
@example(PianoRoll.from_notes([], steps_per_quarter=1), None)
@example(PianoRoll.from_notes([(0, 4, 60)], tempo_bpm=13.0), None)  # used to be 13.000000000000002
def test_any_music_is_the_same_again(roll: PianoRoll, voices: int | None) -> None:
    content = musicxml_bytes(roll, voices=voices)
    assert read_score(content, ".musicxml", steps_per_quarter=roll.steps_per_quarter) == [roll]


@settings(max_examples=settings().max_examples // 3)
@given(bands())
def test_the_parts_of_a_band_with_pitches_are_the_same_again(band: PianoRoll) -> None:
    (again,) = read_score(
        musicxml_bytes(band), ".musicxml", steps_per_quarter=band.steps_per_quarter // band.stride
    )
    assert again == band.merged
    notes = {
        part.role.title(): len(band.part(number).notes()) for number, part in enumerate(band.parts)
    }
    heard = [(name, notes[name]) for name in ("Melody", "Chords", "Bass") if notes.get(name)]
    assert [(track.name, track.notes) for track in again.tracks] == heard


def test_drums_stand_on_a_staff_of_percussion_with_their_midi_keys() -> None:
    drums = [(0, 1, 36), (0, 1, 42), (2, 1, 42), (4, 1, 38), (7, 1, 46), (12, 1, 100)]
    rolls = [PianoRoll.from_notes(notes, num_steps=16) for notes in (drums, [(0, 16, 40)])]
    content = musicxml_bytes(PianoRoll.of_parts(rolls, [Part("drums", 8), Part("bass", 33)]))
    bass, kit = parsed(content).parts
    assert (bass.partName, bass.getInstrument().midiProgram, kit.partName) == ("Bass", 33, "Drums")
    assert type(kit.recurse().getElementsByClass("Clef").first()).__name__ == "PercussionClef"
    written = [
        (
            one.offset,
            one.quarterLength,
            {(drum.displayName, drum.notehead) for drum in getattr(one, "notes", [one])},
        )
        for one in kit.flatten().notes
    ]
    assert written == [  # each up to the next one or to the beat
        (0, 0.5, {("F4", "normal"), ("G5", "x")}),
        (0.5, 0.5, {("G5", "x")}),
        (1, 0.75, {("C5", "normal")}),
        (1.75, 0.25, {("G5", "circle-x")}),
        (3, 1, {("B4", "normal")}),
    ]
    score = ElementTree.fromstring(content)
    (part,) = (part for part in score.iter("score-part") if part.findtext("part-name") == "Drums")
    names = {
        one.get("id"): one.findtext("instrument-name") for one in part.iter("score-instrument")
    }
    assert [*names.values()] == ["kick", "snare", "closed hat", "open hat", "drum 100"]
    midi = {
        one.get("id"): [int(child.text or 0) for child in one]
        for one in part.iter("midi-instrument")
    }
    assert [*midi.values()] == [[10, 9, key + 1] for key in (36, 38, 42, 46, 100)], (
        "channel, program and key, from 1 on"
    )
    played = [midi[one.get("id")][2] - 1 for one in score.iter("instrument")]
    assert played == [key for _, _, key in drums]


def test_a_key_struck_again_within_tied_triplets_stays_struck() -> None:
    notes = [
        (3, 1, 62),
        (7, 3, 61),
        (12, 3, 62),
        (13, 6, 61),
        (15, 5, 62),
        (19, 8, 61),
        (20, 7, 62),
        (27, 6, 61),
    ]
    roll = PianoRoll.from_notes(notes, num_steps=34, steps_per_quarter=3, time_signature=(12, 8))
    assert read_score(musicxml_bytes(roll, voices=1), ".musicxml", steps_per_quarter=3) == [roll]


def test_two_tied_notes_of_one_pitch_in_two_voices_of_a_staff() -> None:
    """They are one key. The second one used to be struck again at the bar line."""
    from music21 import note, stream, tie
    from music21.musicxml.m21ToXml import GeneralObjectExporter

    part = stream.Part()
    for number, kind in ((1, "start"), (2, "stop")):
        measure = stream.Measure(number=number)
        for name in ("1", "2"):
            voice = stream.Voice([note.Note("E4", quarterLength=4)], id=name)
            voice.notes[0].tie = tie.Tie(kind)
            measure.insert(0, voice)
        part.append(measure)
    (roll,) = read_score(
        io.BytesIO(GeneralObjectExporter(stream.Score([part])).parse()).read(), ".musicxml"
    )
    assert roll.notes() == [(0, 32, 64)]


@given(rolls())
def test_bars_are_full(roll: PianoRoll) -> None:
    grid = roll.steps_per_quarter
    bars = bars_of_voice(roll.notes(), roll.num_steps, grid, roll.time_signature)
    length = Fraction(4 * roll.time_signature[0], roll.time_signature[1])
    for symbols in bars:
        ends = [Fraction(0), *(symbol.offset + symbol.length for symbol in symbols)]
        assert [symbol.offset for symbol in symbols] == ends[:-1]
        assert ends[-1] == length or symbols is bars[-1]
    assert sum(symbol.length for symbols in bars for symbol in symbols) == Fraction(
        roll.num_steps, grid
    )


def test_symbols_show_the_beats() -> None:
    half, dotted = Fraction(1, 2), Fraction(3, 2)
    assert split(half, Fraction(1), (4, 4)) == [(half, 1)], "a plain syncopation"
    assert split(dotted, Fraction(1), (4, 4)) == [(dotted, half), (2, half)], (
        "the middle of the bar is seen"
    )
    assert split(half, dotted, (6, 8)) == [(half, 1), (dotted, half)], (
        "the second beat of 6/8 is seen"
    )
    assert split(Fraction(1), Fraction(3), (4, 4)) == [(1, 3)], "a dotted half from the second beat"
    assert split(Fraction(0), Fraction(5, 4), (4, 4)) == [(0, 1), (1, Fraction(1, 4))]


@pytest.mark.parametrize("metre", [(5, 4), (7, 8), (13, 8), (3, 1), (33, 8)])
def test_a_bar_of_rest_is_one_rest_and_read_back_right(metre: tuple[int, int]) -> None:
    bar = 16 * metre[0] // metre[1]
    roll = PianoRoll.from_notes(
        [(0, 4, 60), (3 * bar, 2, 62)], num_steps=3 * bar + 2, time_signature=metre
    )
    content = musicxml_bytes(roll)
    resting = content.decode().split("<measure ")[2:4]
    assert [measure.count("<rest") for measure in resting] == [2, 2], "one for each hand"
    assert all(measure.count('<rest measure="yes"') == 2 for measure in resting)
    assert read_score(content, ".musicxml") == [roll]


def test_a_score_has_the_title_that_it_is_given_and_no_other() -> None:
    roll = PianoRoll.from_notes(FOUR)
    assert b"music21" not in musicxml_bytes(roll).lower().replace(b"<software>music21", b"")
    assert b"title" not in musicxml_bytes(roll)
    assert b"creator" not in musicxml_bytes(roll)
    assert b"<movement-title>My song</movement-title>" in musicxml_bytes(
        roll, title="My \udcff\x07song"
    )


@pytest.mark.parametrize(
    ("notes", "num_steps", "upbeat"),
    [
        *(([], 83, 0), ([(0, 4, 60)], 83, 0), ([(5, 1, 40), (6, 70, 80)], 83, 0)),
        *(([(0, 4, 60)], 40, 0), ([(16, 4, 60)], 64, 16)),  # a whole rest, where a bar has 24 steps
        ([(0, 8, 60), (48, 4, 60)], 72, 0),  # beside an empty staff
    ],
)
def test_silence_stays_as_long_as_it_is(
    notes: list[tuple[int, int, int]], num_steps: int, upbeat: int
) -> None:
    for metre, voices in (((4, 4), None), ((6, 4), 1), ((6, 4), None)):
        roll = PianoRoll.from_notes(notes, num_steps=num_steps, time_signature=metre).with_upbeat(
            upbeat
        )
        assert read_score(musicxml_bytes(roll, voices=voices), ".musicxml") == [roll]


def test_a_score_that_would_take_too_long_names_midi(monkeypatch: pytest.MonkeyPatch) -> None:
    day = PianoRoll.from_notes([(0, 4, 60)], num_steps=24 * 3600 * 8)
    with pytest.raises(
        LnfgenError, match=r"a score of 43,200 bars; expected at most 4,000; write \.mid instead"
    ):
        musicxml_bytes(day)
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "0.3")
    cluster = PianoRoll.from_notes([(0, 16 * 300, pitch) for pitch in range(21, 109)])
    with pytest.raises(
        LnfgenError, match=r"over 0\.3 seconds.*LNFGEN_READ_SECONDS, or write \.mid instead"
    ):
        musicxml_bytes(cluster)
