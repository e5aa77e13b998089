"""Where the blocks of a flow by blocks begin: cut and put together again, at words, as often as is said."""

import dataclasses
import itertools
import math

import pytest
import torch
from toy_models import LENGTHS, SIZES, every_sequence, randomise, sample_batch

from lnfgen.config import NAMED_MODELS
from lnfgen.flows.blocks import SLACK, Blocks, WordStarts
from lnfgen.flows.blockwise import IN_TRAINING, BlockwiseFlow
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, Symbols
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract

SPACE = 0


def word_starts(passes: tuple[int, ...] = (2, 4, 8)) -> WordStarts:
    return randomise(WordStarts([SPACE], passes), 1.0)


def codes_of(text: str) -> torch.Tensor:
    return torch.tensor([[SPACE if character == " " else 1 for character in text]])


def cut(text: str, passes: int) -> list[str]:
    blocks = word_starts().of(codes_of(text), torch.tensor([len(text)]), passes)
    bounds = [*blocks.starts[0].tolist(), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


@pytest.mark.parametrize("passes", [1, 2, 3, 5, 8, 13])
def test_what_is_folded_unfolds_and_places_count_from_the_start_of_each_block(passes):
    lengths = torch.tensor([8, 1, 5])
    sizes = torch.randint(1, passes + 1, (3, 8), generator=torch.Generator().manual_seed(passes))
    blocks = Blocks.chained(sizes, lengths, passes)
    x = torch.arange(1.0, 49).view(3, 8, 2)
    folded = blocks.folded(x)
    is_real = torch.arange(8) < lengths[:, None]
    assert torch.equal(blocks.unfolded(folded), torch.where(is_real[..., None], x, 0))
    assert (folded[~blocks.is_real] == 0).all()
    for row, length in enumerate(lengths.tolist()):
        start = 0
        for block in range(int(blocks.counts[row])):
            size = int(sizes[row, start]) if length - start > passes else length - start
            assert torch.equal(folded[row, block, :size], x[row, start : start + size])
            assert blocks.places[row, start : start + size].tolist() == list(range(size))
            start += size
        assert start == length
        assert (blocks.places[row, length:] == passes).all()


def test_a_block_ends_with_the_last_word_that_ends_within_its_passes():
    assert cut("to be or not to be", 8) == ["to be ", "or not ", "to be"]
    assert cut("to be or not to be", 6) == ["to be ", "or ", "not ", "to be"]  # "not to" has no space after it by then
    assert cut("a  b  c", 3) == ["a  ", "b  ", "c"]
    assert cut(" a b", 2) == [" ", "a ", "b"]


def test_a_word_that_is_longer_than_a_block_is_cut():
    assert cut("nevertheless we go", 5) == ["never", "thele", "ss ", "we go"]
    assert cut("x" * 12, 5) == ["xxxxx", "xxxxx", "xx"]
    long = "a " + "x" * (SLACK + 3) + " b"
    assert cut(long, SLACK + 2)[0] == long[: SLACK + 2]  # its slack would be too large
    assert cut(long, SLACK + 1)[0] == "a "


@pytest.mark.parametrize("passes", [3, 8, 20])
def test_no_word_that_fits_is_shared_by_two_blocks(passes):
    generator = torch.Generator().manual_seed(passes)
    for _ in range(30):
        words = ["x" * int(torch.randint(1, passes, (), generator=generator)) for _ in range(20)]
        blocks = cut(" ".join(words), passes)
        assert [word for block in blocks for word in block.split()] == words
        assert all(len(block) <= passes for block in blocks)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize(("passes", "length"), [(1, 3), (2, 5), (3, 7), (8, 9), (40, 42)])
@torch.no_grad()
def test_the_probabilities_of_all_starts_sum_to_1(passes, length, temperature):
    words, total = word_starts(), 0.0
    most = min(passes, SLACK)

    def chains(start: int) -> list[dict[int, int]]:
        if length - start <= passes:
            return [{}]
        sizes = range(passes - most + 1, passes + 1)
        return [{start: size, **rest} for size in sizes for rest in chains(start + size)]

    for chain in chains(0):
        sizes = torch.tensor([[chain.get(step, 1) for step in range(length)]])
        blocks = Blocks.chained(sizes, torch.tensor([length]), passes)
        assert blocks.starts[0].tolist()[:-1] == sorted(chain)
        total += math.exp(float(words.log_prob(blocks, temperature).sum()))
    assert total == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@torch.no_grad()
def test_starts_are_drawn_as_often_as_they_are_likely(temperature):
    words, count, lengths = word_starts(), 20_000, torch.tensor([7])
    noise = torch.randn(count, 7, generator=torch.Generator().manual_seed(0))
    blocks = words.draw(noise, lengths.expand(count), 3, temperature)
    probabilities = words.log_prob(blocks, temperature).sum(1).exp()
    for chain in blocks.starts.unique(dim=0):
        same = (blocks.starts == chain).all(1)
        p = float(probabilities[same][0])
        assert abs(float(same.float().mean()) - p) < 4 * (p * (1 - p) / count) ** 0.5


def toy(passes: int) -> SequenceModel:
    """Its codes lie apart, so a symbol is the code that is drawn."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS["blocks-codes"])
    model = build_model(config, Symbols(3, (SPACE,)), LengthModel.fit(LENGTHS)).eval()
    assert isinstance(model.prior, BlockwiseFlow)
    for part in (model.prior.features.conditioner, model.prior.within, model.prior.ahead, model.prior.words):
        randomise(part, 0.4)
    model.prior.passes = passes
    return model


STEPS = 4


@torch.no_grad()
def joint(model: SequenceModel, passes: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """p(x) of every x `[X]` that the model draws, a sum over all starts, and what the model scores it."""
    x = every_sequence(model.observation, STEPS)
    noise, words = torch.randn(1, len(x), STEPS, 4, generator=torch.Generator().manual_seed(1)), model.prior.words
    scored = model(x, torch.full((len(x),), STEPS), noise)
    of, total = words.of, torch.zeros(len(x))
    for sizes in itertools.product(range(1, passes + 1), repeat=STEPS):
        each = torch.tensor([sizes])
        blocks = Blocks.chained(each, torch.tensor([STEPS]), passes)
        unused = set(range(STEPS)) - set(blocks.starts[0].tolist()[:-1])
        if any(sizes[step] > 1 for step in unused):
            continue  # the same starts as others
        words.of = lambda codes, lengths, passes, each=each: Blocks.chained(each.expand_as(codes), lengths, passes)
        terms = model(x, torch.full((len(x),), STEPS), noise)
        total += (terms.reconstruction - terms.kl)[0].exp()
    words.of = of
    return x, total, (scored.reconstruction - scored.kl)[0].exp()


@pytest.mark.parametrize("passes", [1, 2, 3])
@torch.no_grad()
def test_draws_and_fills_are_as_likely_as_all_starts_together_and_scores_are_a_part_of_that(passes):
    model, count = toy(passes), 6000
    x, p, scored = joint(model, passes)
    assert float(p.sum()) == pytest.approx(1, abs=0.01)
    assert (scored <= p * 1.01).all()
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    drawn = torch.stack(sample_batch(model, [STEPS] * count, generators, 1.0))
    shares = torch.stack([(drawn == row).all(1).float().mean() for row in x])
    assert float((shares - p).abs().sum() / 2) < 0.05
    whole = torch.tensor([1, SPACE, 2, 1])
    mask = torch.tensor([False, True, False, True])
    fits = (x[:, mask] == whole[mask]).all(1)
    filled = draw_hidden(model, Known(whole.expand(1000, -1), mask.expand(1000, -1)), 64, generators[:1000])
    shares = torch.stack([(filled == row).all(1).float().mean() for row in x[fits]])
    assert float((shares - p[fits] / p[fits].sum()).abs().sum() / 2) < 0.08


def test_a_text_without_white_space_has_blocks_of_one_size():
    config = dataclasses.replace(SIZES, **NAMED_MODELS["blocks-codes"])
    model = build_model(config, Symbols(3), LengthModel.fit(LENGTHS))
    assert isinstance(model.prior, BlockwiseFlow)
    assert model.prior.words is None


def test_other_numbers_of_passes_have_the_table_of_the_nearest():
    words = word_starts(IN_TRAINING[:-1])
    blocks = [Blocks.chained(torch.tensor([[3] * 40]), torch.tensor([40]), passes) for passes in (5, 25)]
    for given, table in zip(blocks, (4, 32), strict=True):
        row = words.slack[IN_TRAINING.index(table)][: given.passes]
        expected = torch.log_softmax(row, 0)[given.passes - 3]
        torch.testing.assert_close(words.log_prob(given, 1.0)[0, 0], expected)
