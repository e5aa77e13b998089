"""Upbeats in datasets and models: sequences begin at a bar line, and pieces come back with their
upbeat."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command import Call
from toy_models import toy
from toy_music import WALTZ

from lnfgen.data.dataset import fingerprint_of
from lnfgen.data.encoding import Encoding
from lnfgen.data.gather import Options
from lnfgen.data.prepare import prepare
from lnfgen.formats.read_write import read, write
from lnfgen.inference.filling import added_steps
from lnfgen.inference.known import decoded, known_part, known_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.models.observation import Frames
from lnfgen.music.comparison import compare_pieces
from lnfgen.music.pianoroll import PianoRoll


def test_sequences_of_a_dataset_begin_at_a_bar_line(tmp_path: Path) -> None:
    for name, upbeat in (("with", 4), ("without", 0)):
        source = tmp_path / name / "tunes"
        source.mkdir(parents=True)
        for number in range(3):
            write(source / f"{number}.npz", WALTZ.transposed(number).with_upbeat(upbeat))
        dataset = prepare([source], tmp_path / name / "dataset", Options(max_length=24))
        assert dataset.encoding.fills_upbeats
        first, rest = dataset.split("train")
        assert (len(first), len(rest)) == ((24, 18) if upbeat else (24, 10))
        silent = int((first != 0).any(axis=1).argmax())
        assert silent == (8 if upbeat else 0), "it is the bar of 12 steps before the upbeat of 4"
        piece, _ = dataset.pieces("train")
        assert isinstance(piece, PianoRoll)
        assert (piece.upbeat, piece.num_steps) == (upbeat, 24 - silent), (
            "the silence is no part of the piece"
        )
        assert piece.notes()[0][0] == 0


@pytest.mark.parametrize("metre", [(3, 4), (4, 4), (6, 8), (5, 8), (7, 16)])
@pytest.mark.parametrize("grid", [1, 2, 4])
def test_an_upbeat_becomes_silence_and_comes_back(metre: tuple[int, int], grid: int) -> None:
    for fills in (True, False):
        encoding = Encoding(
            "music", steps_per_quarter=grid, time_signature=metre, fills_upbeats=fills
        )
        assert Encoding.from_json(encoding.to_json()) == encoding
        for upbeat in range(bar := max(1, round(4 * grid * metre[0] / metre[1]))):
            notes = [(step, 1, 60 + step % 3) for step in range(30)]
            roll = PianoRoll.from_notes(
                notes, steps_per_quarter=grid, time_signature=metre
            ).with_upbeat(upbeat)
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
        roll = PianoRoll.from_notes(
            [(steps, 4, 60)] if steps < 40 else [], num_steps=40, time_signature=(3, 4)
        )
        assert roll.from_first_note() == roll
    assert WALTZ.from_bar_line().from_first_note() == WALTZ
    assert WALTZ.from_first_note() == WALTZ


@pytest.mark.parametrize("upbeat", [0, 4])
def test_a_sample_of_drawn_length_has_no_silent_bars_at_its_ends(
    upbeat: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model can draw them. The bars that a person asks for are all written, and so are those of
    published sets."""
    model = toy("lstm", Frames(88, True))
    drawn = torch.zeros(60, 88, dtype=torch.uint8)
    drawn[24 - upbeat : 40, 40] = 3  # bars 3 and 4, after the upbeat
    monkeypatch.setattr(model, "generate", lambda lengths, *others: [drawn[:60]] * len(lengths))

    def sampled(fills_upbeats: bool = True, **asked: int) -> PianoRoll:
        encoding = Encoding(
            "music", True, steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=fills_upbeats
        )
        (piece,) = sample_pieces(model, encoding, **asked)
        assert isinstance(piece, PianoRoll)
        return piece

    piece = sampled()
    assert (piece.num_steps, piece.upbeat, piece.num_bars) == (24 + upbeat, upbeat, 2)
    assert piece.notes()[0][0] == 0
    assert piece.sounding.any(axis=1).sum() == 16 + upbeat
    for whole in (sampled(bars=5), sampled(length=60), sampled(fills_upbeats=False)):
        assert (whole.num_steps, whole.upbeat) == (60, 0)
    drawn.zero_()
    assert sampled().num_steps == 60, "a piece of silence stays as it is"


