"""Upbeats in datasets and models: sequences begin at a bar line, and pieces get upbeats back."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Call
from reading import one_roll
from toy_dataset import all_sequences
from toy_models import toy
from toy_music import WALTZ

from lnfgen.conventions import TimeSignature
from lnfgen.data.dataset import fingerprint_of
from lnfgen.data.dataset_options import Options
from lnfgen.data.encoding_json import encoding_from_json
from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.data.preprocessing import prepare
from lnfgen.formats.read_write import read, write
from lnfgen.inference.filling import added_steps
from lnfgen.inference.known_music import KnownMusic
from lnfgen.inference.known_part import known_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.models.observation import Frames
from lnfgen.music.comparison import compare_pieces
from lnfgen.music.pianoroll import PianoRoll

GRIDS = pytest.mark.parametrize("grid", [1, 2, 3, 4])


def notes_at_each(steps: int) -> list[tuple[int, int, int]]:
    return [(step, 1, 60 + step % 3) for step in range(steps)]


@pytest.mark.parametrize(("upbeat", "lengths"), [(4, (24, 18)), (0, (24, 10))])
def test_sequences_of_a_dataset_begin_at_a_bar_line(
    upbeat: int, lengths: tuple[int, int], tmp_path: Path
) -> None:
    source = tmp_path / "tunes"
    source.mkdir()
    for number in range(3):
        write(source / f"{number}.npz", WALTZ.transposed(number).with_upbeat(upbeat))
    dataset = prepare([source], tmp_path / "dataset", Options(max_length=24))
    assert isinstance(dataset.encoding, MusicEncoding)
    assert dataset.encoding.fills_upbeats
    first, rest = dataset.split("train")
    assert (len(first), len(rest)) == lengths
    silent = int((first != 0).any(axis=(1, 2)).argmax())
    assert silent == (8 if upbeat else 0), "it is the bar of 12 steps before the upbeat of 4"
    piece, _ = dataset.pieces("train")
    assert isinstance(piece, PianoRoll)
    assert piece.upbeat == upbeat
    assert piece.num_steps == 24 - silent, "the silence is no part of the piece"
    assert piece.notes()[0][0] == 0


@GRIDS
@pytest.mark.parametrize("signature", [(3, 4), (4, 4), (6, 8), (5, 8), (7, 16)])
@pytest.mark.parametrize("fills", [True, False])
def test_an_upbeat_becomes_silence_and_comes_back(
    signature: TimeSignature, grid: int, fills: bool
) -> None:
    encoding = MusicEncoding(steps_per_quarter=grid, time_signature=signature, fills_upbeats=fills)
    plain = PianoRoll.from_notes(
        notes_at_each(30), steps_per_quarter=grid, time_signature=signature
    )
    bar = plain.steps_per_bar
    for upbeat in range(bar):
        roll = plain.with_upbeat(upbeat)
        values = encoding.encode(roll)
        if not roll.has_whole_bars:
            assert len(values) == 30
            assert encoding.decode(values) == plain
            continue
        silent = bar - roll.upbeat if fills and roll.upbeat else 0
        assert len(values) == 30 + silent
        full = encoding.decode(values, keeps_silence=True)
        assert (full.num_steps, full.upbeat) == (len(values), 0)
        if not fills:
            assert encoding.decode(values) == plain
        elif 2 * roll.upbeat <= bar:
            assert encoding.decode(values) == roll
        else:  # there is less than half a bar of silence, which stays as a rest
            assert encoding.decode(values) == full == roll.from_bar_line()


@pytest.mark.parametrize("start", [5, 12, 20, None])
def test_other_silence_is_no_upbeat(start: int | None) -> None:
    """A bar of silence, less than half a bar, or a piece of silence."""
    notes = [] if start is None else [(start, 4, 60)]
    roll = PianoRoll.from_notes(notes, num_steps=40, time_signature=(3, 4))
    assert roll.from_first_note() == roll


def test_a_piece_with_an_upbeat_stays_as_it_is() -> None:
    assert WALTZ.from_bar_line().from_first_note() == WALTZ
    assert WALTZ.from_first_note() == WALTZ


# Samples.


@pytest.fixture
def silence_around(monkeypatch: pytest.MonkeyPatch) -> torch.Tensor:
    """What the model of `sampled` draws, which a test may set."""
    model = toy("lstm", Frames(88, True))
    x = torch.zeros(60, 1, 88, dtype=torch.uint8)
    monkeypatch.setattr(model, "generate", lambda lengths, *others: [x] * len(lengths))
    monkeypatch.setattr(f"{__name__}.toy", lambda *_: model)
    return x


def sampled(fills_upbeats: bool = True, **asked: int) -> PianoRoll:
    encoding = MusicEncoding(True, time_signature=(3, 4), fills_upbeats=fills_upbeats)
    (piece,) = sample_pieces(toy("lstm", Frames(88, True)), encoding, **asked)
    assert isinstance(piece, PianoRoll)
    return piece


@pytest.mark.parametrize("upbeat", [0, 4])
def test_a_sample_of_drawn_length_has_no_silent_bars_at_its_ends(
    upbeat: int, silence_around: torch.Tensor
) -> None:
    """A model can draw them.

    The bars that a person asks for are all written, and so are those of published sets.
    """
    silence_around[24 - upbeat : 40, 0, 40] = 3  # bars 3 and 4, after the upbeat
    piece = sampled()
    assert (piece.num_steps, piece.upbeat, piece.num_bars) == (24 + upbeat, upbeat, 2)
    assert piece.notes()[0][0] == 0
    assert piece.sounding.any(axis=(1, 2)).sum() == 16 + upbeat
    for whole in (sampled(bars=5), sampled(length=60), sampled(fills_upbeats=False)):
        assert (whole.num_steps, whole.upbeat) == (60, 0)


@pytest.mark.usefixtures("silence_around")
def test_a_sample_of_silence_stays_as_it_is() -> None:
    assert sampled().num_steps == 60


@GRIDS
@pytest.mark.parametrize("signature", [(3, 4), (4, 4), (5, 8), (1, 4)])
def test_sequences_of_any_length_are_encoded_again_as_they_were(
    signature: TimeSignature, grid: int
) -> None:
    """And a note stays where it is in its bar, also in a sequence no longer than a bar."""
    encoding = MusicEncoding(steps_per_quarter=grid, time_signature=signature, fills_upbeats=True)
    for length in range(1, 20):
        for first in range(length):
            values = np.zeros((length, 1, 88), np.uint8)
            values[first:, 0, 40] = 3
            piece = encoding.decode(values)
            assert np.array_equal(encoding.encode(piece), values)
            adapted, _ = encoding.adapt([piece])
            assert np.array_equal(adapted[0], values)


# A person's own pieces.


@GRIDS
@pytest.mark.parametrize("signature", [(3, 4), (5, 8), (9, 8), (7, 16), (4, 4)])
def test_pieces_come_back_and_go_on_at_their_bar_lines_on_any_grid(
    signature: TimeSignature, grid: int
) -> None:
    encoding = MusicEncoding(steps_per_quarter=grid, time_signature=signature, fills_upbeats=True)
    model = toy("lstm", Frames(88, True))
    beats, unit = signature
    for upbeat in range(4 * grid * beats // unit):
        for length in range(20, 26):
            notes = notes_at_each(length)
            longer = PianoRoll.from_notes(
                notes, num_steps=80, steps_per_quarter=grid, time_signature=signature
            ).with_upbeat(upbeat)
            roll = longer.stretch(0, length)
            part = known_whole(encoding, roll)
            assert isinstance(part, KnownMusic)
            assert part.decoded(part.values).roll == roll
            added = added_steps(model, encoding, roll, None, 1, 0)
            assert length + added in longer.bars().values()


def test_a_lone_piece_is_split_in_time_at_its_bar_lines(tmp_path: Path) -> None:
    # a quarter, and two bars
    roll = PianoRoll.from_notes([(4 * i, 4, 60 + i) for i in range(9)]).with_upbeat(4)
    (tmp_path / "tune").mkdir()
    write(tmp_path / "tune/a.npz", roll)
    dataset = prepare([tmp_path / "tune"], tmp_path / "dataset", Options())
    found = all_sequences(dataset)
    assert [len(values) for values in found] == [16, 16, 16]
    assert np.flatnonzero(found[0].any(axis=(1, 2))).tolist() == [12, 13, 14, 15]


def test_a_piece_of_rests_is_left_out_with_its_own_length(tmp_path: Path) -> None:
    (tmp_path / "tunes").mkdir()
    for number in range(3):
        write(tmp_path / f"tunes/{number}.npz", WALTZ.transposed(number))
    write(tmp_path / "tunes/rests.npz", PianoRoll.from_notes([], num_steps=34).with_upbeat(4))
    dataset = prepare([tmp_path / "tunes"], tmp_path / "dataset")
    reasons = [record["reason"] for record in dataset.manifest["skipped"]]
    assert reasons == ["holds no notes in range (34 steps)"]


def test_passages_that_are_compared_begin_after_the_upbeat() -> None:
    # In each bar one note of three is at its start. With the upbeat in the first passage, none
    # would be.
    notes = [(2, 2, 60)]
    for bar in range(12):
        notes += [(4 + 16 * bar + place, 2, 60 + place) for place in (0, 8, 12)]
    roll = PianoRoll.from_notes(notes, num_steps=4 + 192).with_upbeat(4)
    found = compare_pieces([roll], [roll.transposed(1)], [])
    assert found.figures["downbeat_rate"].samples.tolist() == [pytest.approx(1 / 3)]


FEW = ("--run", "run-rolls", "--seed", "1", "--particles", "2")
COMMANDS = [
    ("fill", "new.mid", "--free", "bars:2"),
    ("harmonize", "new.mid"),
    ("continue", "new.npz", "--bars", "1"),
    ("vary", "new.npz"),
]


@pytest.fixture
def of_waltz(toy_home: Path, call: Call, request: pytest.FixtureRequest) -> Call:
    """Commands on waltz.mid, by a run whose sequences begin at a bar line or do not."""
    path = toy_home / "run-rolls/dataset.json"
    dataset = json.loads(path.read_text())
    dataset["encoding"] |= {"fills_upbeats": request.param}
    encoding = encoding_from_json(dataset["encoding"])
    dataset["fingerprint"] = fingerprint_of(encoding, dataset["splits"])
    path.write_text(json.dumps(dataset))
    write(toy_home / "waltz.mid", WALTZ)
    return call


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("of_waltz", [True, False], indirect=True)
@pytest.mark.parametrize("words", COMMANDS)
def test_commands_give_a_piece_back_with_its_upbeat(words: tuple[str, ...], of_waltz: Call) -> None:
    verb, out, *options = words
    done = of_waltz(verb, "waltz.mid", *options, *FEW, "--out", out)
    assert done.returncode == 0, done.stderr
    assert b"upbeat" not in done.stderr
    roll = one_roll(read(done.stdout.decode().strip()))
    assert roll.upbeat * 4 // roll.steps_per_quarter == 4
    assert roll.time_signature == (3, 4)
    if verb == "continue":  # to the end of bar 3, and a bar more
        assert (roll.steps_per_quarter, roll.num_steps) == (2, 2 + 4 * 6)
    if verb == "fill":  # the toy model draws silence
        assert {start for start, _, _ in roll.notes()} == {0, 2, 4, 28}


def test_a_sample_has_no_upbeat(call: Call) -> None:
    call("sample", "run-rolls", "--length", "8", "--seed", "1", "--out", "sample.npz")
    assert one_roll(read("sample.npz")).upbeat == 0
