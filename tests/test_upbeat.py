"""Pieces that begin with an upbeat: bar lines are the file's, in every format, and stay when a piece is changed."""

import io
import itertools
import json
from dataclasses import replace
from pathlib import Path

import matplotlib.axes
import mido
import numpy as np
import pytest
from command import Call
from test_page import Page
from toy_models import toy

from lnfgen import formats
from lnfgen.comparison import compare_pieces
from lnfgen.data.encoding import Encoding
from lnfgen.data.options import Options
from lnfgen.data.preprocess import prepare
from lnfgen.errors import DatasetError, LnfgenError
from lnfgen.filling import added_steps
from lnfgen.gaps import GAPS, LOWER_VOICES, with_gap
from lnfgen.given import decoded, given_part, given_whole
from lnfgen.models import Frames
from lnfgen.music import figures
from lnfgen.music.midi import midi_bytes
from lnfgen.music.page import page_bytes
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.regions import region
from lnfgen.music.rhythm import bars_of_voice
from lnfgen.music.rolltext import roll_to_text
from lnfgen.text import UNKNOWN

WALTZ = PianoRoll.from_notes(
    [(0, 2, 67), (2, 2, 65), (4, 12, 60), (16, 4, 62), (20, 8, 64), (28, 6, 65)], time_signature=(3, 4)
).with_upbeat(4)  # a quarter, two bars of 12 steps, and half a bar


def tune(metre: tuple[int, int], upbeat: int, starts_with: str = "notes") -> PianoRoll:
    """Two bars and a bit after an upbeat of so many sixteenths, with a note over each bar line."""
    bar = 16 * metre[0] // metre[1]
    notes = [(upbeat + bar - 1, 3, 67), (upbeat + 2 * bar - 2, 4, 64)]
    if upbeat and starts_with == "notes":
        notes += [(step, 1, 60 + step % 3) for step in range(upbeat)]
    return PianoRoll.from_notes(notes, num_steps=upbeat + 2 * bar + 3, time_signature=metre).with_upbeat(upbeat)


def read(content: bytes) -> PianoRoll:
    (roll,) = formats.read_bytes(content)
    assert isinstance(roll, PianoRoll)
    return roll


def test_the_upbeat_is_bar_0() -> None:
    assert WALTZ.bars() == {0: 0, 1: 4, 2: 16, 3: 28}
    assert (WALTZ.bar_lines(), WALTZ.num_bars) == ([0, 4, 16, 28], 3)
    plain = replace(WALTZ, upbeat=0)
    assert plain.bars() == {1: 0, 2: 12, 3: 24}
    assert plain != WALTZ
    assert "upbeat of 4" in repr(WALTZ)
    for steps in (-1, 12, 40):
        with pytest.raises(LnfgenError, match=f"an upbeat of {steps} steps"):
            replace(WALTZ, upbeat=steps)
    assert plain.with_upbeat(12) == plain


def test_a_piece_that_is_changed_keeps_its_upbeat() -> None:
    assert WALTZ.transposed(3).in_range(36, 60).upbeat == 4
    assert (WALTZ.on_grid(12).upbeat, WALTZ.on_grid(2).upbeat, WALTZ.on_grid(1).upbeat) == (12, 2, 1)
    sixteenth = replace(WALTZ, upbeat=1)
    assert sixteenth.on_grid(1).upbeat == 0, "it is rounded, as notes are"
    assert replace(WALTZ, upbeat=11).on_grid(1).upbeat == 0, "it is rounded to a bar"


@pytest.mark.parametrize("metre", [(3, 4), (5, 8), (7, 16)])
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_bar_lines_stay_where_a_piece_is_cut(metre: tuple[int, int], grid: int) -> None:
    whole = PianoRoll(np.zeros((40, 1), np.bool_), None, grid, time_signature=metre)
    for roll in (whole, whole.with_upbeat(1)):
        lines = [step for number, step in roll.bars().items() if number]
        for start, end in itertools.combinations(range(0, 41, 3), 2):
            inside = [step for number, step in roll.stretch(start, end).bars().items() if number]
            first = next((line for line in lines if line >= start), end)
            if first < end:
                assert inside[0] + start == first
        pieces = roll.cut(7)
        assert sum(piece.num_steps for piece in pieces) == 40
        ends = np.cumsum([piece.num_steps for piece in pieces])[:-1].tolist()
        assert set(ends) <= set(lines) or max(np.diff(lines)) > 7


