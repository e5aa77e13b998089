"""Bars in batches, scores, samples and own pieces, and a model that learns them."""

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest
import torch
from command import Call
from toy_dataset import write_dataset
from toy_metres import ENCODING, LENGTHS, SIGNATURES, drawn, generators, told
from toy_models import toy

import lnfgen as api
from lnfgen.conventions import TimeSignature, stream_seed
from lnfgen.data.batches import batches_by_length, collate
from lnfgen.data.dataset import Dataset
from lnfgen.errors import LnfgenError
from lnfgen.inference.filling import added_steps, fill_pieces, vary_pieces
from lnfgen.inference.known_part import known_intro, known_part, known_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.scoring import score
from lnfgen.inference.wishes import Wishes
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.song import Song
from lnfgen.music.time_signature import bar_and_beats
from lnfgen.runs.trained import TrainedModel

IN_THREE = Wishes(time_signature=(3, 4))


def bar_shapes(*signatures: TimeSignature) -> torch.Tensor:
    return torch.from_numpy(ENCODING.bar_shapes(signatures))


def music_of(path: Path) -> Dataset:
    """Pieces that strike a key at the start of each bar, and another one on each other quarter."""
    pieces = []
    for signature, length in zip(SIGNATURES, LENGTHS.tolist(), strict=True):
        bar, *_ = bar_and_beats(signature, 4)
        notes = [(step, 1, 60 if step % bar == 0 else 61) for step in range(0, length, 4)]
        roll = PianoRoll.from_notes(
            notes, num_steps=length, time_signature=signature, lowest_pitch=60, num_pitches=3
        )
        pieces.append(ENCODING.encode(roll))
    each = dict.fromkeys(("train", "valid", "test"), SIGNATURES)
    splits = dict.fromkeys(each, pieces)
    return write_dataset(path, name="bars", encoding=ENCODING, splits=splits, time_signatures=each)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return music_of(tmp_path_factory.mktemp("bar_shapes") / "bars")


def test_batches_have_the_bars(dataset: Dataset) -> None:
    split = dataset.split("train")
    batch = collate([split[3], split[0]], [3, 0], split.bar_shapes)
    assert batch.bar_shapes is not None
    assert batch.bar_shapes.tolist() == [[12, 3, 2], [16, 4, 2]]
    moved = batch.to(torch.device("cpu"))
    assert moved.bar_shapes is not None
    assert torch.equal(moved.bar_shapes, batch.bar_shapes)
    for each in batches_by_length(split, 70):
        assert each.bar_shapes is not None
        own = [SIGNATURES[index] for index in each.indices]
        assert torch.equal(each.bar_shapes, bar_shapes(*own))


def test_scores_are_those_of_each_piece_in_its_time_signature(dataset: Dataset) -> None:
    model = told("af-scf")
    split = dataset.split("test")
    again, _ = ENCODING.adapt(dataset.pieces("test"))
    expected = score(model, split, ENCODING.unit, num_samples=3)
    assert score(model, again, ENCODING.unit, num_samples=3) == expected
    without = score(model, list(split), ENCODING.unit, num_samples=3)
    assert without.nll != expected.nll, "then all are taken to be in 4/4"


# Samples.


def test_samples_have_the_time_signature_that_is_drawn() -> None:
    model = told("af-scf")
    pieces = drawn(sample_pieces(model, ENCODING, count=48, seed=2))
    counts = Counter(piece.time_signature for piece in pieces)
    assert set(counts) == {(4, 4), (3, 4), (6, 8)}
    assert counts[4, 4] > counts[6, 8]
    assert drawn(sample_pieces(model, ENCODING, count=20, seed=2)) == pieces[:20]


def sizes(pieces: Iterable[PianoRoll]) -> set[tuple[TimeSignature, int]]:
    return {(piece.time_signature, piece.num_steps) for piece in pieces}


def test_samples_have_the_time_signature_and_the_bars_that_are_asked_for() -> None:
    model = told("af-scf")
    in_three = drawn(sample_pieces(model, ENCODING, count=5, bars=3, wishes=IN_THREE, seed=2))
    assert sizes(in_three) == {((3, 4), 36)}
    of_bars = drawn(sample_pieces(model, ENCODING, count=16, bars=2, seed=2))
    assert sizes(of_bars) >= {((4, 4), 32), ((3, 4), 24)}


@pytest.mark.parametrize("wrong", [(5, 8), (2, 4)])
def test_a_time_signature_that_the_data_does_not_have_is_refused(wrong: TimeSignature) -> None:
    beats, unit = wrong
    said = (
        f"found a time signature of {beats}/{unit}; "
        "expected one of those of the training data: 4/4, 3/4, 6/8"
    )
    with pytest.raises(LnfgenError, match=said):
        next(sample_pieces(told("af-scf"), ENCODING, wishes=Wishes(time_signature=wrong)))


def test_a_model_without_time_signatures_writes_in_the_usual_one() -> None:
    without = toy("lstm", Frames(3, has_onsets=True))
    said = "was trained without time signatures, and writes all in 4/4"
    with pytest.raises(LnfgenError, match=said):
        next(sample_pieces(without, ENCODING, wishes=IN_THREE))


