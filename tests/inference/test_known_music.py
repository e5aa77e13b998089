"""Music of which a part is known, on the grid and the keys of a model, and back."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from toy_bands import TWO, band_encoding
from toy_keys import small_music
from toy_music import WALTZ, band

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.formats.read_write import to_bytes
from lnfgen.inference.filling import fill_pieces
from lnfgen.inference.known_music import KnownMusic, on_grid
from lnfgen.inference.known_part import known_part, known_whole
from lnfgen.music.chart import ChordChange
from lnfgen.music.chord import parse_chord
from lnfgen.music.conversion import ConversionReport
from lnfgen.music.key_signature import KeySignature
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Origin, Song
from lnfgen.music.tracks import Track


@pytest.mark.parametrize(("shift", "low", "high"), [(3, 60, 62), (-3, 63, 65), (0, 60, 65)])
def test_what_is_drawn_stays_among_the_keys_of_the_model_or_of_the_piece(
    shift: int, low: int, high: int
) -> None:
    model, encoding = small_music(True)
    song = on_grid(encoding, PianoRoll.from_notes([(0, 9, low)], steps_per_quarter=1))
    hidden = np.ones_like(song.roll.sounding)
    hidden[..., low] = False
    part = KnownMusic.aligned(encoding, song, hidden, shift)
    found = set()
    for piece in fill_pieces(model, part, count=100, temperature=3.0, particles=2):
        assert isinstance(piece, Song)
        found |= {pitch for _, _, pitch in piece.roll.notes()}
    assert found == set(range(low, high + 1)) == set(part.keys)


def test_what_is_lost_on_the_way_is_counted_and_said() -> None:
    encoding = MusicEncoding(steps_per_quarter=2, lowest_pitch=60, num_pitches=12)
    roll = PianoRoll.from_notes([(0, 3, 60), (4, 4, 40)], steps_per_quarter=4)
    part = known_whole(encoding, roll)
    assert (part.changes["rounded"], part.changes["out_of_range"]) == (1, 1)
    lost = "rounded 1 start or end of notes to the model's grid; left out 1 note"
    (said,) = part.remarks()
    assert said.startswith(lost.split(" start")[0])
    own_file = Song(roll, Origin(midi=b"MThd"))
    (said,) = known_whole(encoding, own_file).remarks()
    assert said.endswith("only the model hears the piece so, the file itself stays as it is")


def test_words_for_keys_beyond_the_model_are_said() -> None:
    encoding = MusicEncoding(steps_per_quarter=2)
    words = ["steps:1,keys:C0-C5", "keys:C2-C3"]
    piece = PianoRoll.from_notes([(0, 2, 60), (2, 2, 62)], steps_per_quarter=2)
    said = "keys:C0-C5 goes beyond the keys of the model, A0 to C8; nothing is drawn there"
    assert known_part(encoding, piece, words).remarks_on_drawing(words) == [said]
    assert known_part(encoding, piece, words[1:]).remarks_on_drawing(words[1:]) == []


@pytest.mark.parametrize("fills", [True, False])
def test_a_piece_stays_at_its_bar_lines(fills: bool) -> None:
    """Where nothing is changed, a piece comes back as it was.

    Nothing is drawn ahead of its upbeat.
    """
    encoding = MusicEncoding(steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=fills)
    for roll in (WALTZ, WALTZ.with_upbeat(0)):
        part = known_whole(encoding, roll)
        assert isinstance(part, KnownMusic)
        assert part.ahead == (8 if fills and roll.upbeat else 0)
        assert not part.values[: part.ahead].any()
        assert part.decoded(part.values).roll == roll.in_range(21, 88)
    part = known_part(encoding, WALTZ, ["bars:0"])
    assert isinstance(part, KnownMusic)
    steps = np.flatnonzero(part.hidden.any(axis=(1, 2))).tolist()
    assert steps == [part.ahead + step for step in range(4)], "the silence ahead of it is not free"


def test_a_song_keeps_its_file_and_knows_what_was_drawn() -> None:
    encoding = MusicEncoding(steps_per_quarter=4)
    chords = (ChordChange(Fraction(0), parse_chord("C")),)
    origin = Origin(midi=b"MThd", title="Tune", chords=chords, report=ConversionReport(rounded=3))
    roll = PianoRoll.from_notes([(0, 4, 60), (4, 4, 62)])
    song = on_grid(encoding, Song(roll, origin))
    hidden = np.zeros_like(song.roll.sounding)
    hidden[4:] = True
    part = KnownMusic.aligned(encoding, song, hidden)
    found = part.decoded(part.values)
    assert (found.origin.midi, found.origin.title) == (b"MThd", "Tune")
    assert not found.origin.report
    assert song.origin.chords == chords
    assert not found.origin.chords, "they may not fit what was drawn"
    assert found.drawn is not None
    assert found.drawn.any(axis=(1, 2)).tolist() == [False] * 4 + [True] * 4
    again = on_grid(encoding, found)
    assert (again.origin.midi, again.drawn) == (None, None), "the file lacks what was drawn"


def track(role: str) -> Track:
    return Track(
        number=1,
        name="",
        program=0,
        channel=1,
        notes=1,
        lowest=60,
        highest=60,
        mean_pitch=60.0,
        polyphony=1.0,
        role=role,
    )


def test_parts_of_a_band_keep_their_programs() -> None:
    encoding = band_encoding(TWO)
    own = (replace(TWO[1], program=9), replace(TWO[0], program=8))
    roll = replace(band(2, melody=[(0, 1, 72)], bass=[(0, 1, 40)]), parts=own)
    song = on_grid(encoding, roll)
    assert song.roll.roles == ("bass", "melody")
    assert [part.program for part in song.roll.parts] == [8, 9]
    silent_bass = replace(band(2, melody=[(0, 1, 72)], bass=[]), parts=own)
    programs = [part.program for part in on_grid(encoding, silent_bass).roll.parts]
    assert programs == [TWO[0].program, 9], "that of a part which plays nothing is the usual one"


def test_tracks_are_of_the_parts_that_the_model_has() -> None:
    encoding = band_encoding(TWO)
    roll = band(2, drums=[(0, 1, 36)], melody=[(0, 1, 72)])
    content = to_bytes(roll, ".mid")
    origin = Origin(midi=content, tracks=(track("drums"), track("melody")))
    song = on_grid(encoding, Song(roll, origin))
    assert song.origin.midi == content
    assert [(one.role, one.kept) for one in song.origin.tracks] == [
        ("drums", False),
        ("melody", True),
    ]
    alone = Song(PianoRoll.from_notes([(0, 1, 40)]), Origin(tracks=(track(""), track(""))))
    song = on_grid(encoding, alone, "bass")
    assert [one.role for one in song.origin.tracks] == ["bass", "bass"]
    assert song.roll.part(0).num_notes == 1


@pytest.mark.parametrize(
    ("signature", "said"),
    [
        (None, "C major, by its notes"),
        (KeySignature(0), "C major, by its key signature and its notes"),
        (KeySignature(0, "minor"), "A minor, by its key signature and its notes"),
        (KeySignature(6), "C major, by its notes, which its key signature does not fit"),
    ],
)
def test_a_model_that_reads_homes_says_which(signature: KeySignature | None, said: str) -> None:
    scale = [(2 * place, 2, pitch) for place, pitch in enumerate((60, 62, 64, 65, 67, 71, 60))]
    song = Song(PianoRoll.from_notes(scale), Origin(key=signature))
    part = known_whole(MusicEncoding(), song)
    assert isinstance(part, KnownMusic)
    assert part.remarks() == []
    assert part.remarks(reads_home=True) == [f"the home of the piece is {said}"]


@pytest.mark.parametrize("octaves", [-1, 1])
def test_a_line_of_a_band_is_heard_in_its_octaves_and_moved_back(octaves: int) -> None:
    encoding = band_encoding()
    edge = 45 if octaves < 0 else 93
    line = [(4 * step, 4, edge + octaves * 12 - octaves * step) for step in range(4)]
    drums = [(0, 1, 36)]
    roll = band(16, drums=drums, bass=[(0, 16, 40)], chords=[(0, 16, 60)], melody=line)
    part = known_part(encoding, roll, ["part:melody,steps:9-16"])
    assert isinstance(part, KnownMusic)
    assert part.octaves == (0, 0, 0, -12 * octaves)
    assert not part.changes["out_of_range"]
    whole = part.decoded(part.values)
    assert whole.roll.notes(3) == line
    assert whole.roll.notes(0) == drums
    # what the model draws on a key of its own sounds an octave away
    drawn = np.where(part.hidden, 0, part.values)
    drawn[12, 3, 20] = 3
    *kept, new = part.decoded(drawn).roll.notes(3)
    assert kept == line[:2]
    assert new == (12, 1, 45 + 20 + 12 * octaves)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["part:melody"], [(0, "C"), (6, "G")]),
        (["part:drums,bars:2"], [(0, "C"), (6, "G")]),
        (["part:bass,bars:2"], [(0, "C"), (4, "N.C."), (8, "G")]),
        (["part:bass,bars:3"], [(0, "C"), (6, "G"), (8, "N.C.")]),
        (["part:bass"], []),
    ],
)
def test_chord_symbols_stay_where_no_harmony_is_drawn(
    words: list[str], expected: list[tuple[float, str]]
) -> None:
    notes = [(16 * bar, 16, 60) for bar in range(3)]
    roll = band(48, drums=notes, bass=notes, chords=notes, melody=notes)
    chords = (
        ChordChange(Fraction(0), parse_chord("C")),
        ChordChange(Fraction(6), parse_chord("G")),
    )
    part = known_part(band_encoding(), Song(roll, Origin(chords=chords)), words)
    assert isinstance(part, KnownMusic)
    found = part.decoded(part.values).origin.chords
    assert [(start, str(chord)) for start, chord in found] == expected
