"""How fast models train and sample here: `python examples/speed.py > speed.md`.

It takes about ten minutes.

Every model is trained for some updates on random data, at the sizes of a preset, and then sampled.
The tables have

- the share of the machine's rate that an update reaches: the operations of the matrix products that
  it needs, divided by the seconds that it takes, over the rate of a large product (1024 x 1024 x
  1024) that is timed before and after: the best time of the faster of torch's two libraries, MKL
  (`@`) and oneDNN (`to_mkldnn`), because an update calls both;
- updates a second, and the seconds of an update: forward, backward, clipping, AdamW, averaging of
  the weights;
- milliseconds to draw one piece, and each of 16 that are drawn together;
- for the models in the box, pieces a second;
- for those of music, the seconds in which four bars of sixteen are drawn again.

All other figures are medians, in float32, on as many threads as `lnfgen train` takes. A weight
matrix meets each time step once, which is two operations an element; an update counts as three
scores, since the backward pass has a product for the gradient of the weights and another one for
that of the inputs. Embeddings are no products. Music with onsets has no share, because weights of
its usual output (`autoregressive`) meet each key of a step. On a busy machine all seconds grow
alike, so read the share first.

`--quick` is a minute: three models at the preset `tiny`. `--box` is the models in the box alone.
"""

import argparse
import pickle
import platform
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.mkldnn import to_mkldnn

import lnfgen
from lnfgen.data.dataset import Dataset
from lnfgen.flows.codebook import Codebook
from lnfgen.runs.trained import TrainedModel

PRODUCT = 1024
"""Rows and columns of the product to compare with."""

PRODUCTS = 15
"""Products of each library, of which the fastest counts, after one that warms up."""

ROUNDS = 3
"""Calls of which the median counts, after one that warms up."""

EPOCH = 60
"""Updates in a pass over the data. A run validates at its end, so that no update is timed together
with that."""

REDRAWS = 20
"""Redraws whose median counts, after one that warms up."""

REDRAW_PARTICLES = 16
"""As many as the page of `lnfgen serve` takes."""

BOXES = {"chorales": 64, "folk-abc": 288}
"""The models in the box, and the length of the pieces that are drawn from each."""

MODELS = (
    "lstm",
    "af-scf",
    "af-af",
    "af-codes",
    "iaf-scf",
    "coupling",
    "blocks-scf",
    "blocks-codes",
    "af-only",
)
TEXT_ONLY = ("af-codes", "blocks-codes")
QUICK = ("lstm", "af-scf", "coupling")
HEAD = (
    "model",
    "of product rate",
    "updates a second",
    "seconds",
    "ms for a piece",
    "ms for each of 16",
)


class Data(NamedTuple):
    """Random sequences of one length.

    Attributes:
        kind: in words.
        batch: how many are a batch.
        steps, sampled: the length of each, and of a sample.
    """

    kind: str
    batch: int
    steps: int
    sampled: int


DATA = {
    "text": Data("text of 50 characters", batch=15, steps=120, sampled=288),
    "music": Data("music of 88 keys", batch=5, steps=64, sampled=64),
    "onsets": Data("music of 49 keys with onsets", batch=8, steps=64, sampled=64),
}


def random_dataset(name: str, folder: Path) -> Dataset:
    """A dataset of random sequences of equal length, which is made of files in `folder`."""
    data = DATA[name]
    rng = np.random.default_rng(0)
    count = EPOCH * data.batch
    sources = folder / f"{name}-files"
    sources.mkdir()
    if name == "music":
        pickled = sources / "jsb_chorales.pickle"
        write_benchmark(pickled, count, data.steps, rng)
        return lnfgen.preprocess(pickled, folder / name)
    if name == "text":
        write_lines(sources / "lines.txt", count, data.steps, rng)
    else:
        write_rolls(sources, count, data.steps, rng)
    return lnfgen.preprocess(sources, folder / name, shares=(1.0, 0.0, 0.0))


def write_lines(path: Path, count: int, steps: int, rng: np.random.Generator) -> None:
    """Write a text of random lines."""
    symbols = np.array([chr(ord("A") + index) for index in range(50)])
    lines = ["".join(symbols[rng.integers(50, size=steps)]) for _ in range(count)]
    path.write_text("\n".join(lines), encoding="utf-8")


