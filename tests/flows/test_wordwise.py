"""Blocks that begin with words: where, how likely, and what may follow."""

import dataclasses
import itertools
import math

import pytest
import torch
from toy_models import LENGTHS, SIZES, every_sequence, randomise, sample_batch

from lnfgen.config import NAMED_MODELS
from lnfgen.flows.blocks import Blocks
from lnfgen.flows.blockwise import IN_TRAINING, BlockwiseFlow
from lnfgen.flows.wordwise import FORESEEN, SLACK, Foresight, WordStarts, WordwiseFlow
from lnfgen.inference.particles import draw_hidden
from lnfgen.models.build import build_model
from lnfgen.models.length import LengthModel
from lnfgen.models.observation import Known, Symbols
from lnfgen.models.sequence_model import SequenceModel

pytestmark = pytest.mark.contract

SPACE = 0


def word_starts(passes: tuple[int, ...] = (2, 4, 8)) -> WordStarts:
    return randomise(WordStarts([SPACE], 2, passes), 1.0)


def codes_of(text: str) -> torch.Tensor:
    return torch.tensor([[SPACE if character == " " else 1 for character in text]])


def cut(text: str, passes: int) -> list[str]:
    blocks = word_starts().of(codes_of(text), torch.tensor([len(text)]), passes)
    bounds = [*blocks.starts[0].tolist(), len(text)]
    return [text[start:end] for start, end in itertools.pairwise(bounds)]


def test_a_block_ends_with_the_last_word_that_ends_within_its_passes():
    assert cut("to be or not to be", 8) == ["to be ", "or not ", "to be"]
    # "not to" has no space after it by then
    assert cut("to be or not to be", 6) == ["to be ", "or ", "not ", "to be"]
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


def chains(passes: int, length: int) -> list[list[int]]:
    """The sizes of all but the last block, in all ways that slack allows."""

    def after(start: int, before: int) -> list[list[int]]:
        if length - start <= passes:
            return [[]]
        found = []
        for slack in range(min(passes, SLACK, before)):
            size = passes - slack
            for rest in after(start + size, size):
                found.append([size, *rest])
        return found

    return after(0, passes)


def blocks_of(sizes: list[int], passes: int, length: int, rows: int = 1) -> Blocks:
    at = dict(zip(itertools.accumulate([0, *sizes]), sizes, strict=False))
    lengths = torch.full((rows,), length)
    return Blocks.chained(lambda row, start, before: at[start], lengths, length, passes)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@pytest.mark.parametrize(("passes", "length"), [(1, 3), (2, 5), (3, 7), (8, 9), (40, 42)])
@torch.no_grad()
def test_the_probabilities_of_all_starts_sum_to_1(passes, length, temperature):
    words = word_starts()
    total = 0.0
    for sizes in chains(passes, length):
        log_p = words.log_prob(blocks_of(sizes, passes, length), temperature)
        total += math.exp(log_p.sum())
    assert total == pytest.approx(1, abs=1e-5)


def foreseen(shape: tuple[int, ...]) -> tuple[torch.Tensor, torch.Tensor]:
    """All lengths of words are equally likely."""
    lasts = torch.full((*shape, 2, FORESEEN + 1), 1 / (FORESEEN + 1))
    return lasts, Foresight(1, 1, 2).ends_after().detach()


@pytest.mark.parametrize(
    ("passes", "length"), [(1, 3), (2, 6), (3, 8), (5, 9), (SLACK + 2, SLACK + 5)]
)
def test_starts_are_those_of_a_sequence_if_and_only_if_no_code_of_it_is_barred(passes, length):
    words = word_starts()
    codes = torch.cartesian_prod(*[torch.arange(2)] * min(length, 9))
    rest = torch.ones(len(codes), length - codes.shape[1], dtype=torch.long)
    codes = torch.cat([codes, rest], 1)
    codes = torch.cat([codes, codes.flip(1)])
    own = words.of(codes, torch.full((len(codes),), length), passes)
    own_starts = [
        starts[:count].tolist() for starts, count in zip(own.starts, own.counts, strict=True)
    ]
    found = torch.zeros(len(codes), dtype=torch.long)
    places = torch.arange(passes)
    for sizes in chains(passes, length):
        blocks = blocks_of(sizes, passes, length, len(codes))
        ends = words.ends(blocks, codes)
        late_ends = (ends & (places >= passes - SLACK)).cumsum(2)
        has_ended = late_ends.roll(1, 2).where(places > 0, 0) > 0
        may_be_cut = blocks.is_full[..., None] & ~has_ended
        added = words.added(blocks, places, may_be_cut, *foreseen(ends.shape))
        of_codes = blocks.unfolded(added).gather(2, codes[..., None])[..., 0]
        is_barred = (of_codes == -math.inf).any(1)
        starts = blocks.starts[0, : len(sizes) + 1].tolist()
        same = torch.tensor([row == starts for row in own_starts])
        assert torch.equal(~is_barred, same)
        found += same
    assert (found == 1).all()


def ways_between(first: int, end: int) -> list[list[int]]:
    """The ends of words, in all ways that have one at `first`, one at `end`, and none after it."""
    if first == end:
        return [[first]]
    if first > end:
        return []
    between = range(first + 1, end)
    found = []
    for count in range(len(between) + 1):
        for chain in itertools.combinations(between, count):
            found.append([first, *chain, end])
    return found


