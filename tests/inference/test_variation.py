"""The random numbers of a piece: they give it back, they have the prior's law, and what vary, interpolate and
reconstruct make of them."""

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from command import Call, fails
from test_filling import KEYS, random_roll, small_music
from toy_models import OUTPUTS, every_sequence, random_x, randomise, toy

import lnfgen
from lnfgen.data.encoding import Encoding
from lnfgen.errors import LnfgenError
from lnfgen.inference.given import given_whole
from lnfgen.inference.variation import interpolate_pieces, reconstruct_piece, share_of, slerp, vary_piece
from lnfgen.models import Observation, SequenceModel, Symbols
from lnfgen.models.noise import noise_of, output_noise, sequence_of
from lnfgen.music.pianoroll import PianoRoll

LETTERS = Encoding("text", vocabulary=("\ufffd", "a", "b", "c"))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.contract
def test_the_numbers_of_a_sequence_give_it_back(model: SequenceModel) -> None:
    for seed in range(2):
        x = random_x(model.observation, 1, 4, seed)[0]
        noise = noise_of(model, x, generator(seed), num_samples=3)
        assert torch.equal(sequence_of(model, noise).to(x.dtype), x)


@pytest.mark.contract
@torch.no_grad()
@pytest.mark.parametrize("amount", [0.4, pytest.param(1.0, marks=pytest.mark.slow)])
def test_what_is_near_a_sample_is_a_sample(observation: Observation, emission: str, amount: float) -> None:
    """Summed over every sequence of an exact model: noise given x ~ p, moved by any amount, gives x' ~ p."""
    model = toy("lstm", observation, emission=emission)
    x = every_sequence(observation, 2)
    lengths = torch.full((len(x),), 2)
    p = torch.softmax(model(x, lengths, None).reconstruction[0].double(), 0)
    rows = torch.multinomial(p, 4000, replacement=True, generator=generator())
    logits = model.explain(x, lengths, None, torch.zeros(1))[1].double()  # of the baseline, it takes many at once
    uniform = torch.rand(logits[rows].shape, dtype=torch.float64, generator=generator(1))
    noise = output_noise(observation, logits[rows], x[rows], uniform)
    assert abs(noise.mean()) < 0.04
    assert abs(noise.var() - 1) < 0.06
    fresh = torch.randn(noise.shape, dtype=torch.float64, generator=generator(2))
    moved = (1 - amount**2) ** 0.5 * noise + amount * fresh
    drawn = torch.stack(model.generate([2] * len(rows), None, torch.special.ndtr(moved), 1.0))
    powers = 4 ** torch.arange(x[0].numel())
    keys = (x.long().flatten(1) * powers).sum(1)
    order = keys.argsort()
    found = order[torch.searchsorted(keys[order], (drawn.long().flatten(1) * powers).sum(1))]
    shares = torch.bincount(found, minlength=len(x)) / len(rows)
    assert float(0.5 * (shares - p).abs().sum()) < 0.5 * float((p / len(rows)).sqrt().sum()) + 0.01
    if amount == 1:  # nothing is left of x
        kept = float((found == rows).double().mean())
        assert abs(kept - float((p**2).sum())) < 0.03


@pytest.mark.contract
def test_the_latent_of_samples_has_the_law_of_the_prior() -> None:
    """With a posterior that covers the prior, importance resampling gives eps ~ N(0, 1) again."""
    observation, emission = OUTPUTS["symbols"]
    model = toy("af-scf", observation, emission=emission)
    randomise(model.prior, 0.1)
    head = model.posterior.head
    head.weight.data.zero_()
    head.bias.data.copy_(torch.tensor(4 * [0.0] + 4 * [3.0]))
    eps = []
    for seed in range(120):
        x = model.sample(4, generator(seed), 1.0)
        noise = noise_of(model, x, generator(10_000 + seed), num_samples=16)
        assert noise.latent is not None
        eps.append(noise.latent)
    every = torch.stack(eps)
    assert abs(every.mean()) < 0.08
    assert abs(every.var() - 1) < 0.12


