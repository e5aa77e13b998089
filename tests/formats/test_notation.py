"""Scores for a choir as music21 reads them, and read again they are exactly the piano-roll."""

from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from own_files import ENCODING
from reading import one_roll, one_song
from strategies import bands, rolls
from toy_music import chorale

from lnfgen.errors import LnfgenError
from lnfgen.formats.notation import musicxml_bytes
from lnfgen.formats.read_write import read_bytes, to_bytes
from lnfgen.formats.scores import read_score
from lnfgen.formats.song import transposed_song
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_part
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.parts import Part
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song

FOUR = [(start, 4, pitch) for start in range(0, 48, 4) for pitch in (48, 55, 64, 72)]


def parsed(content: bytes) -> Any:
    from music21 import converter

    parser = converter.Converter()
    parser.parseData(content.decode(), format="musicxml", forceSource=True)
    return parser.stream


def test_each_voice_has_a_staff_when_asked_and_notes_are_tied_over_bar_lines() -> None:
    three = parsed(musicxml_bytes(PianoRoll.from_notes(FOUR), voices=3))
    assert len(three.parts) == 3
    roll = PianoRoll.from_notes([*FOUR[:-4], (44, 8, 72)])
    over_a_line = parsed(musicxml_bytes(roll, voices=4))
    ties = [note.tie.type for note in over_a_line.recurse().notes if note.tie]
    assert ties == ["start", "stop"]


def test_a_chorale_is_a_score_of_two_staves_with_two_voices_each() -> None:
    from music21 import clef, key, stream

    roll = one_roll(read_score(chorale(), ".mxl"))
    content = musicxml_bytes(roll)
    score = parsed(content)
    assert [part.partName for part in score.parts] == ["Soprano, Alto", "Tenor, Bass"]
    clefs = [part.recurse().getElementsByClass(clef.Clef).first() for part in score.parts]
    assert [type(one).__name__ for one in clefs] == ["TrebleClef", "BassClef"]
    for part in score.parts:
        signature = part.recurse().getElementsByClass(key.KeySignature).first()
        assert signature.sharps == 3, "Bach's own signature"
        for measure in part.getElementsByClass(stream.Measure):
            assert len(measure.voices) == 2
            for voice, stems in zip(measure.voices, ("up", "down"), strict=True):
                assert {note.stemDirection for note in voice.notes} <= {stems}
    assert one_roll(read_score(content, ".musicxml")) == roll


# Each tune sounds as F major without a note B, of which its signature alone knows more.
TUNE = {
    ".abc": b"X:1\nM:4/4\nL:1/4\nK:Gdor\nF A c A|G F E F|\n",
    ".krn": b"**kern\n*k[b-]\n*g:dor\n*M4/4\n=1-\n4f\n4a\n4cc\n4a\n=2\n4g\n4f\n4e\n4f\n==\n*-\n",
}


def as_musicxml(song: Song) -> Song:
    """The song that is read from its score."""
    return one_song(read_bytes(to_bytes(song, ".musicxml"), suffix=".musicxml"))


def test_a_score_has_the_key_signature_and_the_mode_of_the_file() -> None:
    dorian = KeySignature(-1, "dorian")
    song = one_song(read_bytes(TUNE[".abc"], suffix=".abc"))
    assert song.origin.key == dorian
    assert as_musicxml(song).origin.key == dorian
    assert as_musicxml(transposed_song(song, 2)).origin.key == KeySignature(1, "dorian")


@pytest.mark.parametrize("sharps", range(-7, 8))
def test_a_key_signature_goes_through_midi(sharps: int) -> None:
    """MIDI knows major and minor."""
    minor = KeySignature(sharps, "minor")
    song = Song(PianoRoll.from_notes([(0, 4, minor.keys[0].tonic + 60)]), Origin(key=minor))
    read = one_song(read_bytes(to_bytes(song, ".mid"), suffix=".mid"))
    assert read.origin.key == minor
    assert as_musicxml(read).origin.key == minor


