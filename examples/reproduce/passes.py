"""What a pass is worth, for a text model by blocks: `python examples/reproduce/passes.py RUN JUDGE
--picture FILE.png`.

A line of JSON for each number of passes has

- `elbo`: of the test split of the run's dataset, in bits per character, with one sample of z, which
  is nearly certain;
- `seconds`: of the processor, to draw 1 and 16 texts of 288 and of 4,096 characters: medians of
  three. Set OMP_NUM_THREADS=1, so that no time goes into waiting;
- `judged`: what JUDGE, an exact model of the same text (`lstm`), finds texts drawn by RUN to cost,
  in bits per character; and `entropy`: what these cost RUN itself. A low cost alone would reward
  dull texts;
- `words`: the share of words that the train split has, among the last words of blocks, the first
  ones, and others.

The first line has the same of JUDGE. `--picture` draws the costs of test and the seconds.
"""

import argparse
import json
import statistics
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from cells import PASSES

import lnfgen
from lnfgen.conventions import PASSES as USUAL
from lnfgen.data.encoding import Encoding
from lnfgen.files import write_bytes
from lnfgen.flows.wordwise import WordStarts
from lnfgen.plots.canvas import ACCENT, DARK, file_bytes, new_figure, style_axis
from lnfgen.runs.material import dataset_of, material_of
from lnfgen.runs.trained import TrainedModel

SIZES = ((1, 288), (16, 288), (1, 4096), (16, 4096))
"""Texts that are drawn together, and their characters."""

ROUNDS = 3


def seconds(model: TrainedModel) -> list[float]:
    """To draw texts of each of the `SIZES`."""
    found = []
    for count, length in SIZES:
        times = []
        for seed in range(ROUNDS + 1):
            began = time.process_time()
            model.sample(count=count, length=length, seed=seed)
            times.append(time.process_time() - began)
        found.append(round(statistics.median(times[1:]), 2))
    return found


def known_words(
    texts: Iterable[str], vocabulary: set[str], encoding: Encoding, passes: int
) -> dict[str, float]:
    """The share of words in a vocabulary, of those that end a block, those that begin one, and
    others."""
    found: dict[str, list[bool]] = {"last": [], "first": [], "others": []}
    cut = WordStarts(encoding.spaces, encoding.num_symbols, [passes])
    for text in texts:
        codes = torch.from_numpy(encoding.encode(text))[None]
        blocks = cut.of(codes, torch.tensor([len(text)]), passes)
        starts, start = set(blocks.starts[0, 1:].tolist()), 0
        for word in text.split(" "):
            end = start + len(word) + 1
            inside = not starts.isdisjoint(range(start + 1, end))  # it is longer than a block
            places = [
                place for place, at in (("last", end), ("first", start)) if inside or at in starts
            ]
            for place in places or ["others"]:
                if word:
                    found[place].append(word in vocabulary)
            start = end
    return {place: round(statistics.fmean(known), 3) for place, known in found.items() if known}


def facts(
    model: TrainedModel, judge: TrainedModel, vocabulary: set[str], count: int
) -> dict[str, Any]:
    """A line of the result, without the costs of the test split."""
    texts = [text for text in model.sample(count=count, seed=0) if isinstance(text, str)]
    return {
        "seconds": seconds(model),
        "judged": round(judge.nll(texts).nll, 3),
        "entropy": round(model.nll(texts, samples=1).elbo, 3),
        "words": known_words(texts, vocabulary, model.encoding, model.passes or USUAL),
    }


def picture(
    passes: Sequence[int],
    costs: Sequence[float],
    times: Sequence[float],
    judge: tuple[float, float],
) -> bytes:
    """A PNG: the cost and the seconds by the number of passes, beside those of the judge."""
    figure = new_figure(8, 3)
    labels = [str(number) for number in passes[:-1]] + ["all"]
    panels = (
        (costs, judge[0], "test, bits per character"),
        (times, judge[1], "seconds, 16 texts of 4,096"),
    )
    for axis, (values, of_judge, label) in zip(figure.subplots(1, 2), panels, strict=True):
        axis.plot(labels, values, "o-", color=ACCENT, label="by blocks")
        axis.axhline(of_judge, color=DARK, linestyle="--", label="the judge")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("passes", fontsize=9)
        axis.set_ylabel(label, fontsize=9)
        axis.legend(fontsize=8, frameon=False)
        style_axis(axis, grid="y")
    return file_bytes(figure, ".png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run")
    parser.add_argument("judge")
    parser.add_argument(
        "--count", type=int, default=200, help="texts for `judged`, `entropy` and `words` (200)"
    )
    parser.add_argument("--picture", type=Path, help="file for a picture, .png")
    given = parser.parse_args()
    judge = lnfgen.load(given.judge)
    dataset = dataset_of(judge.run, advice="run this where its dataset is")
    vocabulary = {
        word
        for text in dataset.pieces("train")
        if isinstance(text, str)
        for word in text.split(" ")
    }
    of_judge = judge.nll(material_of(judge.run, None, None)).nll
    test = [text for text in islice(dataset.pieces("test"), given.count) if isinstance(text, str)]
    line = {
        "judge": given.judge,
        "nll": round(of_judge, 4),
        "words of test": known_words(test, vocabulary, judge.encoding, USUAL),
    }
    print(json.dumps(line | (first := facts(judge, judge, vocabulary, given.count))), flush=True)
    costs, times = [], []
    for passes in PASSES:
        model = lnfgen.load(given.run, passes=passes)
        elbo = model.nll(material_of(model.run, None, None), samples=1).elbo
        found = facts(model, judge, vocabulary, given.count)
        print(json.dumps({"passes": passes, "elbo": round(elbo, 4)} | found), flush=True)
        costs.append(elbo)
        times.append(found["seconds"][-1])
    if given.picture:
        write_bytes(given.picture, picture(PASSES, costs, times, (of_judge, first["seconds"][-1])))


if __name__ == "__main__":
    main()