def write_benchmark(path: Path, count: int, steps: int, rng: np.random.Generator) -> None:
    """Write the pickle of a benchmark set, whose pieces hold one random chord each."""
    pieces: list[list[tuple[int, ...]]] = []
    for _ in range(count):
        chord = 21 + rng.choice(88, 4, replace=False)
        pieces.append([tuple(chord.tolist())] * steps)
    splits = {"train": pieces, "valid": pieces[:1], "test": pieces[:1]}
    path.write_bytes(pickle.dumps(splits))


def write_rolls(folder: Path, count: int, steps: int, rng: np.random.Generator) -> None:
    """Write piano-rolls of random keys, all of which are struck."""
    for number in range(count):
        sounding = rng.random((steps, 49)) < 0.08
        sounding[:, 0] = True  # so that no bar is silent
        roll = lnfgen.PianoRoll.of_one(sounding, sounding.copy(), lowest_pitch=36)
        lnfgen.write(folder / f"{number}.npz", roll)


def seconds_of_calls(call: Callable[[], object], count: int) -> list[float]:
    """The seconds of one call that warms up, and then of so many others."""
    seconds = []
    for _ in range(count + 1):
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


def seconds_of(call: Callable[[], object]) -> float:
    """The median of the seconds that some calls take, after one that is not counted."""
    return statistics.median(seconds_of_calls(call, ROUNDS)[1:])


def least_seconds(call: Callable[[], object]) -> float:
    """The least of the seconds that some calls take, after one that is not counted."""
    return min(seconds_of_calls(call, PRODUCTS)[1:])


@torch.no_grad()
def product_rate() -> float:
    """Operations a second of a large matrix product, on the threads that the last model took.

    It is the best rate that was seen: a slower one would give shares above 1.
    """
    left = torch.rand(PRODUCT, PRODUCT)
    right = torch.rand(PRODUCT, PRODUCT)
    by_mkl = least_seconds(lambda: left @ right)
    layer = to_mkldnn(nn.Linear(PRODUCT, PRODUCT, bias=False).eval())
    inputs = left.to_mkldnn()
    by_onednn = least_seconds(lambda: layer(inputs))
    return 2 * PRODUCT**3 / min(by_mkl, by_onednn)


def operations(model: nn.Module, steps: int) -> float:
    """The operations of an update on so many time steps: see the head of this file."""
    num_weights = 0
    for module in model.modules():
        if isinstance(module, nn.Embedding | Codebook):  # tables, which are no products
            continue
        for weight in module.parameters(recurse=False):
            if weight.dim() == 2:
                num_weights += weight.numel()
    return 3 * 2 * steps * num_weights


def trained(
    dataset: Dataset, name: str, model: str, preset: str, updates: int
) -> tuple[TrainedModel, float]:
    """A model after some updates, and the seconds of one of them."""
    times: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        run = lnfgen.train(
            dataset,
            model,
            preset,
            out=Path(folder) / "run",
            device="cpu",
            progress=lambda *_: times.append(time.perf_counter()),
            max_steps=updates,
            seed=1,
            set={"training.batch_size": DATA[name].batch},
        )
    return run, statistics.median(np.diff(times[1:]))  # without the first update, which warms up


def measured(dataset: Dataset, name: str, model: str, preset: str, updates: int) -> list[str]:
    """The cells of a model's row."""
    data = DATA[name]
    rate_before = product_rate()
    run, update = trained(dataset, name, model, preset, updates)
    rate = max(rate_before, product_rate())
    share = operations(run.model, data.batch * data.steps) / update / rate
    if run.model.homes is not None:
        run.model.homes.counts.zero_()  # a piece without a home is drawn once
    alone, together = sampling(run, data.sampled)
    return [
        f"`{model}`",
        "" if name == "onsets" else f"{100 * share:.0f} %",
        f"{1 / update:.2f}",
        f"{update:.3f}",
        f"{1e3 * alone:.0f}",
        f"{1e3 * together:.0f}",
    ]


