"""The cells of the results: what is trained, on what, and for how long.

`run.py` runs them in this order.
"""

import dataclasses
from dataclasses import dataclass
from functools import partial
from typing import Any

from lnfgen.config import NAMED_MODELS

LATENT = ("af-scf", "coupling", "iaf-scf", "af-af")
SETS = ("jsb_chorales", "nottingham", "piano_midi", "musedata")
TEXT = "ptb"

FILES = {TEXT: TEXT, "musedata": "polyphonic/MuseData.mat"}
"""The places of the sets that are no pickle."""

PASSES = (4, 8, 16, 32, 64, 4096)
"""The numbers of passes in which a text model by blocks is scored; no text of PTB has as many steps
as the last."""

AUTOREGRESSIVE_BUDGET: dict[str, Any] = {
    "preset": "tiny",
    "model.note_noise": 0.05,
    "model.dropout": 0.3,
    "training.max_steps": 600,
    "training.batch_size": 8,
    "training.learning_rate": 5e-3,
    "training.cooldown_start": 0.5,
    "training.ema_decay": 0.998,
    "training.kl_warmup_start": 0.0,
    "training.kl_warmup_end": 0.0,
    "training.free_bits": 0.2,
}
"""What suits music with onsets and this output (`lnfgen.training.recipes`), without
transposition."""

LONG_PIECES: dict[str, Any] = {"training.max_steps": 300, "training.batch_size": 2}
"""The pieces of the other sets are four and fourteen times as long as chorales, so fewer of them
are enough."""

MUSEDATA: dict[str, Any] = {
    "model.dropout": 0.1,
    "training.max_steps": 4500,
    "training.batch_size": 8,
}
"""524 long pieces: after 2,000 updates with a dropout of 0.3 a model has learned too little of
them."""

COPIES: dict[str, Any] = {"model.copy_attention": "true"}
"""The autoregressive output, or else the prior, sees how the music went on where it was like this
before."""

GRID_BUDGET: dict[str, Any] = {"preset": "tiny", "training.cooldown_start": 0.5}

LONGER_BUDGET: dict[str, Any] = {
    "preset": "small",
    "model.dropout": 0.3,
    "training.max_steps": 3280,
    "training.cooldown_start": 0.5,
}

TEN_HOURS: dict[str, Any] = {
    "preset": "small",
    "model.dropout": 0.1,
    "model.latent_size": 4,
    "training.max_steps": 45_000,
    "training.learning_rate": 4e-3,
    "training.cooldown_start": 0.5,
}
"""At most ten hours of one core, for models of text whose latent is learned: `af-af` on LSTMs with
a mixture takes 4.5. What differs from the budget of an hour was chosen at `tiny`
(`examples/experiments.md`, Text)."""

TWO_HOURS: dict[str, Any] = TEN_HOURS | {"model.dropout": 0.0, "training.max_steps": 12_000}
"""At most two hours of one core. Models of one pass are far from knowing the text by heart after
these five epochs, so they need no dropout."""

BUDGETS: dict[str, dict[str, Any]] = {
    "grid": GRID_BUDGET,
    "longer": {"preset": "small", "training.cooldown_start": 0.5},
    "longer-dropout": LONGER_BUDGET,
    # In this many updates the baseline takes as long on text as the other models take in those of
    # `grid`.
    "equal-time": {"preset": "tiny", "training.max_steps": 7000, "training.cooldown_start": 0.5},
    # An hour of one core, validations included: `HOUR`.
    "hour": {"preset": "small", "model.dropout": 0.0, "training.cooldown_start": 0.5},
    "ten-hours": TEN_HOURS,
    "two-hours": TWO_HOURS,
    "autoregressive": AUTOREGRESSIVE_BUDGET,
    "long-pieces": AUTOREGRESSIVE_BUDGET | LONG_PIECES,
    "prior-copies": GRID_BUDGET | COPIES,
    "longer-prior-copies": LONGER_BUDGET | COPIES,
    "long-prior-copies": LONGER_BUDGET | COPIES | MUSEDATA,
    "copies": AUTOREGRESSIVE_BUDGET | COPIES,
    "copies-long-pieces": AUTOREGRESSIVE_BUDGET | COPIES | LONG_PIECES,
}
"""How long and by what settings cells are trained: a preset, and keys of `config.json` that differ
from it.

Cells of one budget have as many updates; their times differ, but for those of `hour`.
"""