def test_humdrum_has_a_key_signature() -> None:
    found = one_song(read_bytes(TUNE[".krn"], suffix=".krn")).origin.key
    assert found is not None
    assert found.sharps == -1


def test_what_was_drawn_in_a_file_keeps_its_key_signature() -> None:
    song = one_song(read_bytes(TUNE[".abc"], suffix=".abc"))
    part = known_part(ENCODING, song, ["bars:2"])
    assert isinstance(part, KnownMusic)
    assert as_musicxml(part.decoded(part.values)).origin.key == KeySignature(-1, "dorian")


def test_an_empty_signature_that_does_not_fit_the_notes_is_not_written() -> None:
    """Many programs write it whatever the key is."""
    scale = [(4 * place, 4, 61 + step) for place, step in enumerate((0, 2, 4, 5, 7, 9, 11, 12))]
    song = Song(PianoRoll.from_notes(scale), Origin(key=KeySignature(0, "major")))
    assert as_musicxml(song).origin.key == KeySignature(-5)


@given(rolls(), st.sampled_from((None, 1, 2, 3, 4)))
# a step of silence used to be no piece
@example(PianoRoll.from_notes([], steps_per_quarter=1), None)
@example(PianoRoll.from_notes([(0, 4, 60)], tempo_bpm=13.0), None)  # used to be 13.000000000000002
def test_any_music_is_the_same_again(roll: PianoRoll, voices: int | None) -> None:
    content = musicxml_bytes(roll, voices=voices)
    songs = read_score(content, ".musicxml", steps_per_quarter=roll.steps_per_quarter)
    assert one_roll(songs) == roll