def test_steps_stay_on_the_sphere() -> None:
    first, second = (torch.randn(50, 40, dtype=torch.float64, generator=generator(seed)) for seed in (1, 2))
    assert torch.equal(slerp(first, second, 0.0).round(decimals=9), first.round(decimals=9))
    assert torch.equal(slerp(first, second, 1.0).round(decimals=9), second.round(decimals=9))
    middle = slerp(first, second, 0.5)
    assert torch.allclose(middle.norm(dim=1), (first.norm(dim=1) + second.norm(dim=1)) / 2)
    assert torch.allclose(slerp(first, first, 0.3), first)
    assert slerp(first, -first, 0.3).isfinite().all()


@pytest.mark.parametrize("name", ["lstm", "af-scf"])
def test_a_variation_goes_from_the_piece_to_a_sample(name: str) -> None:
    model, encoding = small_music(True, name, "past" if name == "lstm" else "bernoulli")
    roll = random_roll(True, 3, steps=12)
    given = given_whole(encoding, roll)
    shares = []
    for amount in (0.0, 1e-9, 0.02, 0.3, 1.0):
        varied = list(vary_piece(model, encoding, given, amount=amount, count=4, seed=1))
        assert [len(variation.shared) for variation in varied] == [1] * 4
        shares.append(sum(variation.shared[0] for variation in varied) / 4)
        if amount < 1e-6:
            assert all(variation.piece.notes() == roll.notes() for variation in varied)
    assert shares[:2] == [1, 1]
    assert shares == sorted(shares, reverse=True)
    first, second = vary_piece(model, encoding, given, amount=0.3, count=2, seed=1)
    (alone,) = vary_piece(model, encoding, given, amount=0.3, seed=1)
    assert alone.piece.notes() == first.piece.notes() != second.piece.notes()
    assert share_of(roll, roll) == 1


@pytest.mark.parametrize("name", ["lstm", "coupling"])
def test_the_way_between_two_pieces_ends_at_them(name: str) -> None:
    model, encoding = small_music(False, name, "nade")
    ends = [given_whole(encoding, random_roll(False, seed, steps)) for seed, steps in ((1, 8), (2, 16))]
    way = list(interpolate_pieces(model, encoding, *ends, steps=5, seed=3))
    assert [one.piece.num_steps for one in way] == [8, 8, 12, 16, 16]  # whole bars
    assert (way[0].shared[0], way[-1].shared[1]) == (1, 1)
    assert way[0].piece.notes() == ends[0].piece.notes()
    assert way[-1].piece.notes() == ends[1].piece.notes()
    assert {one.shared for one in interpolate_pieces(model, encoding, ends[0], ends[0], steps=4)} == {(1.0, 1.0)}
    odd = given_whole(encoding, random_roll(False, 3, 9))
    assert [one.piece.num_steps for one in interpolate_pieces(model, encoding, ends[0], odd, steps=3)][1] == 8


@pytest.mark.parametrize("name", ["lstm", "iaf-scf"])
def test_texts_vary_too_and_keep_what_the_model_does_not_know(name: str) -> None:
    model = toy(name, Symbols(4))
    given, other = given_whole(LETTERS, "abxcab"), given_whole(LETTERS, "bca")
    assert given.changes.unknown == 1
    (same,) = vary_piece(model, LETTERS, given, amount=1e-9)
    assert same.piece == "abxcab"
    varied = {one.piece for one in vary_piece(model, LETTERS, given, amount=0.9, count=6)}
    assert len(varied) > 3
    assert {len(text) for text in varied} == {6}
    way = [one.piece for one in interpolate_pieces(model, LETTERS, given, other, steps=4)]
    assert (way[0], way[-1], len(way[1]), len(way[2])) == ("abxcab", "bca", 5, 4)


def test_a_reconstruction_follows_the_latent_alone() -> None:
    """Where z is as good as x, it gives the piece back; the output's own numbers are drawn anew."""
    model = toy("af-only", Symbols(4))
    given = given_whole(LETTERS, "abcabcabc")
    drawn = [one.piece for one in reconstruct_piece(model, LETTERS, given, count=4, seed=2)]
    assert len(set(drawn)) > 1
    cold = [next(reconstruct_piece(model, LETTERS, given, temperature=0.0, seed=2)).piece for _ in range(2)]
    assert cold[0] == cold[1]
    with pytest.raises(LnfgenError, match="no latent"):
        list(reconstruct_piece(toy("lstm", Symbols(4)), LETTERS, given))