HOUR: dict[tuple[str, str], dict[str, Any]] = {
    ("lstm", "lstm"): {"training.max_steps": 32_500},
    ("af-codes", "conv-scan"): {"model.num_layers": 4, "training.max_steps": 23_500},
    ("blocks-codes", "conv-scan"): {"training.max_steps": 12_000},
    ("af-scf", "conv-scan"): {"training.max_steps": 10_500},
    ("af-af", "conv-scan"): {"training.max_steps": 11_500},
    ("iaf-scf", "conv-scan"): {"training.max_steps": 3_300},
    ("coupling", "conv-scan"): {"training.max_steps": 6_200},
    ("af-scf", "lstm"): {"training.max_steps": 6_700},
    ("af-af", "lstm"): {"training.max_steps": 6_400},
    ("iaf-scf", "lstm"): {"training.max_steps": 2_800},
    ("coupling", "lstm"): {"training.max_steps": 6_200},
}
"""The text models of the budget `hour` and their backbones, with as many updates as take about 60
minutes of a core (10 % more where other programs use the same memory)."""


@dataclass(frozen=True)
class Cell:
    """One model that is trained once and scored once.

    Attributes:
        dataset: the name of a benchmark set; `source` is its place.
        features: how the flow runs across the features of a step; None leaves what the model has.
        transpose: in training, each piece is moved by up to so many semitones.
    """

    dataset: str
    model: str
    backbone: str = "scan"
    emission: str = "bernoulli"
    transform: str = "nlsq"
    features: str | None = None
    transpose: int = 0
    budget: str = "grid"
    seed: int = 1

    @property
    def source(self) -> str:
        """The place of its dataset in the data folder: a file of music, or the folder of a text's
        three files."""
        return FILES.get(self.dataset, f"polyphonic/{self.dataset}.pickle")

    @property
    def copies(self) -> bool:
        """Whether it has copy attention, in its output or in its prior."""
        return "model.copy_attention" in BUDGETS[self.budget]

    @property
    def by_passes(self) -> bool:
        """Whether it is scored in several numbers of passes: a text model by blocks that had an
        hour."""
        return self.model == "blocks-codes" and self.budget == "hour"

    @property
    def name(self) -> str:
        """The name of its files: what differs from a usual cell, and the seed."""
        parts = [self.dataset, self.model]
        if self.model != "lstm":
            parts.append(self.backbone)
        if self.emission not in ("bernoulli", "categorical"):
            parts.append(self.emission)
        if self.transform != "nlsq":
            parts.append(self.transform)
        if self.features is not None:
            parts.append(f"features-{self.features}")
        if self.transpose:
            parts.append(f"transposed-{self.transpose}")
        if self.budget not in ("grid", self.emission):
            parts.append(self.budget)
        return "-".join([*parts, f"seed-{self.seed}"])

    def options(self) -> list[str]:
        """The options of `lnfgen train` that make it."""
        keys = dict(BUDGETS[self.budget])
        chosen = {
            "preset": keys.pop("preset"),
            "model": self.model,
            "backbone": self.backbone,
            "emission": self.emission,
        }
        if "transform" not in NAMED_MODELS[self.model]:
            chosen["transform"] = self.transform
        if self.budget == "hour":
            keys |= HOUR[self.model, self.backbone]
        if self.features is not None:
            keys["model.features"] = self.features
        if self.transpose:
            keys["training.transpose"] = self.transpose
        if self.model == "lstm":
            keys.pop("training.free_bits", None)  # it has no KL
        words: list[str] = []
        for option, value in chosen.items():
            words += [f"--{option}", str(value)]
        for key, value in keys.items():
            words += ["--set", f"{key}={value}"]
        return [*words, "--seed", str(self.seed)]


# The baseline, and a text: what is the same in many cells.
_baseline = partial(Cell, model="lstm", backbone="lstm")
_on_text = partial(Cell, TEXT, emission="categorical")

NADE = [
    Cell("jsb_chorales", "af-scf", emission="nade"),
    Cell("jsb_chorales", "coupling", emission="nade"),
    *[_baseline(dataset, emission="nade") for dataset in SETS],
    _baseline("jsb_chorales", emission="nade", seed=2),
    _baseline("jsb_chorales", emission="nade", seed=3),
]

LONGER = [
    Cell("jsb_chorales", "af-scf", budget="longer"),
    Cell("jsb_chorales", "af-scf", transform="mixture", budget="longer-dropout"),
    Cell("jsb_chorales", "af-scf", emission="nade", budget="longer"),
    Cell("jsb_chorales", "coupling", emission="nade", budget="longer"),
    *[_baseline(dataset, budget="longer-dropout") for dataset in SETS],
]

AUTOREGRESSIVE = [
    Cell("jsb_chorales", "af-scf", emission="autoregressive", budget="autoregressive"),
    _baseline("jsb_chorales", emission="autoregressive", budget="autoregressive"),
    Cell("jsb_chorales", "af-scf", emission="autoregressive", transpose=5, budget="autoregressive"),
    _baseline("jsb_chorales", emission="autoregressive", transpose=5, budget="autoregressive"),
    *[_baseline(dataset, emission="autoregressive", budget="long-pieces") for dataset in SETS[1:]],
]

