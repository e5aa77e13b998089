"""Bars through the house: of batches, scores, samples and choices, and of a model that learns
them."""

import json
from collections import Counter
from dataclasses import replace
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
from lnfgen.formats.read_write import Piece
from lnfgen.inference.best import choose_best
from lnfgen.inference.filling import added_steps, fill_pieces, vary_pieces
from lnfgen.inference.known import known_intro, known_part, known_whole
from lnfgen.inference.sampling import sample_pieces
from lnfgen.inference.scoring import score
from lnfgen.inference.wishes import Wishes, wishes_for
from lnfgen.models.observation import Frames
from lnfgen.models.sequence_model import SequenceModel
from lnfgen.music.pianoroll import PianoRoll, bar_and_beats


def metres(*signatures: TimeSignature) -> torch.Tensor:
    return torch.from_numpy(ENCODING.metres(signatures))


def music_of(path: Path, **fields: object) -> Dataset:
    """Pieces that strike a key at the start of each bar, and another one on each other quarter."""
    pieces = []
    for signature, length in zip(SIGNATURES, LENGTHS.tolist(), strict=True):
        bar = bar_and_beats(signature, 4)[0]
        notes = [(step, 1, 60 if step % bar == 0 else 61) for step in range(0, length, 4)]
        roll = PianoRoll.from_notes(
            notes, num_steps=length, time_signature=signature, lowest_pitch=60, num_pitches=3
        )
        pieces.append(ENCODING.encode(roll))
    each = dict.fromkeys(("train", "valid", "test"), SIGNATURES)
    splits = dict.fromkeys(each, pieces)
    return write_dataset(
        path, name="bars", encoding=ENCODING, splits=splits, time_signatures=each, **fields
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return music_of(tmp_path_factory.mktemp("metres") / "bars")


def test_batches_tell_the_bars(dataset: Dataset) -> None:
    split = dataset.split("train")
    batch = collate([split[3], split[0]], [3, 0], split.metres)
    assert batch.metres is not None
    assert batch.metres.tolist() == [[12, 3, 2], [16, 4, 2]]
    moved = batch.to(torch.device("cpu"))
    assert moved.metres is not None
    assert torch.equal(moved.metres, batch.metres)
    for each in batches_by_length(split, 70):
        assert each.metres is not None
        assert torch.equal(each.metres, metres(*(SIGNATURES[index] for index in each.indices)))


def test_scores_are_those_of_each_piece_in_its_time_signature(dataset: Dataset) -> None:
    model, split = told("af-scf"), dataset.split("test")
    pieces = list(dataset.pieces("test"))
    again, _ = ENCODING.adapt(pieces)
    expected = score(model, split, ENCODING.unit, num_samples=3)
    assert score(model, again, ENCODING.unit, num_samples=3) == expected
    without = score(model, list(split), ENCODING.unit, num_samples=3)
    assert without.nll != expected.nll, "then all are taken to be in 4/4"


def test_samples_have_the_time_signature_that_is_asked_for_or_drawn() -> None:
    model = told("af-scf")
    pieces = drawn(sample_pieces(model, ENCODING, count=48, seed=2))
    counts = Counter(piece.time_signature for piece in pieces)
    assert set(counts) == {(4, 4), (3, 4), (6, 8)}
    assert counts[4, 4] > counts[6, 8]
    assert drawn(sample_pieces(model, ENCODING, count=20, seed=2)) == pieces[:20]
    in_three = drawn(
        sample_pieces(
            model, ENCODING, count=5, bars=3, wishes=Wishes(time_signature=(3, 4)), seed=2
        )
    )
    assert {(piece.time_signature, piece.num_steps) for piece in in_three} == {((3, 4), 36)}
    of_bars = drawn(sample_pieces(model, ENCODING, count=16, bars=2, seed=2))
    assert {(piece.time_signature, piece.num_steps) for piece in of_bars} >= {
        ((4, 4), 32),
        ((3, 4), 24),
    }
    for wrong in ((5, 8), (2, 4)):
        said = "found a time signature of {}/{}; expected one of those of the training data: 4/4, 3/4, 6/8"
        with pytest.raises(LnfgenError, match=said.format(*wrong)):
            next(sample_pieces(model, ENCODING, wishes=Wishes(time_signature=wrong)))
    without = toy("lstm", Frames(3, has_onsets=True))
    with pytest.raises(
        LnfgenError, match=r"was trained without time signatures, and writes all in 4/4"
    ):
        next(sample_pieces(without, ENCODING, wishes=Wishes(time_signature=(3, 4))))


def test_a_model_learns_where_bars_begin(dataset: Dataset, tmp_path: Path, here: Call) -> None:
    """It strikes the key of a bar's start there, in the time signature that it is told; and the
    commands can ask it."""
    sizes = {"hidden_size": 12, "embedding_size": 8, "num_layers": 1, "dropout": 0.0}
    values = {f"model.{name}": value for name, value in sizes.items()}
    values |= {"training.transpose": 0, "training.batch_size": 3}
    model = api.train(
        dataset,
        "lstm",
        "tiny",
        out=tmp_path / "run",
        seed=1,
        max_steps=200,
        emission="bernoulli",
        set=values,
    )
    assert model.model.time_signatures is not None
    for signature, bar in (((4, 4), 16), ((3, 4), 12)):
        pieces = drawn(
            iter(model.sample(count=8, bars=3, want={"metre": signature}, temperature=0.5, seed=3))
        )
        struck = Counter(
            start for piece in pieces for start, _, pitch in piece.notes() if pitch == 60
        )
        places = {start for start, count in struck.items() if count > 4}
        assert places == set(range(0, 3 * bar, bar))
    expected = score(model.model, dataset.split("test"), ENCODING.unit)
    assert model.nll(list(dataset.pieces("test"))).nll == pytest.approx(expected.nll)

    sampled = here(
        "sample", "run", "--out", "a.mid", "--want", "metre=3/4", "--bars", 3, "--seed", 3
    )
    assert sampled.returncode == 0, sampled.stderr
    told = json.loads(here("info", "a.mid", "--json").stdout)
    assert (told["time_signature"], told["bars"]) == ("3/4", 3)
    of_run = json.loads(here("info", "run", "--json").stdout)
    assert of_run["time_signatures"] == "4/4: 3, 3/4: 2, 6/8: 1"
    assert of_run["parameters"] == sum(weights.numel() for weights in model.model.parameters())
    for wrong, said in (
        ("3", b"error: the wish metre=3; expected a time signature"),
        ("3/5", b"error: the wish metre=3/5; expected a time signature"),
        (
            "7/8",
            b"error: found a time signature of 7/8; expected one of those of the training data: 4/4, 3/4, 6/8",
        ),
    ):
        failed = here("sample", "run", "--out", "b.mid", "--want", f"metre={wrong}")
        assert (failed.returncode, failed.stderr.splitlines()[-1][: len(said)]) == (1, said)
    assert not (tmp_path / "b.mid").exists()


def test_a_long_copy_is_over_four_bars_of_the_piece() -> None:
    notes = [(step, 4, 60 + step % 3) for step in range(0, 64, 4)]
    train = PianoRoll.from_notes(notes, num_steps=64, lowest_pitch=60, num_pitches=3)
    copied = train.stretch(0, 52)  # 13 quarters: over four bars of 3/4, and less than four of 4/4
    pieces = [copied, replace(copied, time_signature=(3, 4))]
    chosen = choose_best(told("lstm"), ENCODING, pieces, 2, [train])
    assert [(choice.index, choice.longest_copy) for choice in chosen] == [(0, 13)]


def test_what_a_metre_is() -> None:
    assert wishes_for(["metre=12/8"], ENCODING).time_signature == (12, 8)
    for wrong in ("3", "3/5", "0/4", "3/4/4", "-3/4", "9" * 5000 + "/4"):
        with pytest.raises(LnfgenError, match=r"the wish metre=.{,60}; expected a time signature"):
            wishes_for([f"metre={wrong}"], ENCODING)


# A person's own pieces.
# -----------------------------------------------------------------------------------------------


def made_of(model: SequenceModel, roll: PianoRoll) -> dict[str, Piece]:
    """A piece by each way of drawing from a piece."""
    found = {
        "fill": fill_pieces(model, ENCODING, known_part(ENCODING, roll, ["keys:C#4-D4"]), seed=1),
        "continue": fill_pieces(model, ENCODING, known_intro(ENCODING, roll, 24), seed=1),
        "vary": vary_pieces(model, ENCODING, known_whole(ENCODING, roll), amount=1, seed=1),
    }
    return {verb: next(each) for verb, each in found.items()}


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_own_pieces_keep_their_time_signature(name: str) -> None:
    """Also one that the training data does not have."""
    for signature in ((3, 4), (5, 8)):
        roll = PianoRoll.from_notes(
            [(0, 3, 60), (5, 2, 61)], num_steps=12, time_signature=signature
        )
        pieces = made_of(told(name), roll).values()
        assert {piece.time_signature for piece in pieces if isinstance(piece, PianoRoll)} == {
            signature
        }


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_pieces_that_are_drawn_depend_on_the_time_signature(name: str) -> None:
    """Of the same notes in 3/4 and in 6/8, whose bars are equally long, so that only what the model
    is told differs."""
    notes = [(0, 3, 60), (5, 2, 61)]
    in_three, in_six = (
        made_of(told(name), PianoRoll.from_notes(notes, num_steps=24, time_signature=signature))
        for signature in ((3, 4), (6, 8))
    )
    for verb, piece in in_three.items():
        assert isinstance(piece, PianoRoll)
        assert piece.notes() != in_six[verb].notes(), verb  # type: ignore[union-attr]


def test_a_piece_goes_on_to_a_length_of_its_time_signature() -> None:
    model = told("lstm")
    assert model.time_signatures is not None
    signatures: tuple[TimeSignature, ...] = ((3, 4), (4, 4))
    for signature in signatures:
        roll = PianoRoll.from_notes([(0, 12, 60)], num_steps=26, time_signature=signature)
        lengths = [26 + added_steps(model, ENCODING, roll, None, None, seed) for seed in range(20)]
        own = model.time_signatures.lengths_in(signature)
        seeds = (stream_seed(seed, 0) for seed in range(20))
        assert lengths == [own.sample(generator, beyond=26) for generator in generators(*seeds)]