@torch.no_grad()
def test_words_follow_an_end_as_often_as_in_all_sequences_of_words_with_lengths_from_the_table():
    foresight = randomise(Foresight(1, 1, 2), 1.0)
    lengths = torch.softmax(foresight.lengths, -1).tolist()
    ends_after = foresight.ends_after()
    for first, end in itertools.product(range(1, FORESEEN + 2), range(1, 8)):
        p = 0.0
        for way in ways_between(first, end):
            p += math.prod(lengths[after - before - 1] for before, after in itertools.pairwise(way))
        assert float(ends_after[first - 1, end]) == pytest.approx(p, abs=1e-6)
    assert (ends_after[:, 0] == 1).all()


@pytest.mark.parametrize("temperature", [1.0, 0.5])
@torch.no_grad()
def test_starts_are_drawn_as_often_as_they_are_likely(temperature):
    words = word_starts()
    count = 20_000
    noise = torch.randn(count, 7, generator=torch.Generator().manual_seed(0))
    blocks = words.draw(noise, torch.tensor([7]).expand(count), 3, temperature)
    probabilities = words.log_prob(blocks, temperature).sum(1).exp()
    for chain in blocks.starts.unique(dim=0):
        same = (blocks.starts == chain).all(1)
        p = float(probabilities[same][0])
        share = float(same.float().mean())
        assert abs(share - p) < 4 * (p * (1 - p) / count) ** 0.5


@torch.no_grad()
def test_at_temperature_0_a_slack_is_the_likeliest_that_may_be() -> None:
    words = word_starts()
    words.slack.copy_(torch.tensor([3.0, 0.0, 4.0, 1.0] + [2.0] * (SLACK - 4)))
    blocks = words.draw(torch.zeros(1, 12), torch.tensor([12]), 4, 0.0)
    assert blocks.sizes.tolist() == [[2, 4, 2, 4]], "slacks of 2, less than 2, 2, and what is left"


def toy(passes: int) -> SequenceModel:
    """Its codes lie apart, so a symbol is the code that is drawn."""
    torch.manual_seed(0)
    config = dataclasses.replace(SIZES, **NAMED_MODELS["blocks-codes"])
    model = build_model(config, Symbols(3, (SPACE,)), LengthModel.fit(LENGTHS)).eval()
    prior = model.prior
    assert isinstance(prior, WordwiseFlow)
    conditioner = prior.features.conditioner
    for module in (conditioner, prior.within, prior.ahead, prior.words, prior.foresight):
        randomise(module, 0.4)
    prior.passes = passes
    return model


def shares_of(drawn: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    """How often each of the sequences x `[M, T]` is among those that were drawn `[N, T]`: `[M]`."""
    return torch.stack([(drawn == row).all(1).float().mean() for row in x])


STEPS = 4


@pytest.mark.parametrize("passes", [3, *[pytest.param(n, marks=pytest.mark.slow) for n in (1, 2)]])
@torch.no_grad()
def test_probabilities_sum_to_1_and_draws_and_fills_have_them(passes):
    model = toy(passes)
    count = 6000
    x = every_sequence(model.observation, STEPS)
    noise = torch.randn(1, len(x), STEPS, 4, generator=torch.Generator().manual_seed(1))
    terms = model(x, torch.full((len(x),), STEPS), noise)
    p = (terms.reconstruction - terms.kl)[0].exp()
    assert float(p.sum()) == pytest.approx(1, abs=0.01)
    generators = [torch.Generator().manual_seed(seed) for seed in range(count)]
    drawn = torch.stack(sample_batch(model, [STEPS] * count, generators, 1.0))
    assert float((shares_of(drawn, x) - p).abs().sum() / 2) < 0.05
    whole = torch.tensor([1, SPACE, 2, 1])
    mask = torch.tensor([False, True, False, True])
    fits = (x[:, mask] == whole[mask]).all(1)
    known = Known(whole.expand(1000, -1), mask.expand(1000, -1))
    filled = draw_hidden(model, known, 64, generators[:1000])
    expected = p[fits] / p[fits].sum()
    assert float((shares_of(filled, x[fits]) - expected).abs().sum() / 2) < 0.08


@pytest.mark.parametrize("size", [3, 6, 8])
@torch.no_grad()
def test_the_lengths_that_a_first_word_may_have_are_forecast_with_probabilities_that_sum_to_1(size):
    passes = 8
    flow = toy(passes).prior
    assert isinstance(flow, WordwiseFlow)
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(1, 1, passes, 3, FORESEEN + 1, generator=generator)
    lasts = torch.softmax(scores, -1)
    total = 0.0
    for letters in range(1, passes):
        text = "x" * (size - 1) + " " + "x" * letters + " " + "x" * passes + " x"
        codes = codes_of(text)
        blocks = flow.words.of(codes, torch.tensor([len(text)]), passes)
        if blocks.sizes[0, 0] == size:  # the word does not fit into the first block
            ends = flow.words.ends(blocks, codes)
            of_blocks = lasts.expand(1, blocks.sizes.shape[1], -1, -1, -1)
            found = flow._lengths(blocks, codes, ends, of_blocks)
            total += float(found[0, 1, 0].exp())
    assert total == pytest.approx(1, abs=1e-5)


def test_a_text_without_white_space_has_blocks_of_one_size():
    config = dataclasses.replace(SIZES, **NAMED_MODELS["blocks-codes"])
    model = build_model(config, Symbols(3), LengthModel.fit(LENGTHS))
    assert type(model.prior) is BlockwiseFlow


def test_other_numbers_of_passes_have_the_table_of_the_nearest():
    words = word_starts(IN_TRAINING[:-1])
    for passes, table in ((5, 4), (25, 32)):
        row = words.slack[IN_TRAINING.index(table)][:passes]
        expected = torch.log_softmax(row, 0)[passes - 3]
        found = words.log_prob(blocks_of([3] * 12, passes, 40), 1.0)[0, 0]
        torch.testing.assert_close(found, expected)
