"""What a pass of a text model by blocks is worth: `python examples/reproduce/passes.py RUN JUDGE`.

A line of JSON for each number of passes has

- `elbo`: of a split of the run's dataset, in bits per character, with one sample of z, which is
  nearly certain. It is the valid split, or the one that `--split` names;
- `seconds`: of the processor, to draw 1 and 16 texts of 288 and of 4,096 characters: medians of
  three. Set OMP_NUM_THREADS=1, so that no time goes into waiting;
- `judged`: what JUDGE, an exact model of the same text (`lstm`), finds texts drawn by RUN to cost,
  in bits per character; and `entropy`: what these cost RUN itself. A low cost alone would reward
  dull texts;
- `words`: the share of words that the train split has, among the last words of blocks, the first
  ones, and others.

The first line has the same of JUDGE. `--picture FILE.png` draws the costs of the split and the
seconds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from cells import PASSES

import lnfgen
from lnfgen.conventions import PASSES as USUAL
from lnfgen.conventions import SPLITS
from lnfgen.data.dataset import Dataset
from lnfgen.data.text_encoding import TextEncoding
from lnfgen.files import write_bytes
from lnfgen.flows.wordwise import WordStarts
from lnfgen.plots.canvas import ACCENT, DARK, file_bytes, new_figure, style_axis
from lnfgen.runs.evaluation_data import dataset_of, evaluation_data_of
from lnfgen.runs.trained import TrainedModel

SIZES = ((1, 288), (16, 288), (1, 4096), (16, 4096))
"""Texts that are drawn together, and their characters."""

ROUNDS = 3


def seconds(model: TrainedModel) -> list[float]:
    """To draw texts of each of the `SIZES`: medians, after a round that warms up."""
    found: list[float] = []
    for count, length in SIZES:
        times: list[float] = []
        for seed in range(ROUNDS + 1):
            began = time.process_time()
            model.sample(count=count, length=length, seed=seed)
            times.append(time.process_time() - began)
        found.append(round(statistics.median(times[1:]), 2))
    return found


class WordShares:
    """The share of words in a vocabulary, of those that end a block, those that begin one, others.

    Args:
        passes: the passes of the model by blocks whose blocks are meant.
    """

    def __init__(self, vocabulary: set[str], encoding: TextEncoding, passes: int) -> None:
        self.vocabulary = vocabulary
        self.encoding = encoding
        self.passes = passes
        self.cut = WordStarts(encoding.spaces, encoding.num_symbols, [passes])
        self.found: dict[str, list[bool]] = {"last": [], "first": [], "others": []}

    def count(self, text: str) -> None:
        """Look up the words of a text."""
        codes = torch.from_numpy(self.encoding.encode(text))[None]
        blocks = self.cut.of(codes, torch.tensor([len(text)]), self.passes)
        starts = set(blocks.starts[0, 1:].tolist())
        start = 0
        for word in text.split(" "):
            end = start + len(word) + 1
            if word:
                for place in self._places(start, end, starts):
                    self.found[place].append(word in self.vocabulary)
            start = end

    def _places(self, start: int, end: int, starts: set[int]) -> list[str]:
        """Where a word stands in its block: last, first, or both, or neither."""
        is_longer_than_a_block = not starts.isdisjoint(range(start + 1, end))
        places: list[str] = []
        if end in starts or is_longer_than_a_block:
            places.append("last")
        if start in starts or is_longer_than_a_block:
            places.append("first")
        return places or ["others"]

    def shares(self) -> dict[str, float]:
        """The shares, of the places where there are words."""
        shares: dict[str, float] = {}
        for place, are_known in self.found.items():
            if are_known:
                shares[place] = round(statistics.fmean(are_known), 3)
        return shares


def known_words(
    texts: Iterable[str], vocabulary: set[str], model: TrainedModel
) -> dict[str, float]:
    """The shares of words in a vocabulary, by their place in the blocks of a model."""
    assert isinstance(model.encoding, TextEncoding)
    shares = WordShares(vocabulary, model.encoding, model.passes or USUAL)
    for text in texts:
        shares.count(text)
    return shares.shares()


def facts(
    model: TrainedModel, judge: TrainedModel, vocabulary: set[str], count: int
) -> dict[str, Any]:
    """A line of the result, without the costs of the split."""
    texts = [text for text in model.sample(count=count, seed=0) if isinstance(text, str)]
    return {
        "seconds": seconds(model),
        "judged": round(judge.nll(texts).nll, 3),
        "entropy": round(model.nll(texts, samples=1).elbo, 3),
        "words": known_words(texts, vocabulary, model),
    }


def texts_of(dataset: Dataset, split: str) -> Iterator[str]:
    """The texts of a split."""
    for piece in dataset.pieces(split):
        if isinstance(piece, str):
            yield piece


def picture(costs: Sequence[float], times: Sequence[float], judge: tuple[float, float]) -> bytes:
    """A PNG: the cost and the seconds by the number of passes, beside those of the judge."""
    figure = new_figure(8, 3)
    left, right = figure.subplots(1, 2)
    _draw(left, costs, judge[0], "bits per character")
    _draw(right, times, judge[1], "seconds, 16 texts of 4,096")
    return file_bytes(figure, ".png")


def _draw(axis: Any, values: Sequence[float], of_judge: float, label: str) -> None:
    labels = [str(number) for number in PASSES[:-1]] + ["all"]
    axis.plot(labels, values, "o-", color=ACCENT, label="by blocks")
    axis.axhline(of_judge, color=DARK, linestyle="--", label="the judge")
    axis.set_ylim(bottom=0)
    axis.set_xlabel("passes", fontsize=9)
    axis.set_ylabel(label, fontsize=9)
    axis.legend(fontsize=8, frameon=False)
    style_axis(axis, grid="y")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("judge")
    parser.add_argument("--split", choices=SPLITS, default="valid", help="of the costs (valid)")
    parser.add_argument(
        "--count", type=int, default=200, help="texts for `judged`, `entropy` and `words` (200)"
    )
    parser.add_argument("--picture", type=Path, help="file for a picture, .png")
    return parser.parse_args()


def main() -> None:
    given = _arguments()
    judge = lnfgen.load(given.judge)
    dataset = dataset_of(judge.run, advice="run this where its dataset is")
    vocabulary: set[str] = set()
    for text in texts_of(dataset, "train"):
        vocabulary.update(text.split(" "))

    nll_of_judge = judge.nll(evaluation_data_of(judge.run, None, given.split)).nll
    true_texts = islice(texts_of(dataset, given.split), given.count)
    of_judge = facts(judge, judge, vocabulary, given.count)
    line = {
        "judge": given.judge,
        "nll": round(nll_of_judge, 4),
        f"words of {given.split}": known_words(true_texts, vocabulary, judge),
    }
    print(json.dumps(line | of_judge), flush=True)

    costs: list[float] = []
    times: list[float] = []
    for passes in PASSES:
        model = lnfgen.load(given.run, passes=passes)
        elbo = model.nll(evaluation_data_of(model.run, None, given.split), samples=1).elbo
        found = facts(model, judge, vocabulary, given.count)
        print(json.dumps({"passes": passes, "elbo": round(elbo, 4)} | found), flush=True)
        costs.append(elbo)
        times.append(found["seconds"][-1])
    if given.picture:
        seconds_of_judge = of_judge["seconds"][-1]
        write_bytes(given.picture, picture(costs, times, (nll_of_judge, seconds_of_judge)))


if __name__ == "__main__":
    main()
