"""The cells of the results: what is trained, on what, and for how long. `run.py` runs them in this
order."""

import dataclasses
from dataclasses import dataclass
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

PAST_BUDGET: dict[str, Any] = {
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

COPIES: dict[str, Any] = {"model.copy_attention": "true"}
"""The output that reads the past, or else the prior, is told how the music went on where it was
like this before."""

GRID_BUDGET: dict[str, Any] = {"preset": "tiny", "training.cooldown_start": 0.5}

LONGER_BUDGET: dict[str, Any] = {
    "preset": "small",
    "model.dropout": 0.3,
    "training.max_steps": 3280,
    "training.cooldown_start": 0.5,
}

BUDGETS: dict[str, dict[str, Any]] = {
    "grid": GRID_BUDGET,
    "longer": {"preset": "small", "training.cooldown_start": 0.5},
    "longer-dropout": LONGER_BUDGET,
    # In this many updates the baseline takes as long on text as the other models take in those of
    # `grid`.
    "equal-time": {"preset": "tiny", "training.max_steps": 7000, "training.cooldown_start": 0.5},
    # An hour of one core, validations included: `HOUR`.
    "hour": {"preset": "small", "model.dropout": 0.0, "training.cooldown_start": 0.5},
    "past": PAST_BUDGET,
    "long-pieces": PAST_BUDGET | LONG_PIECES,
    "prior-copies": GRID_BUDGET | COPIES,
    "longer-prior-copies": LONGER_BUDGET | COPIES,
    "copies": PAST_BUDGET | COPIES,
    "copies-long-pieces": PAST_BUDGET | COPIES | LONG_PIECES,
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
        parts = [self.dataset, self.model] + ([self.backbone] if self.model != "lstm" else [])
        parts += [self.emission] if self.emission not in ("bernoulli", "categorical") else []
        parts += [self.transform] if self.transform != "nlsq" else []
        parts += [f"features-{self.features}"] if self.features is not None else []
        parts += [f"transposed-{self.transpose}"] if self.transpose else []
        parts += [self.budget] if self.budget not in ("grid", self.emission) else []
        return "-".join([*parts, f"seed-{self.seed}"])

    def options(self) -> list[str]:
        """The options of `lnfgen train` that make it."""
        budget = dict(BUDGETS[self.budget])
        chosen = {"preset": budget.pop("preset"), "model": self.model, "backbone": self.backbone}
        has_transform = "transform" not in NAMED_MODELS[self.model]
        chosen |= {"emission": self.emission} | (
            {"transform": self.transform} if has_transform else {}
        )
        budget |= HOUR[self.model, self.backbone] if self.budget == "hour" else {}
        keys = budget | ({} if self.features is None else {"model.features": self.features})
        keys |= {"training.transpose": self.transpose} if self.transpose else {}
        if self.model == "lstm":
            keys.pop("training.free_bits", None)  # it has no KL
        words = [word for option, value in chosen.items() for word in (f"--{option}", str(value))]
        words += [word for key, value in keys.items() for word in ("--set", f"{key}={value}")]
        return [*words, "--seed", str(self.seed)]


NADE = [Cell("jsb_chorales", model, emission="nade") for model in ("af-scf", "coupling")]
NADE += [Cell(dataset, "lstm", "lstm", emission="nade") for dataset in SETS]
NADE += [Cell("jsb_chorales", "lstm", "lstm", emission="nade", seed=seed) for seed in (2, 3)]

LONGER = [Cell("jsb_chorales", "af-scf", budget="longer")]
LONGER += [Cell("jsb_chorales", "af-scf", transform="mixture", budget="longer-dropout")]
LONGER += [
    Cell("jsb_chorales", model, emission="nade", budget="longer")
    for model in ("af-scf", "coupling")
]
LONGER += [Cell(dataset, "lstm", "lstm", budget="longer-dropout") for dataset in SETS]

PAST = [
    Cell("jsb_chorales", model, backbone, emission="past", transpose=transpose, budget="past")
    for transpose in (0, 5)
    for model, backbone in (("af-scf", "scan"), ("lstm", "lstm"))
]
PAST += [
    Cell(dataset, "lstm", "lstm", emission="past", budget="long-pieces") for dataset in SETS[1:]
]

COPYING = [Cell("jsb_chorales", "lstm", "lstm", emission="past", budget="copies")]
COPYING += [
    Cell("jsb_chorales", "af-scf", emission="past", transpose=transpose, budget="copies")
    for transpose in (0, 5)
]
COPYING += [
    Cell(dataset, "lstm", "lstm", emission="past", budget="copies-long-pieces")
    for dataset in SETS[1:]
]
COPYING += [
    Cell(dataset, "af-scf", emission="past", budget="copies-long-pieces") for dataset in SETS[1:]
]
COPYING += [Cell(dataset, "af-scf", budget="prior-copies") for dataset in SETS[:2]]
COPYING += [Cell("jsb_chorales", "af-scf", transform="mixture", budget="longer-prior-copies")]

BLOCKS = [Cell("jsb_chorales", "blocks-scf", seed=seed) for seed in (1, 2, 3)]
BLOCKS += [Cell(dataset, "blocks-scf") for dataset in SETS[1:]]

CODES = ("af-codes", "blocks-codes")
ON_TEXT = [
    Cell(TEXT, model, "conv-scan", emission="categorical")
    for model in (*CODES, *LATENT, "blocks-scf")
]
ON_TEXT += [Cell(TEXT, model, "lstm", emission="categorical") for model in ("af-codes", *LATENT)]
ON_TEXT += [
    Cell(TEXT, "lstm", "lstm", emission="categorical", budget=budget)
    for budget in ("grid", "equal-time")
]
ON_TEXT += [
    Cell(TEXT, model, backbone, emission="categorical", budget="hour") for model, backbone in HOUR
]
ON_TEXT += [Cell(TEXT, "blocks-codes", "conv-scan", emission="categorical", budget="hour", seed=2)]

ABLATION = [
    Cell("jsb_chorales", "af-scf", transform=transform, features=features)
    for features in (None, "none")
    for transform in ("nlsq", "affine", "mixture", "spline")
]


def _on_scans(dataset: str, seed: int = 1) -> list[Cell]:
    """The paper's models on scans, and its baseline."""
    return [
        *(Cell(dataset, model, seed=seed) for model in LATENT),
        Cell(dataset, "lstm", "lstm", seed=seed),
    ]


def _on_lstms(dataset: str, seed: int = 1) -> list[Cell]:
    return [Cell(dataset, model, "lstm", seed=seed) for model in LATENT]


_ordered = [
    *_on_scans("jsb_chorales"),
    *NADE,
    *PAST,
    *COPYING,
    *ON_TEXT,
    *BLOCKS,
    *_on_lstms("jsb_chorales"),
    Cell("nottingham", "af-scf"),
    *ABLATION,
    *LONGER,
    *(
        cell
        for dataset in SETS[2:]
        for cell in (Cell(dataset, "lstm", "lstm"), Cell(dataset, "af-scf"))
    ),
    *(
        cell
        for seed in (2, 3)
        for cell in [*_on_scans("jsb_chorales", seed), *_on_lstms("jsb_chorales", seed)]
    ),
    *_on_scans("nottingham"),
    *_on_lstms("nottingham"),
]

CELLS = list(dict.fromkeys(_ordered))
"""All cells, the most telling ones first."""


def same_but_seed(cell: Cell) -> Cell:
    """The cell with seed 0: cells that are equal in this are one row of a table."""
    return dataclasses.replace(cell, seed=0)
