"""Pieces that begin with an upbeat: bar lines are the file's, in every format, and stay when a
piece is changed."""

import io
import itertools
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import mido
import pytest
from html_page import Page
from reading import one_roll, one_song
from toy_music import WALTZ

from lnfgen.formats.midi import midi_bytes
from lnfgen.formats.read_write import read, read_bytes, to_bytes
from lnfgen.formats.rolltext import roll_to_text
from lnfgen.formats.symbols import bars_of_voice
from lnfgen.music.pianoroll import PianoRoll


def tune(time_signature: tuple[int, int], upbeat: int, starts_with: str = "notes") -> PianoRoll:
    """Two bars and a bit after an upbeat of so many sixteenths, with a note over each bar line."""
    bar = 16 * time_signature[0] // time_signature[1]
    notes = [(upbeat + bar - 1, 3, 67), (upbeat + 2 * bar - 2, 4, 64)]
    if upbeat and starts_with == "notes":
        notes += [(step, 1, 60 + step % 3) for step in range(upbeat)]
    num_steps = upbeat + 2 * bar + 3
    roll = PianoRoll.from_notes(notes, num_steps=num_steps, time_signature=time_signature)
    return roll.with_upbeat(upbeat)


def roll_in(content: bytes) -> PianoRoll:
    return one_roll(read_bytes(content))


@pytest.mark.parametrize("suffix", [".mid", ".txt", ".npz"])
@pytest.mark.parametrize("time_signature", [(4, 4), (3, 4), (6, 8), (2, 2), (5, 8)])
def test_files_keep_any_upbeat(time_signature: tuple[int, int], suffix: str) -> None:
    bar = 16 * time_signature[0] // time_signature[1]
    for upbeat, starts_with in itertools.product(range(bar), ("notes", "rest")):
        roll = tune(time_signature, upbeat, starts_with)
        found = one_song(read_bytes(to_bytes(roll, suffix)))
        assert found.roll == roll
        # The upbeat's own time signature is no change that is lost.
        assert found.origin.report["time_signature_changes"] == 0


@pytest.mark.parametrize("starts_with", ["notes", "rest"])
def test_scores_and_pages_keep_any_upbeat(starts_with: str) -> None:
    for time_signature, upbeat, voices in (
        ((3, 4), 4, None),
        ((6, 8), 2, 2),
        ((4, 4), 7, 4),
        ((2, 4), 0, None),
    ):
        roll = tune(time_signature, upbeat, starts_with)
        content = to_bytes(roll, ".musicxml", voices=voices)
        assert roll_in(content) == roll
        assert (b'<measure implicit="yes" number="0">' in content) == (upbeat > 0)
        page = Page(to_bytes(roll, ".html"))
        assert page.data[0]["upbeat"] == upbeat
        assert any(" · 3 bars · " in text for _, text in page.texts)


def test_abc_through_midi_and_a_score_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lnfgen.cli import convert

    (tmp_path / "a.abc").write_text("X:1\nM:6/8\nL:1/8\nK:G\nD|GBd gdB|AFD DEF|G3 G2|]\n")
    for source, target in itertools.pairwise(("a.abc", "b.mid", "c.musicxml", "d.txt")):
        convert.command([str(tmp_path / source), str(tmp_path / target)])
        roll = one_roll(read(tmp_path / target))
        assert (roll.upbeat, roll.time_signature) == (2, (6, 8))
        assert (roll.num_bars, roll.num_steps) == (3, 36)
    assert capsys.readouterr().err == ""


def signatures(roll: PianoRoll) -> list[tuple[float, int, int]]:
    """The time signatures of its MIDI file, each with its place in quarters."""
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(roll)))
    found = []
    ticks = 0
    for message in file.tracks[0]:
        ticks += message.time
        if message.type == "time_signature":
            found.append((ticks / file.ticks_per_beat, message.numerator, message.denominator))
    return found


def test_in_midi_an_upbeat_has_a_time_signature_of_its_own() -> None:
    assert signatures(WALTZ) == [(0, 1, 4), (1, 3, 4)]
    assert signatures(tune((6, 8), 2)) == [(0, 1, 8), (0.5, 6, 8)]
    assert signatures(tune((2, 2), 1)) == [(0, 1, 16), (0.25, 2, 2)]
    assert signatures(tune((3, 4), 0)) == [(0, 3, 4)]
    # No time signature is a triplet, and that of an upbeat must not be the one that lasts longest.
    assert signatures(replace(WALTZ.on_grid(3), upbeat=1)) == [(0, 3, 4)]
    assert signatures(WALTZ.stretch(0, 8)) == [(0, 3, 4)]
    assert roll_in(midi_bytes(WALTZ.stretch(0, 8))).time_signature == (3, 4)


@pytest.mark.parametrize(
    ("time_signature", "upbeat"), [((3, 4), 4), ((4, 4), 6), ((6, 8), 2), ((6, 8), 10)]
)
def test_in_a_score_an_upbeat_is_the_end_of_a_bar(
    time_signature: tuple[int, int], upbeat: int
) -> None:
    roll = tune(time_signature, upbeat)
    bar = 16 * time_signature[0] // time_signature[1]
    bars = bars_of_voice(roll.notes(), roll.num_steps, 4, time_signature, upbeat)
    # The same with rests before it, up to a whole bar: that bar shows the beats where it sounds.
    notes = [(start + bar - upbeat, length, pitch) for start, length, pitch in roll.notes()]
    whole = bars_of_voice(notes, roll.num_steps + bar - upbeat, 4, time_signature)
    missing = Fraction(bar - upbeat, 4)
    expected = [replace(symbol, offset=symbol.offset - missing) for symbol in whole[0]]
    sounding = [symbol for symbol in bars[0] if symbol.pitches]
    assert sounding == [symbol for symbol in expected if symbol.pitches]
    assert bars[1:] == whole[1:]
    assert sum(symbol.length for symbol in bars[0]) == upbeat / 4


def test_text_counts_the_bars_after_the_upbeat_and_a_picture_shows_them() -> None:
    lines = roll_to_text(WALTZ).splitlines()
    assert lines[4] == "upbeat: 4"
    of_bars = [index for index, line in enumerate(lines) if "# bar" in line]
    assert [lines[index] for index in of_bars] == ["# bar 0", "# bar 1", "# bar 2", "# bar 3"]
    # A line for each step, and one for each bar before it.
    steps = [index - of_bars[0] - number for number, index in enumerate(of_bars)]
    assert steps == [0, 4, 16, 28]
    pictures = {to_bytes(replace(WALTZ, upbeat=upbeat), ".png") for upbeat in (0, 2, 4)}
    assert len(pictures) == 3