def test_an_odd_request_is_refused() -> None:
    model, encoding = small_music(True)
    given = given_whole(encoding, random_roll(True, 1))
    vary, between = partial(vary_piece, model, encoding, given), partial(interpolate_pieces, model, encoding)
    for words, draw in (
        ("an amount of 1.5", lambda: vary(amount=1.5)),
        ("an amount of nan", lambda: vary(amount=float("nan"))),
        ("0 pieces", lambda: vary(amount=0.1, count=0)),
        ("a seed of -1", lambda: vary(amount=0.1, seed=-1)),
        ("1 step;", lambda: between(given, given, steps=1)),
        ("expected music", lambda: iter([given_whole(encoding, "abc")])),
        ("without notes", lambda: iter([given_whole(encoding, PianoRoll.from_notes([], steps_per_quarter=1))])),
        ("empty text", lambda: iter([given_whole(LETTERS, "")])),
        ("expected text", lambda: iter([given_whole(LETTERS, random_roll(True, 1))])),
    ):
        with pytest.raises(LnfgenError, match=words):
            list(draw())
    assert encoding.num_pitches == KEYS


# Python and commands, on the models in the box. ----------------------------------------------------------------------


@pytest.mark.usefixtures("few_home_samples")
def test_a_melody_out_of_range_is_moved_and_comes_back() -> None:
    model = lnfgen.load("chorales")
    melody = PianoRoll.from_notes([(0, 2, 100), (2, 4, 102), (6, 2, 100)], steps_per_quarter=2)
    (same,) = model.vary(melody, amount=0)
    assert isinstance(same, PianoRoll)
    assert same.notes() == melody.notes()
    (other,) = model.vary(melody, amount=1, seed=1)
    assert isinstance(other, PianoRoll)
    assert other.notes() != melody.notes()
    assert len(model.reconstruct(melody)) == 1


@pytest.mark.usefixtures("few_home_samples")
def test_commands_of_music(here: Call) -> None:
    song = PianoRoll.from_notes([(0, 4, 67), (4, 4, 69), (0, 8, 48), (9, 7, 65)], steps_per_quarter=4)
    lnfgen.write("song.mid", song)
    done = here("vary", "song.mid", "--out", "new.mid", "--count", "2", "--seed", "1")
    assert done.stdout.split() == [b"new-01.mid", b"new-02.mid"]
    assert b"the model in the box: chorales" in done.stderr
    assert b"rounded 1 start" in done.stderr
    facts = json.loads(here("vary", "song.mid", "--out", "same.mid", "--amount", "0", "--json").stdout)
    assert (facts["run"], facts["amount"], facts["pieces"][0]["shared"]) == ("chorales", 0, 1)
    done = here("interpolate", "song.mid", "new-01.mid", "--out", "way.html", "--steps", "3", "--json", "--seed", "1")
    facts = json.loads(done.stdout)
    assert [piece["path"] for piece in facts["pieces"]] == ["way.html"] * 3
    assert (facts["pieces"][0]["shared"][0], facts["pieces"][2]["shared"][1]) == (1, 1)
    fails(here("vary", "song.mid", "--out", "x.mid", "--amount", "2"), "an amount of 2")
    fails(here("vary", "none.mid", "--out", "x.mid"), "none.mid is not there")
    fails(here("interpolate", "song.mid", "song.mid", "--out", "-"), "--steps 8")
    fails(here("interpolate", "-", "-", "--out", "x.mid"), "found - twice")
    fails(here("vary", "song.mid", "--out", "x.abc"), "chorales makes music")


def test_commands_of_text(call: Call, toy_home: Path) -> None:
    (toy_home / "line.txt").write_text("ab ba ab\n")
    same = call("vary", "line.txt", "--model", "run-lines", "--out", "-", "--amount", "0", "--seed", "1")
    assert same.stdout == b"ab ba ab"
    done = call("interpolate", "line.txt", "line.txt", "--model", "run-lines", "--out", "way.txt", "--steps", "2")
    assert done.stdout.split() == [b"way-01.txt", b"way-02.txt"]
    assert (toy_home / "way-01.txt").read_text() == "ab ba ab"
    assert call("reconstruct", "line.txt", "--model", "run-lines", "--out", "r.txt").stdout == b"r.txt\n"
    fails(call("reconstruct", "line.txt", "--model", "folk-abc", "--out", "r.txt"), "no latent", "af-scf", "vary")