# A model that has learned them.


@pytest.fixture(scope="module")
def trained(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> TrainedModel:
    sizes = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1, "dropout": 0.0}
    values = {f"model.{name}": value for name, value in sizes.items()}
    values |= {"training.transpose": 0, "training.batch_size": 3}
    return api.train(
        dataset,
        "lstm",
        "tiny",
        out=tmp_path_factory.mktemp("trained") / "run",
        seed=1,
        max_steps=200,
        emission="bernoulli",
        set=values,
    )


@pytest.mark.parametrize(("signature", "bar"), [((4, 4), 16), ((3, 4), 12)])
def test_a_model_learns_where_bars_begin(
    signature: TimeSignature, bar: int, trained: TrainedModel
) -> None:
    """It strikes the key of a bar's start there, in the time signature that is given."""
    assert trained.model.time_signatures is not None
    want = {"time_signature": signature}
    pieces = trained.sample(count=8, bars=3, want=want, temperature=0.5, seed=3)
    struck: Counter[int] = Counter()
    for piece in drawn(iter(pieces)):
        struck.update([start for start, _, pitch in piece.notes() if pitch == 60])
    places = {start for start, count in struck.items() if count > 4}
    assert places == set(range(0, 3 * bar, bar))


def test_the_score_of_pieces_knows_their_bars(trained: TrainedModel, dataset: Dataset) -> None:
    expected = score(trained.model, dataset.split("test"), ENCODING.unit)
    assert trained.nll(list(dataset.pieces("test"))).nll == pytest.approx(expected.nll)


def test_commands_ask_for_a_time_signature(
    trained: TrainedModel, tmp_path: Path, here: Call
) -> None:
    run = trained.run.path
    asked = ("--want", "time_signature=3/4", "--bars", 3, "--seed", 3)
    sampled = here("sample", run, "--out", "a.mid", *asked)
    assert sampled.returncode == 0, sampled.stderr
    of_piece = json.loads(here("info", "a.mid", "--json").stdout)
    assert (of_piece["time_signature"], of_piece["bars"]) == ("3/4", 3)
    of_run = json.loads(here("info", run, "--json").stdout)
    assert of_run["time_signatures"] == "4/4: 3, 3/4: 2, 6/8: 1"
    assert of_run["parameters"] == sum(weights.numel() for weights in trained.model.parameters())
    for wrong, said in (
        ("3", "error: the wish time_signature=3; expected a time signature"),
        ("3/5", "error: the wish time_signature=3/5; expected a time signature"),
        ("7/8", "error: found a time signature of 7/8; expected one of those of the training data"),
    ):
        failed = here("sample", run, "--out", "b.mid", "--want", f"time_signature={wrong}")
        assert failed.returncode == 1
        assert failed.stderr.decode().splitlines()[-1].startswith(said)
    assert not (tmp_path / "b.mid").exists()


# A person's own pieces.


def made_of(model: SequenceModel, roll: PianoRoll) -> dict[str, PianoRoll]:
    """A piece by each way of drawing from a piece."""
    filled = fill_pieces(model, known_part(ENCODING, roll, ["keys:C#4-D4"]), seed=1)
    longer = fill_pieces(model, known_intro(ENCODING, roll, 24), seed=1)
    varied = vary_pieces(model, known_whole(ENCODING, roll), amount=1, seed=1)
    made = {}
    for verb, pieces in {"fill": filled, "continue": longer, "vary": varied}.items():
        song = next(pieces)
        assert isinstance(song, Song)
        made[verb] = song.roll
    return made


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_own_pieces_keep_their_time_signature(name: str) -> None:
    """Also one that the training data does not have."""
    notes = [(0, 3, 60), (5, 2, 61)]
    for signature in ((3, 4), (5, 8)):
        roll = PianoRoll.from_notes(notes, num_steps=12, time_signature=signature)
        rolls = made_of(told(name), roll).values()
        assert {roll.time_signature for roll in rolls} == {signature}


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_pieces_that_are_drawn_depend_on_the_time_signature(name: str) -> None:
    """Of the same notes in 3/4 and in 6/8, whose bars are equally long.

    So only what the model is given differs.
    """
    notes = [(0, 3, 60), (5, 2, 61)]
    made = []
    for signature in ((3, 4), (6, 8)):
        roll = PianoRoll.from_notes(notes, num_steps=24, time_signature=signature)
        made.append(made_of(told(name), roll))
    in_three, in_six = made
    for verb, roll in in_three.items():
        assert roll.notes() != in_six[verb].notes(), verb


@pytest.mark.parametrize("signature", [(3, 4), (4, 4)])
def test_a_piece_goes_on_to_a_length_of_its_time_signature(signature: TimeSignature) -> None:
    model = told("lstm")
    assert model.time_signatures is not None
    roll = PianoRoll.from_notes([(0, 12, 60)], num_steps=26, time_signature=signature)
    lengths = [26 + added_steps(model, ENCODING, roll, None, None, seed) for seed in range(20)]
    own = model.time_signatures.lengths_in(signature)
    seeds = [stream_seed(seed, 0) for seed in range(20)]
    assert lengths == [own.sample(generator, beyond=26) for generator in generators(*seeds)]