@pytest.mark.parametrize("suffix", [".mid", ".txt", ".npz"])
@pytest.mark.parametrize("metre", [(4, 4), (3, 4), (6, 8), (2, 2), (5, 8)])
def test_files_keep_any_upbeat(metre: tuple[int, int], suffix: str) -> None:
    for upbeat in range(16 * metre[0] // metre[1]):
        for starts_with in ("notes", "rest"):
            roll = tune(metre, upbeat, starts_with)
            found = read(formats.to_bytes(roll, suffix))
            assert found == roll
            assert found.metre_changes == 0, "the upbeat's own time signature is no change that is lost"


@pytest.mark.parametrize(
    ("metre", "upbeat", "voices"), [((3, 4), 4, None), ((6, 8), 2, 2), ((4, 4), 7, 4), ((2, 4), 0, None)]
)
def test_scores_keep_any_upbeat(metre: tuple[int, int], upbeat: int, voices: int | None) -> None:
    for starts_with in ("notes", "rest"):
        roll = tune(metre, upbeat, starts_with)
        content = formats.to_bytes(roll, ".musicxml", voices=voices)
        assert read(content) == roll
        assert (b'<measure implicit="yes" number="0">' in content) == (upbeat > 0)


def test_abc_through_midi_and_a_score_and_back(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from lnfgen.cli import convert

    (tmp_path / "a.abc").write_text("X:1\nM:6/8\nL:1/8\nK:G\nD|GBd gdB|AFD DEF|G3 G2|]\n")
    for source, target in itertools.pairwise(("a.abc", "b.mid", "c.musicxml", "d.txt")):
        convert.command([str(tmp_path / source), str(tmp_path / target)])
        (roll,) = formats.read(tmp_path / target)
        assert isinstance(roll, PianoRoll)
        assert (roll.upbeat, roll.time_signature, roll.num_bars, roll.num_steps) == (2, (6, 8), 3, 36)
    assert capsys.readouterr().err == ""


def signatures(roll: PianoRoll) -> list[tuple[float, int, int]]:
    """The time signatures of its MIDI file, each with its place in quarters."""
    file = mido.MidiFile(file=io.BytesIO(midi_bytes(roll)))
    found, ticks = [], 0
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
    assert read(midi_bytes(WALTZ.stretch(0, 8))).time_signature == (3, 4)


def test_words_mean_the_bars_of_the_file() -> None:
    def steps(roll: PianoRoll, word: str) -> list[int]:
        return np.flatnonzero(region(roll, [word]).all(axis=1)).tolist()

    assert steps(WALTZ, "bars:0") == [0, 1, 2, 3]
    assert steps(WALTZ, "bars:1-2") == list(range(4, 28))
    assert steps(WALTZ, "bars:3-") == steps(WALTZ, "bars:3-9") == list(range(28, 34))
    assert steps(WALTZ, "bars:0-1") == steps(WALTZ, "steps:1-16")
    for roll, word, said in (
        (replace(WALTZ, upbeat=0), "bars:0", "bars:0: bars are counted from 1 on"),
        (WALTZ, "bars:-1", "bars:-1: bars are counted from 0 on"),
        (WALTZ, "steps:0", "steps:0: steps are counted from 1 on"),
        (WALTZ, "bars:4", "bars:4 means nothing in a piece of 3 bars"),
    ):
        with pytest.raises(LnfgenError, match=said):
            region(roll, [word])


@pytest.mark.parametrize(("metre", "upbeat"), [((3, 4), 4), ((4, 4), 6), ((6, 8), 2), ((6, 8), 10)])
def test_in_a_score_an_upbeat_is_the_end_of_a_bar(metre: tuple[int, int], upbeat: int) -> None:
    roll = tune(metre, upbeat)
    bar = 16 * metre[0] // metre[1]
    bars = bars_of_voice(roll.notes(), roll.num_steps, 4, metre, upbeat)
    # The same with rests before it, up to a whole bar: that bar shows the beats where it sounds.
    notes = [(start + bar - upbeat, length, pitch) for start, length, pitch in roll.notes()]
    whole = bars_of_voice(notes, roll.num_steps + bar - upbeat, 4, metre)
    sounding = [replace(symbol, offset=symbol.offset - (bar - upbeat) / 4) for symbol in whole[0] if symbol.pitches]
    assert [symbol for symbol in bars[0] if symbol.pitches] == sounding
    assert bars[1:] == whole[1:]
    assert sum(symbol.length for symbol in bars[0]) == upbeat / 4


def test_text_counts_the_bars_after_the_upbeat() -> None:
    lines = roll_to_text(WALTZ).splitlines()
    assert lines[4] == "upbeat: 4"
    places = [index - number for number, index in enumerate(i for i, line in enumerate(lines) if "# bar" in line)]
    assert [place - places[0] for place in places] == [0, 4, 16, 28]
    assert [line for line in lines if "# bar" in line] == ["# bar 0", "# bar 1", "# bar 2", "# bar 3"]


def test_a_picture_draws_the_bar_lines_after_the_upbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[tuple[float, list[float]]] = []  # of each call: the width of the lines, and where they are
    numbers: dict[str, float] = {}

    def vlines(axes: object, x: np.ndarray, *_: object, linewidth: float, **__: object) -> None:
        drawn.append((linewidth, list(map(float, x))))

    def annotate(axes: object, text: str, xy: tuple[float, float], **_: object) -> None:
        numbers[text] = xy[0]

    monkeypatch.setattr(matplotlib.axes.Axes, "vlines", vlines)
    monkeypatch.setattr(matplotlib.axes.Axes, "annotate", annotate)
    formats.to_bytes(WALTZ, ".png")
    assert drawn[0] == (0.5, [float(beat) for beat in range(0, 34, 4)])
    assert drawn[1:] == [(0.8, [4.0, 16.0, 28.0]), (2.0, [34.0])]
    assert numbers == {"1": 4, "2": 16, "3": 28}
    drawn.clear()
    formats.to_bytes(replace(WALTZ, upbeat=2), ".png")
    assert drawn[0] == (0.5, [float(beat) for beat in range(2, 34, 4)])
    long = PianoRoll.from_notes([(0, 4, 60)], num_steps=4 + 16 * 40).with_upbeat(4)
    drawn.clear()
    formats.to_bytes(long, ".png")
    lines = sorted({step for width, places in drawn if width == 0.8 for step in places})
    assert lines == [4.0 + 16 * bar for bar in range(40)], "also where there are several lines of music"


def test_the_page_knows_the_upbeat() -> None:
    page = Page(page_bytes([WALTZ, replace(WALTZ, upbeat=0)]))
    assert [piece["upbeat"] for piece in page.data] == [4, 0]
    facts = [text for _, text in page.texts if text.startswith("3/4")]
    assert [" · 3 bars · " in text for text in facts] == [True, True]


def test_figures_count_bars_after_the_upbeat() -> None:
    # In 2/4, after an upbeat of an eighth, bars of four eighths whose onsets are 1100 and 1011.
    notes = [(0, 1, 59), (1, 1, 60), (2, 3, 62), (5, 2, 64), (7, 1, 65), (8, 1, 67)]
    roll = PianoRoll.from_notes(notes, steps_per_quarter=2, time_signature=(2, 4)).with_upbeat(1)
    assert figures.downbeat_rate(roll) == pytest.approx(2 / 6)
    assert figures.off_quarter_rate(roll) == pytest.approx(3 / 6)
    assert figures.groove_consistency(roll) == pytest.approx(1 / 4)


def test_info_tells_the_upbeat(tmp_path: Path, lnfgen: Call) -> None:
    formats.write(tmp_path / "a.mid", WALTZ)
    facts = json.loads(lnfgen("info", "a.mid", "--json").stdout)
    assert (facts["upbeat"], facts["bars"], facts["steps"], facts["metre_changes"]) == (4, 3, 34, 0)


def test_sequences_of_a_dataset_begin_at_a_bar_line(tmp_path: Path) -> None:
    for name, upbeat in (("with", 4), ("without", 0)):
        source = tmp_path / name / "tunes"
        source.mkdir(parents=True)
        for number in range(3):
            formats.write(source / f"{number}.npz", WALTZ.transposed(number).with_upbeat(upbeat))
        dataset = prepare([source], Options(max_length=24)).write(tmp_path / name / "dataset")
        assert dataset.encoding.fills_upbeats
        first, rest = dataset.split("train")
        assert (len(first), len(rest)) == ((24, 18) if upbeat else (24, 10))
        silent = int((first != 0).any(axis=1).argmax())
        assert silent == (8 if upbeat else 0), "it is the bar of 12 steps before the upbeat of 4"
        piece, _ = dataset.pieces("train")
        assert isinstance(piece, PianoRoll)
        assert (piece.upbeat, piece.num_steps) == (upbeat, 24 - silent), "the silence is no part of the piece"
        assert piece.notes()[0][0] == 0


@pytest.mark.parametrize("metre", [(3, 4), (4, 4), (6, 8), (5, 8), (7, 16)])
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_an_upbeat_becomes_silence_and_comes_back(metre: tuple[int, int], grid: int) -> None:
    for fills in (True, False):
        encoding = Encoding("music", steps_per_quarter=grid, time_signature=metre, fills_upbeats=fills)
        assert Encoding.from_json(encoding.to_json()) == encoding
        for upbeat in range(bar := max(1, round(4 * grid * metre[0] / metre[1]))):
            notes = [(step, 1, 60 + step % 3) for step in range(30)]
            roll = PianoRoll.from_notes(notes, steps_per_quarter=grid, time_signature=metre).with_upbeat(upbeat)
            values = encoding.encode(roll)
            if 4 * grid * metre[0] % metre[1]:  # the bar is no whole number of steps
                assert (len(values), encoding.decode(values)) == (30, roll.with_upbeat(0))
                continue
            assert len(values) == 30 + (bar - roll.upbeat if fills and roll.upbeat else 0)
            full = encoding.decode(values, keeps_silence=True)
            assert isinstance(full, PianoRoll)
            assert (full.num_steps, full.upbeat) == (len(values), 0)
            if not fills:
                assert encoding.decode(values) == roll.with_upbeat(0)
            elif 2 * roll.upbeat <= bar:
                assert encoding.decode(values) == roll
            else:  # there is less than half a bar of silence, which stays as a rest
                assert encoding.decode(values) == full == roll.from_bar_line()
    # A bar of silence, less than half a bar, or a piece of silence is no upbeat.
    for steps in (5, 12, 20, 40):
        roll = PianoRoll.from_notes([(steps, 4, 60)] if steps < 40 else [], num_steps=40, time_signature=(3, 4))
        assert roll.from_first_note() == roll
    assert WALTZ.from_bar_line().from_first_note() == WALTZ
    assert WALTZ.from_first_note() == WALTZ


@pytest.mark.parametrize("metre", [(3, 4), (4, 4), (5, 8), (1, 4)])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_sequences_of_any_length_are_encoded_again_as_they_were(metre: tuple[int, int], grid: int) -> None:
    """And a note stays where it is in its bar, also in a sequence that is no longer than a bar."""
    encoding = Encoding("music", steps_per_quarter=grid, time_signature=metre, fills_upbeats=True)
    for length in range(1, 20):
        for first in range(length):
            values = np.zeros((length, 88), np.uint8)
            values[first:, 40] = 3
            piece = encoding.decode(values)
            assert isinstance(piece, PianoRoll)
            assert np.array_equal(encoding.encode(piece), values)
            assert np.array_equal(encoding.adapt([piece])[0][0], values)


@pytest.mark.parametrize("metre", [(3, 4), (5, 8), (9, 8), (7, 16), (4, 4)])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_pieces_come_back_and_go_on_at_their_bar_lines_on_any_grid(metre: tuple[int, int], grid: int) -> None:
    encoding = Encoding("music", steps_per_quarter=grid, time_signature=metre, fills_upbeats=True)
    for upbeat in range(4 * grid * metre[0] // metre[1]):
        for length in range(20, 26):
            notes = [(step, 1, 60 + step % 3) for step in range(length)]
            roll = PianoRoll.from_notes(notes, steps_per_quarter=grid, time_signature=metre).with_upbeat(upbeat)
            given = given_whole(encoding, roll)
            assert decoded(encoding, given, given.values) == roll
            longer = PianoRoll.from_notes(notes, num_steps=60, steps_per_quarter=grid, time_signature=metre)
            added = added_steps(toy("lstm", Frames(88, True)), encoding, roll, None, 1, 0)
            assert length + added in longer.with_upbeat(upbeat).bar_lines()


def test_a_lone_piece_is_split_in_time_at_its_bar_lines(tmp_path: Path) -> None:
    roll = PianoRoll.from_notes([(4 * i, 4, 60 + i) for i in range(9)]).with_upbeat(4)  # a quarter, and two bars
    (tmp_path / "tune").mkdir()
    formats.write(tmp_path / "tune/a.npz", roll)
    dataset = prepare([tmp_path / "tune"], Options()).write(tmp_path / "dataset")
    found = [values for split in dataset.split_names for values in dataset.split(split)]
    assert [len(values) for values in found] == [16, 16, 16]
    assert np.flatnonzero(found[0].any(axis=1)).tolist() == [12, 13, 14, 15]


def test_a_piece_of_rests_is_left_out_with_its_own_length(tmp_path: Path) -> None:
    (tmp_path / "tunes").mkdir()
    for number in range(3):
        formats.write(tmp_path / f"tunes/{number}.npz", WALTZ.transposed(number))
    formats.write(tmp_path / "tunes/rests.npz", PianoRoll.from_notes([], num_steps=34).with_upbeat(4))
    prepared = prepare([tmp_path / "tunes"], Options())
    assert [record["reason"] for record in prepared.skipped] == ["holds no notes in range (34 steps)"]


@pytest.mark.parametrize("gap", GAPS["music"])
def test_the_silence_ahead_of_an_upbeat_is_not_hidden(gap: str) -> None:
    encoding = Encoding("music", steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=True)
    chords = [(start, length, pitch - down) for start, length, pitch in WALTZ.notes() for down in (0, 12)]
    roll = PianoRoll.from_notes(chords, time_signature=(3, 4)).with_upbeat(4)
    values = encoding.encode(roll)
    piece = encoding.decode(values)
    given = with_gap(piece, values, gap, np.random.default_rng(0))
    assert given is not None
    assert given.ahead == 8
    assert not given.free[:8].any()
    assert given.free[8:].any()
    assert np.array_equal(given.free[8:], given.free_cells)
    if gap == LOWER_VOICES:
        melody = given_part(encoding, piece, ["below-melody"])
        assert np.array_equal(given.free, melody.free)


def test_datasets_of_before_have_no_word_of_it() -> None:
    encoding = Encoding("music")
    assert "fills_upbeats" not in encoding.to_json(), "so that their fingerprints stay"
    with pytest.raises(DatasetError, match="fills_upbeats is 1"):
        Encoding.from_json(encoding.to_json() | {"fills_upbeats": 1})
    with pytest.raises(DatasetError, match="unknown fields"):
        Encoding.from_json({"kind": "text", "vocabulary": [UNKNOWN, "a"], "fills_upbeats": True})


@pytest.mark.parametrize("fills", [True, False])
def test_a_piece_stays_at_its_bar_lines(fills: bool) -> None:
    """Where nothing is changed, a piece comes back as it was; where all is free, the upbeat can get longer."""
    encoding = Encoding("music", steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=fills)
    for roll in (WALTZ, WALTZ.with_upbeat(0)):
        given = given_whole(encoding, roll)
        assert given.ahead == (8 if fills and roll.upbeat else 0)
        assert not given.values[: given.ahead].any()
        assert decoded(encoding, given, given.values) == roll.in_range(21, 88)
    given = given_part(encoding, WALTZ, ["bars:0"])
    steps = np.flatnonzero(given.free.any(axis=1)).tolist()
    assert steps == [given.ahead + step for step in range(4)], "the silence ahead of it is not free"
    earlier = given.values.copy()
    earlier[given.ahead - 2 if fills else 0, 40] = 3
    piece = decoded(encoding, given, earlier)
    assert isinstance(piece, PianoRoll)
    assert piece.upbeat == (6 if fills else 4)
    bars = [roll.stretch(roll.upbeat, roll.num_steps) for roll in (piece, WALTZ.in_range(21, 88))]
    assert bars[0] == bars[1]


def test_an_interpolated_piece_that_is_shorter_than_the_silence_ahead() -> None:
    encoding = Encoding("music", steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=True)
    given = given_whole(encoding, WALTZ)
    piece = decoded(encoding, given, np.zeros((6, 88), np.uint8))
    assert isinstance(piece, PianoRoll)
    assert piece.num_steps == 1


def test_samples_are_scored_from_their_bar_line_on() -> None:
    encoding = Encoding("music", steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=True)
    values = encoding.encode(WALTZ.in_range(21, 88))
    piece = encoding.decode(values)
    assert np.array_equal(encoding.adapt([piece])[0][0], values)


def test_passages_that_are_compared_begin_after_the_upbeat() -> None:
    # In each bar one note of three is at its start. With the upbeat in the first passage, none would be.
    notes = [(2, 2, 60), *((4 + 16 * bar + place, 2, 60 + place) for bar in range(12) for place in (0, 8, 12))]
    roll = PianoRoll.from_notes(notes, num_steps=4 + 192).with_upbeat(4)
    found = compare_pieces([roll], [roll.transposed(1)], [])
    assert found.figures["downbeat_rate"].samples.tolist() == [pytest.approx(1 / 3)]


@pytest.mark.parametrize("fills", [True, False])
def test_commands_give_a_piece_back_with_its_upbeat(fills: bool, toy_home: Path, call: Call) -> None:
    dataset = json.loads((toy_home / "run-rolls/dataset.json").read_text())
    dataset["encoding"] |= {"fills_upbeats": fills}
    (toy_home / "run-rolls/dataset.json").write_text(json.dumps(dataset))
    formats.write(toy_home / "waltz.mid", WALTZ)
    few = ("--model", "run-rolls", "--seed", "1", "--out")
    for words in (
        ("fill", "waltz.mid", *few, "new.mid", "--free", "bars:2", "--particles", "2"),
        ("harmonize", "waltz.mid", *few, "new.mid", "--particles", "2"),
        ("continue", "waltz.mid", *few, "new.npz", "--bars", "1", "--particles", "2"),
        ("vary", "waltz.mid", *few, "new.npz"),
        ("reconstruct", "waltz.mid", *few, "new.npz"),
    ):
        done = call(*words)
        assert (done.returncode, b"upbeat" in done.stderr) == (0, False), done.stderr
        (roll,) = formats.read(done.stdout.decode().strip())
        assert isinstance(roll, PianoRoll)
        assert (roll.upbeat * 4 // roll.steps_per_quarter, roll.time_signature) == (4, (3, 4)), words
        if words[0] == "continue":  # to the end of bar 3, and a bar more
            assert (roll.steps_per_quarter, roll.num_steps) == (2, 2 + 4 * 6)
        if words[0] == "fill":  # the toy model draws silence
            assert {start for start, _, _ in roll.notes()} == {0, 2, 4, 28}
    call("interpolate", "waltz.mid", "melody.mid", *few, "new.npz", "--steps", "3")
    assert [formats.read(f"new-0{number}.npz")[0].upbeat for number in (1, 3)] == [2, 0]  # type: ignore[union-attr]
    call("sample", "run-rolls", "--length", "8", "--seed", "1", "--out", "sample.npz")
    assert formats.read("sample.npz")[0].upbeat == 0  # type: ignore[union-attr]