COPYING = [
    _baseline("jsb_chorales", emission="autoregressive", budget="copies"),
    Cell("jsb_chorales", "af-scf", emission="autoregressive", budget="copies"),
    Cell("jsb_chorales", "af-scf", emission="autoregressive", transpose=5, budget="copies"),
    *[
        _baseline(dataset, emission="autoregressive", budget="copies-long-pieces")
        for dataset in SETS[1:]
    ],
    *[
        Cell(dataset, "af-scf", emission="autoregressive", budget="copies-long-pieces")
        for dataset in SETS[1:]
    ],
    Cell("jsb_chorales", "af-scf", budget="prior-copies"),
    Cell("nottingham", "af-scf", budget="prior-copies"),
    Cell("jsb_chorales", "af-scf", transform="mixture", budget="longer-prior-copies"),
    *[
        Cell("musedata", "af-scf", transform="mixture", budget="long-prior-copies", seed=seed)
        for seed in (1, 2, 3)
    ],
]

BLOCKS = [
    *[Cell(dataset, "blocks-scf") for dataset in SETS],
]

CODES = ("af-codes", "blocks-codes")
ON_TEXT = [
    *[_on_text(model, "conv-scan") for model in (*CODES, *LATENT, "blocks-scf")],
    *[_on_text(model, "lstm") for model in ("af-codes", *LATENT)],
    _on_text("lstm", "lstm"),
    _on_text("lstm", "lstm", budget="equal-time"),
    *[_on_text(model, backbone, budget="hour") for model, backbone in HOUR],
    _on_text("blocks-codes", "conv-scan", budget="hour", seed=2),
    _on_text("af-af", "lstm", transform="mixture", budget="ten-hours"),
    _on_text("coupling", "lstm", transform="mixture", budget="two-hours"),
]

TRANSFORMS = ("nlsq", "affine", "mixture", "spline")
ABLATION = [
    *[Cell("jsb_chorales", "af-scf", transform=transform) for transform in TRANSFORMS],
    *[
        Cell("jsb_chorales", "af-scf", transform=transform, features="none")
        for transform in TRANSFORMS
    ],
]


SHORT = [
    Cell("jsb_chorales", "af-scf", emission="autoregressive", budget="copies"),
    _baseline("jsb_chorales", emission="autoregressive", budget="copies"),
    Cell("jsb_chorales", "af-scf", transform="mixture", budget="longer-prior-copies"),
    Cell("nottingham", "af-scf", budget="prior-copies"),
    *[Cell(dataset, "blocks-scf") for dataset in ("jsb_chorales", "nottingham", "musedata")],
    *[
        _baseline(dataset, emission="autoregressive", budget="copies-long-pieces")
        for dataset in SETS[1:]
    ],
    _baseline("piano_midi"),
]
"""The rows of the first table that take under 20 minutes: they have three seeds."""


def _on_scans(dataset: str, seed: int = 1) -> list[Cell]:
    """The paper's models on scans, and its baseline."""
    return [
        *[Cell(dataset, model, seed=seed) for model in LATENT],
        _baseline(dataset, seed=seed),
    ]


def _on_lstms(dataset: str, seed: int = 1) -> list[Cell]:
    return [Cell(dataset, model, "lstm", seed=seed) for model in LATENT]


_ordered = [
    *_on_scans("jsb_chorales"),
    *NADE,
    *AUTOREGRESSIVE,
    *COPYING,
    *ON_TEXT,
    *BLOCKS,
    *_on_lstms("jsb_chorales"),
    Cell("nottingham", "af-scf"),
    *ABLATION,
    *LONGER,
    _baseline("piano_midi"),
    Cell("piano_midi", "af-scf"),
    _baseline("musedata"),
    Cell("musedata", "af-scf"),
    *[dataclasses.replace(cell, seed=seed) for seed in (2, 3) for cell in SHORT],
    *_on_scans("jsb_chorales", seed=2),
    *_on_lstms("jsb_chorales", seed=2),
    *_on_scans("jsb_chorales", seed=3),
    *_on_lstms("jsb_chorales", seed=3),
    *_on_scans("nottingham"),
    *_on_lstms("nottingham"),
]

CELLS = list(dict.fromkeys(_ordered))
"""All cells, the most telling ones first."""


def same_but_seed(cell: Cell) -> Cell:
    """The cell with seed 0: cells that are equal in this are one row of a table."""
    return dataclasses.replace(cell, seed=0)