@settings(max_examples=settings().max_examples // 3)
@given(bands())
def test_the_parts_of_a_band_with_pitches_are_the_same_again(band: PianoRoll) -> None:
    grid = band.steps_per_quarter
    again = one_song(read_score(musicxml_bytes(band), ".musicxml", steps_per_quarter=grid))
    assert again.roll == band.merged
    notes = {}
    for number, part in enumerate(band.parts):
        notes[part.role.title()] = len(band.notes(number))
    heard = [(name, notes[name]) for name in ("Melody", "Chords", "Bass") if notes.get(name)]
    assert [(track.name, track.notes) for track in again.origin.tracks] == heard


def test_drums_stand_on_a_staff_of_percussion_with_their_midi_keys() -> None:
    drums = [(0, 1, 36), (0, 1, 42), (2, 1, 42), (4, 1, 38), (7, 1, 46), (12, 1, 100)]
    rolls = [PianoRoll.from_notes(notes, num_steps=16) for notes in (drums, [(0, 16, 40)])]
    content = musicxml_bytes(PianoRoll.of_parts(rolls, [Part("drums", 8), Part("bass", 33)]))
    bass, kit = parsed(content).parts
    assert (bass.partName, bass.getInstrument().midiProgram, kit.partName) == ("Bass", 33, "Drums")
    assert type(kit.recurse().getElementsByClass("Clef").first()).__name__ == "PercussionClef"
    written = []
    for stroke in kit.flatten().notes:
        drums_of_stroke = getattr(stroke, "notes", [stroke])
        heads = {(drum.displayName, drum.notehead) for drum in drums_of_stroke}
        written.append((stroke.offset, stroke.quarterLength, heads))
    assert written == [  # each up to the next one or to the beat
        (0, 0.5, {("F4", "normal"), ("G5", "x")}),
        (0.5, 0.5, {("G5", "x")}),
        (1, 0.75, {("C5", "normal")}),
        (1.75, 0.25, {("G5", "circle-x")}),
        (3, 1, {("B4", "normal")}),
    ]
    score = ElementTree.fromstring(content)
    (part,) = (part for part in score.iter("score-part") if part.findtext("part-name") == "Drums")
    names = [drum.findtext("instrument-name") for drum in part.iter("score-instrument")]
    assert names == ["kick", "snare", "closed hat", "open hat", "drum 100"]
    midi = {}
    for drum in part.iter("midi-instrument"):
        midi[drum.get("id")] = [int(child.text or 0) for child in drum]
    channel_program_and_key = [[10, 9, key + 1] for key in (36, 38, 42, 46, 100)]  # from 1 on
    assert list(midi.values()) == channel_program_and_key
    played = [midi[drum.get("id")][2] - 1 for drum in score.iter("instrument")]
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
    content = musicxml_bytes(roll, voices=1)
    assert one_roll(read_score(content, ".musicxml", steps_per_quarter=3)) == roll


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
    content = GeneralObjectExporter(stream.Score([part])).parse()
    roll = one_roll(read_score(content, ".musicxml"))
    assert roll.notes() == [(0, 32, 64)]


@pytest.mark.parametrize("time_signature", [(5, 4), (7, 8), (13, 8), (3, 1), (33, 8)])
def test_a_bar_of_rest_is_one_rest_and_read_back_right(time_signature: tuple[int, int]) -> None:
    bar = 16 * time_signature[0] // time_signature[1]
    notes = [(0, 4, 60), (3 * bar, 2, 62)]
    roll = PianoRoll.from_notes(notes, num_steps=3 * bar + 2, time_signature=time_signature)
    content = musicxml_bytes(roll)
    resting = content.decode().split("<measure ")[2:4]
    assert [measure.count("<rest") for measure in resting] == [2, 2], "one for each hand"
    assert all(measure.count('<rest measure="yes"') == 2 for measure in resting)
    assert one_roll(read_score(content, ".musicxml")) == roll


def test_a_score_has_the_title_that_it_is_given_and_no_other() -> None:
    roll = PianoRoll.from_notes(FOUR)
    assert b"music21" not in musicxml_bytes(roll).lower().replace(b"<software>music21", b"")
    assert b"title" not in musicxml_bytes(roll)
    assert b"creator" not in musicxml_bytes(roll)
    titled = musicxml_bytes(roll, title="My \udcff\x07song")
    assert b"<movement-title>My song</movement-title>" in titled


@pytest.mark.parametrize(
    ("notes", "num_steps", "upbeat"),
    [
        ([], 83, 0),
        ([(0, 4, 60)], 83, 0),
        ([(5, 1, 40), (6, 70, 80)], 83, 0),
        ([(0, 4, 60)], 40, 0),  # a whole rest, where a bar has 24 steps
        ([(16, 4, 60)], 64, 16),  # so too
        ([(0, 8, 60), (48, 4, 60)], 72, 0),  # beside an empty staff
    ],
)
def test_silence_stays_as_long_as_it_is(
    notes: list[tuple[int, int, int]], num_steps: int, upbeat: int
) -> None:
    for time_signature, voices in (((4, 4), None), ((6, 4), 1), ((6, 4), None)):
        roll = PianoRoll.from_notes(notes, num_steps=num_steps, time_signature=time_signature)
        roll = roll.with_upbeat(upbeat)
        assert one_roll(read_score(musicxml_bytes(roll, voices=voices), ".musicxml")) == roll


def test_a_score_that_would_take_too_long_names_midi(monkeypatch: pytest.MonkeyPatch) -> None:
    day = PianoRoll.from_notes([(0, 4, 60)], num_steps=24 * 3600 * 8)
    too_long = r"a score of 43,200 bars; expected at most 4,000; write \.mid instead"
    with pytest.raises(LnfgenError, match=too_long):
        musicxml_bytes(day)
    monkeypatch.setenv("LNFGEN_READ_SECONDS", "0.3")
    cluster = PianoRoll.from_notes([(0, 16 * 300, pitch) for pitch in range(21, 109)])
    too_slow = r"over 0\.3 seconds.*LNFGEN_READ_SECONDS, or write \.mid instead"
    with pytest.raises(LnfgenError, match=too_slow):
        musicxml_bytes(cluster)