def sampling(run: TrainedModel, steps: int) -> tuple[float, float]:
    """The seconds to draw one piece of so many steps alone, and each of 16 together."""
    alone = seconds_of(partial(run.sample, 1, length=steps, seed=1))
    together = seconds_of(partial(run.sample, 16, length=steps, seed=1))
    return alone, together / 16


def print_row(cells: Sequence[str]) -> None:
    print(f"| {' | '.join(cells)} |", flush=True)


def print_table(name: str, models: Sequence[str], preset: str, updates: int, folder: Path) -> None:
    """A row for each model on one kind of data, printed as soon as it is known."""
    data = DATA[name]
    dataset = random_dataset(name, folder)
    batches = f"batches of {data.batch} sequences of {data.steps} steps"
    print(f"\n{data.kind}: {batches}, samples of {data.sampled} steps\n")
    print_row(HEAD)
    print_row(["---"] * len(HEAD))
    for model in models:
        if name == "text" or model not in TEXT_ONLY:
            print(f"{name}: {model}", file=sys.stderr)
            print_row(measured(dataset, name, model, preset, updates))


def print_box() -> None:
    """A row for each model in the box."""
    print("\nThe models in the box: samples of one length, 16 together\n")
    print_row(["model", "steps", "pieces a second", "ms for one piece alone"])
    print_row(["---"] * 4)
    for name, steps in BOXES.items():
        print(f"box: {name}", file=sys.stderr)
        alone, together = sampling(lnfgen.load(name, "cpu"), steps)
        print_row([f"`{name}`", str(steps), f"{1 / together:.2f}", f"{1e3 * alone:.0f}"])


def print_redraws() -> None:
    """A row for each model of music in the box: bars 5 to 8 of its own piece, drawn again."""
    print(f"\nBars 5 to 8 of 16 drawn again by {REDRAW_PARTICLES} particles, in seconds\n")
    print_row(["model", "steps", "median", "least", "most"])
    print_row(["---"] * 5)
    for name in ("chorales", "band"):
        print(f"redraw: {name}", file=sys.stderr)
        model = lnfgen.load(name, "cpu")
        (piece,) = model.sample(1, bars=16, seed=3)
        assert isinstance(piece, lnfgen.PianoRoll)
        redraw = partial(model.fill, piece, "bars:5-8", particles=REDRAW_PARTICLES, seed=1)
        with warnings.catch_warnings(action="ignore"):  # the home of the piece, each time
            seconds = seconds_of_calls(redraw, REDRAWS)[1:]
        times = (statistics.median(seconds), min(seconds), max(seconds))
        print_row([f"`{name}`", str(piece.num_steps), *(f"{each:.2f}" for each in times)])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--preset", default="paper", help="sizes of the models: tiny, small or paper (paper)"
    )
    parser.add_argument("--model", nargs="+", choices=MODELS, default=MODELS, help="all by default")
    parser.add_argument(
        "--data", nargs="+", choices=DATA, default=list(DATA), help="kinds of data; all by default"
    )
    parser.add_argument(
        "--updates", type=int, default=12, help="updates of each model, two of which warm up (12)"
    )
    parser.add_argument(
        "--quick", action="store_true", help="a minute: three models at tiny, few updates"
    )
    parser.add_argument("--box", action="store_true", help="the models in the box alone")
    asked = parser.parse_args()
    if not 5 <= asked.updates <= EPOCH:
        parser.error(f"--updates {asked.updates}: expected 5 to {EPOCH}")
    if asked.quick:
        asked.model = QUICK
        asked.preset = "tiny"
        asked.updates = 5
    machine = platform.processor() or platform.machine()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {machine}")
    rate = f"{product_rate() / 1e9:.0f} GFLOP/s in a product of {PRODUCT}^3"
    print(f"preset {asked.preset}, float32, {rate}")
    if not asked.box:
        with tempfile.TemporaryDirectory() as folder:
            for name in asked.data:
                print_table(name, asked.model, asked.preset, asked.updates, Path(folder))
    print_box()
    print_redraws()


if __name__ == "__main__":
    main()