@pytest.mark.parametrize("metre", [(3, 4), (4, 4), (5, 8), (1, 4)])
@pytest.mark.parametrize("grid", [1, 2, 3])
def test_sequences_of_any_length_are_encoded_again_as_they_were(
    metre: tuple[int, int], grid: int
) -> None:
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
def test_pieces_come_back_and_go_on_at_their_bar_lines_on_any_grid(
    metre: tuple[int, int], grid: int
) -> None:
    encoding = Encoding("music", steps_per_quarter=grid, time_signature=metre, fills_upbeats=True)
    model = toy("lstm", Frames(88, True))
    for upbeat in range(4 * grid * metre[0] // metre[1]):
        for length in range(20, 26):
            notes = [(step, 1, 60 + step % 3) for step in range(length)]
            roll = PianoRoll.from_notes(
                notes, steps_per_quarter=grid, time_signature=metre
            ).with_upbeat(upbeat)
            part = known_whole(encoding, roll)
            assert decoded(encoding, part, part.values) == roll
            longer = PianoRoll.from_notes(
                notes, num_steps=60, steps_per_quarter=grid, time_signature=metre
            )
            added = added_steps(model, encoding, roll, None, 1, 0)
            assert length + added in longer.with_upbeat(upbeat).bars().values()


def test_a_lone_piece_is_split_in_time_at_its_bar_lines(tmp_path: Path) -> None:
    # a quarter, and two bars
    roll = PianoRoll.from_notes([(4 * i, 4, 60 + i) for i in range(9)]).with_upbeat(4)
    (tmp_path / "tune").mkdir()
    write(tmp_path / "tune/a.npz", roll)
    dataset = prepare([tmp_path / "tune"], tmp_path / "dataset", Options())
    found = [values for split in dataset.split_names for values in dataset.split(split)]
    assert [len(values) for values in found] == [16, 16, 16]
    assert np.flatnonzero(found[0].any(axis=1)).tolist() == [12, 13, 14, 15]


def test_a_piece_of_rests_is_left_out_with_its_own_length(tmp_path: Path) -> None:
    (tmp_path / "tunes").mkdir()
    for number in range(3):
        write(tmp_path / f"tunes/{number}.npz", WALTZ.transposed(number))
    write(tmp_path / "tunes/rests.npz", PianoRoll.from_notes([], num_steps=34).with_upbeat(4))
    dataset = prepare([tmp_path / "tunes"], tmp_path / "dataset")
    assert [record["reason"] for record in dataset.manifest["skipped"]] == [
        "holds no notes in range (34 steps)"
    ]


@pytest.mark.parametrize("fills", [True, False])
def test_a_piece_stays_at_its_bar_lines(fills: bool) -> None:
    """Where nothing is changed, a piece comes back as it was, and nothing is drawn ahead of its
    upbeat."""
    encoding = Encoding("music", steps_per_quarter=4, time_signature=(3, 4), fills_upbeats=fills)
    for roll in (WALTZ, WALTZ.with_upbeat(0)):
        part = known_whole(encoding, roll)
        assert part.ahead == (8 if fills and roll.upbeat else 0)
        assert not part.values[: part.ahead].any()
        assert decoded(encoding, part, part.values) == roll.in_range(21, 88)
    part = known_part(encoding, WALTZ, ["bars:0"])
    steps = np.flatnonzero(part.hidden.any(axis=1)).tolist()
    assert steps == [part.ahead + step for step in range(4)], "the silence ahead of it is not free"


def test_passages_that_are_compared_begin_after_the_upbeat() -> None:
    # In each bar one note of three is at its start. With the upbeat in the first passage, none
    # would be.
    notes = [
        (2, 2, 60),
        *((4 + 16 * bar + place, 2, 60 + place) for bar in range(12) for place in (0, 8, 12)),
    ]
    roll = PianoRoll.from_notes(notes, num_steps=4 + 192).with_upbeat(4)
    found = compare_pieces([roll], [roll.transposed(1)], [])
    assert found.figures["downbeat_rate"].samples.tolist() == [pytest.approx(1 / 3)]


@pytest.mark.usefixtures("few_home_samples")
@pytest.mark.parametrize("fills", [True, False])
def test_commands_give_a_piece_back_with_its_upbeat(
    fills: bool, toy_home: Path, call: Call
) -> None:
    dataset = json.loads((toy_home / "run-rolls/dataset.json").read_text())
    dataset["encoding"] |= {"fills_upbeats": fills}
    dataset["fingerprint"] = fingerprint_of(
        Encoding.from_json(dataset["encoding"]), dataset["splits"]
    )
    (toy_home / "run-rolls/dataset.json").write_text(json.dumps(dataset))
    write(toy_home / "waltz.mid", WALTZ)
    few = ("--model", "run-rolls", "--seed", "1", "--out")
    for words in (
        ("fill", "waltz.mid", *few, "new.mid", "--free", "bars:2", "--particles", "2"),
        ("harmonize", "waltz.mid", *few, "new.mid", "--particles", "2"),
        ("continue", "waltz.mid", *few, "new.npz", "--bars", "1", "--particles", "2"),
        ("vary", "waltz.mid", *few, "new.npz", "--particles", "2"),
    ):
        done = call(*words)
        assert (done.returncode, b"upbeat" in done.stderr) == (0, False), done.stderr
        (roll,) = read(done.stdout.decode().strip())
        assert isinstance(roll, PianoRoll)
        assert (roll.upbeat * 4 // roll.steps_per_quarter, roll.time_signature) == (4, (3, 4)), (
            words
        )
        if words[0] == "continue":  # to the end of bar 3, and a bar more
            assert (roll.steps_per_quarter, roll.num_steps) == (2, 2 + 4 * 6)
        if words[0] == "fill":  # the toy model draws silence
            assert {start for start, _, _ in roll.notes()} == {0, 2, 4, 28}
    call("sample", "run-rolls", "--length", "8", "--seed", "1", "--out", "sample.npz")
    assert read("sample.npz")[0].upbeat == 0  # type: ignore[union-attr]
