"""The settings of a new run: whole recipes, and what a person asks for in their place. It loads no
torch.

`RECIPES` has a table for each kind of data: text, music of which only the sounding keys are known
(`music`), and music whose notes have onsets (`onsets`). A table has every key of `config.json`
(`lnfgen.config` says what each one is), with its values at the presets tiny, small and paper. Of
several values for a key, the last in this order counts: the recipe; the named model, the output,
the backbone and the transform that are asked for, with what goes with them (`recipe`); the keys of
`--config`; the length and the seed; `--set`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lnfgen.config import NAMED_MODELS, WITHOUT_LAYERS, Config, checked, config_of, read_config
from lnfgen.conventions import Kind
from lnfgen.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack

PRESETS = ("tiny", "small", "paper")
"""A few minutes of two CPU cores; half an hour of a laptop; the sizes of Ziegler & Rush (2019),
section 6."""

Row = tuple[Any, Any, Any]  # a value at each preset
Table = dict[str, Row]


def _by_kind(rows: Mapping[str, tuple[Row, Row, Row]]) -> dict[str, Table]:
    """The tables of text, of music and of music with onsets."""
    kinds = ("text", "music", "onsets")
    return {
        kind: {key: values[column] for key, values in rows.items()}
        for column, kind in enumerate(kinds)
    }


# fmt: off
RECIPES = _by_kind({
    # At tiny, small and paper:     text                        music: the published        onsets:
    # a person's own sets, as in the paper       music, and the chorales
    "model.time":                 (("af",) * 3,                ("af",) * 3,                ("af",) * 3),
    "model.features":             (("codes", "codes", "scf"),  ("scf",) * 3,               ("scf",) * 3),
    "model.backbone":             (("conv-scan",) * 3,         ("scan",) * 3,              ("scan",) * 3),
    "model.transform":            (("none", "none", "nlsq"),   ("nlsq",) * 3,              ("nlsq",) * 3),
    # With bernoulli, keys of a frame are independent given z; past reads earlier frames, its
    # weights tied over keys.
    "model.emission":             (("categorical",) * 3,       ("bernoulli",) * 3,         ("past",) * 3),
    "model.num_flow_layers":      ((0, 0, 5),                  (4, 5, 5),                  (4, 4, 5)),
    "model.conditioner_size":     ((0, 0, 100),                (64, 100, 100),             (64, 64, 100)),
    # A text needs few, to say one of 50 symbols.
    "model.latent_size":          ((4, 8, 50),                 (24, 50, 50),               (24, 24, 50)),
    # More units would learn a person's pieces by heart.
    "model.hidden_size":          ((96, 200, 500),             (96, 200, 500),             (96, 144, 500)),
    "model.num_layers":           ((1, 4, 2),                  (1, 2, 2),                  (1, 1, 2)),
    "model.embedding_size":       ((96, 200, 500),             (96, 200, 500),             (96, 144, 500)),
    # With it a text ends as a whole, and a piece on a close.
    "model.near_end":             ((True, True, False),        (False,) * 3,               (True,) * 3),
    # A text has no bars, and the published sets do not say where bars begin.
    "model.in_metre":             ((False,) * 3,               (False,) * 3,               (True,) * 3),
    # A text that is seen a few times has none (`FEW_PASSES`).
    "model.dropout":              ((0.1, 0.2, 0.2),            (0.1, 0.2, 0.2),            (0.1, 0.15, 0.2)),
    # So that a voice that has stopped comes back.
    "model.note_noise":           ((0.0,) * 3,                 (0.0,) * 3,                 (0.05,) * 3),
    "model.copy_attention":       ((False,) * 3,               (False,) * 3,               (True,) * 3),
    "training.max_steps":         ((1200, 4000, None),         (1200, 4000, None),         (400, 1100, None)),
    "training.epochs":            ((None, None, 100),          (None, None, 100),          (None, None, 100)),
    # Small ones teach more; where pieces are long, an update has fewer (`STEPS_OF_UPDATE`).
    "training.batch_size":        ((16,) * 3,                  (16,) * 3,                  (4, 8, 8)),
    # bfloat16 is for GPUs.
    "training.precision":         (("float32",) * 3,           ("float32",) * 3,           ("float32",) * 3),
    "training.learning_rate":     ((7e-3, 3.5e-3, 1.75e-3),    (7e-3, 3.5e-3, 1.75e-3),    (14e-3, 5e-3, 1.75e-3)),
    "training.cooldown_start":    ((0.5,) * 3,                 (1.0,) * 3,                 (0.5, 0.4, 0.5)),
    "training.patience":          ((4,) * 3,                   (4,) * 3,                   (4, 8, 4)),
    "training.ema_decay":         ((0.98, 0.995, 0.995),       (0.98, 0.995, 0.995),       (0.998,) * 3),
    "training.keep":              (("best",) * 3,              ("best",) * 3,              ("best",) * 3),
    # The KL counts at once where z says the symbol. Other networks first learn what z says, and
    # then what it costs. The output past can do without z: a rising weight would teach it to use z,
    # and then not to; free bits keep some of z in use.
    "training.kl_warmup_start":   ((0.0, 0.0, 0.1),            (0.06, 0.06, 0.1),          (0.0,) * 3),
    "training.kl_warmup_end":     ((0.0, 0.0, 0.35),           (0.35,) * 3,                (0.0,) * 3),
    "training.free_bits":         ((0.0,) * 3,                 (0.0,) * 3,                 (0.4, 0.2, 0.4)),
    # A moved piece teaches the same tied weights. The published figures have no transposition.
    "training.transpose":         ((0,) * 3,                   (0,) * 3,                   (3, 5, 3)),
    # So that samples have the figures of train.
    "training.calibration_rounds": ((0,) * 3,                  (0,) * 3,                   (0, 40, 0)),
    "training.seed":              ((0,) * 3,                   (0,) * 3,                   (0,) * 3),
})

# what music with parts has beside `onsets`; with other outputs than `past`, its updates alone
BANDS: Table = {
    "training.max_steps":          (300, 1500, None),  # an update has one piece
    "training.free_bits":          (0.1, 0.2,  0.4),
    "training.calibration_rounds": (0,   40,   0),
}
CODES: Table = {  # what text has beside `--model`, where z says the symbol
    "model.near_end":           (True, True, True),
    "training.kl_warmup_start": (0.0,  0.0,  0.0),
    "training.kl_warmup_end":   (0.0,  0.0,  0.0),
}
LEARNED: Table = {  # and where networks learn what z says
    "model.transform":          ("nlsq", "nlsq", "nlsq"),
    "model.num_flow_layers":    (4,      5,      5),
    "model.conditioner_size":   (64,     100,    100),
    "model.num_layers":         (1,      2,      2),
    "model.near_end":           (False,  False,  False),
    "training.kl_warmup_start": (0.06,   0.06,   0.1),
    "training.kl_warmup_end":   (0.35,   0.35,   0.35),
}
ON_LSTMS = _by_kind({  # what goes with `--backbone lstm`: LSTMs want smaller steps and more dropout
    "model.num_layers":       ((1, 2, 2),          (1, 2, 2),          (1, 1, 2)),
    "model.dropout":          ((0.2, 0.4, 0.4),    (0.2, 0.4, 0.4),    (0.2, 0.15, 0.4)),
    "training.learning_rate": ((4e-3, 2e-3, 1e-3), (4e-3, 2e-3, 1e-3), (14e-3, 5e-3, 1e-3)),
})
# fmt: on

WITHOUT_LATENT = {
    "training.kl_warmup_start": 0.0,
    "training.kl_warmup_end": 0.0,
    "training.free_bits": 0.0,
}
"""The baseline `lstm` has these keys beside those of `NAMED_MODELS`, as it has no KL."""

# models that learn text sooner on LSTMs than on `conv-scan`
TEXT_ON_LSTMS = ("lstm", "af-af", "iaf-scf", "coupling")
# a text with more symbols has `af-scf` by default: all codes' densities at all steps take much
# memory
MOST_CODES = 500
FEW_PASSES = 4.0
"""A text that a run sees fewer times has no dropout: there is no time to learn it by heart, and up
to so many passes old text teaches nearly as much as new text (Muennighoff et al. 2023, arXiv
2305.16264)."""

STEPS_OF_UPDATE = 1024
"""The most steps of an update on music with onsets: where pieces are long, it has fewer of them.
Seven chorales, which the recipe was chosen on, have as many, and an update on longer pieces would
take several times as long. Each part of a band counts, because a model draws one after the
other."""

MADE_WITH = {"text": 908_000, "onsets": 37_700}
"""The steps of the train splits that recipes were chosen on: `folk-abc` as it is printed, and the
chorales."""


@dataclass(frozen=True)
class Corpus:
    """The facts of a dataset that decide its recipe."""

    kind: Kind
    has_onsets: bool = False
    # of the train split; None: so few that a run sees each of them often
    num_sequences: int | None = None
    num_symbols: int = 0  # of a text
    num_steps: int | None = None  # of the train split
    num_parts: int = 0  # of a band

    @property
    def recipe(self) -> str:
        """The name of its table in `RECIPES`."""
        return "onsets" if self.kind == "music" and self.has_onsets else self.kind

    @property
    def shortage(self) -> str:
        """A line if the train split has less than half of the steps that its recipe was made with;
        else empty."""
        made_with = MADE_WITH.get(self.recipe, 0)
        if self.num_steps is None or 2 * self.num_steps >= made_with:
            return ""
        found = f"train holds {self.num_steps:,} {'characters' if self.kind == 'text' else 'steps'}"
        found = f"{found}, the recipe was made with {made_with:,}; of so little a model learns next to nothing"
        return f"{found}, or all by heart; more data helps most, or --preset tiny with fewer --max-steps"


class RunSettings(TypedDict, total=False):
    """The settings of a run that have an option of their own. None means that an option is not
    given."""

    transform: str | None
    emission: str | None
    backbone: str | None
    # a JSON file, a run or a dictionary, with keys of config.json
    config: str | Path | Mapping[str, Any] | None
    epochs: int | None
    max_steps: int | None
    seed: int | None
    # values by keys of config.json, as in {"training.learning_rate": 1e-3}
    set: Mapping[str, Any] | None


def recipe(
    name: str,
    preset: str,
    model: str | None = None,
    emission: str | None = None,
    backbone: str | None = None,
    transform: str | None = None,
    *,
    is_band: bool = False,
) -> dict[str, Any]:
    """All keys of a recipe, with what goes with the choices that are not None."""
    column = PRESETS.index(preset)

    def at_preset(table: Table) -> dict[str, Any]:
        return {key: values[column] for key, values in table.items()}

    in_metre = name == "onsets"
    if name == "onsets" and emission not in (None, "past"):
        name = "music"  # the rest of the recipe for music with onsets goes with the output `past`
    keys = at_preset(RECIPES[name]) | {"model.in_metre": in_metre}
    if is_band:
        own = at_preset(BANDS)
        keys |= own if name == "onsets" else {"training.max_steps": own["training.max_steps"]}
    if model is not None:
        keys |= {f"model.{key}": value for key, value in NAMED_MODELS[model].items()}
        if name == "text" and model != "lstm":
            keys |= at_preset(CODES if NAMED_MODELS[model]["features"] == "codes" else LEARNED)
    if model == "lstm":
        keys |= WITHOUT_LATENT | {"model.near_end": name != "music"}
    if backbone is None and (model == "lstm" or (name == "text" and model in TEXT_ON_LSTMS)):
        backbone = "lstm"
    if backbone == "lstm":
        keys |= at_preset(ON_LSTMS[name])
    chosen = {"model.emission": emission, "model.backbone": backbone, "model.transform": transform}
    return keys | {key: value for key, value in chosen.items() if value is not None}


@dataclass(frozen=True)
class Asked:
    """The wishes of a person for a run: names, and keys of `config.json` with their values."""

    model: str | None
    preset: str
    choices: dict[str, str | None]  # emission, backbone, transform
    keys: dict[str, Any]

    def config(self, corpus: Corpus, usual_seed: int = 0) -> Config:
        """The configuration for a corpus. `usual_seed` is the seed if nobody asks for another.

        Raises:
            ConfigError: if a value is impossible, or a key would change nothing with this model or
            this corpus.
        """
        model = self.model
        if model is None and corpus.num_symbols > MOST_CODES:
            model = "af-scf"
        keys = recipe(
            corpus.recipe, self.preset, model, **self.choices, is_band=corpus.num_parts > 0
        )
        keys["training.seed"] = usual_seed
        if (
            corpus.has_onsets
            and keys["model.emission"] == "past"
            and corpus.num_sequences
            and corpus.num_steps
        ):
            fitting = max(
                1,
                STEPS_OF_UPDATE
                * corpus.num_sequences
                // (corpus.num_steps * max(1, corpus.num_parts)),
            )
            keys["training.batch_size"] = min(keys["training.batch_size"], fitting)
        config = config_of(keys | self.keys)
        if corpus.kind == "text" and corpus.num_sequences is not None:
            seen = config.training.total_steps(corpus.num_sequences) * config.training.batch_size
            if seen < FEW_PASSES * corpus.num_sequences:
                config = config_of(keys | {"model.dropout": 0.0} | self.keys)
        _require_effect(config, corpus)
        return config

    def require_possible(self) -> None:
        """Check the settings before the data is known.

        Raises:
            ConfigError: if they are possible with no kind of data.
        """
        errors = []
        for corpus in (Corpus("music", has_onsets=True), Corpus("music"), Corpus("text")):
            try:
                self.config(corpus)
                return
            except ConfigError as error:
                errors.append(error)
        raise errors[0]


def asked_for(
    model: str | None = None, preset: str | None = None, **settings: Unpack[RunSettings]
) -> Asked:
    """Gather the arguments, and read a file. `epochs` or `max_steps`, given alone, is the whole
    length.

    Raises:
        ConfigError: if a name or a key is unknown, or a value has the wrong type.
    """
    preset = "small" if preset is None else preset
    _require_name("--model", model, NAMED_MODELS)
    _require_name("--preset", preset, PRESETS)
    file = settings.get("config")
    keys = {} if file is None else read_config(file)
    for own, value in NAMED_MODELS.get(model or "", {}).items():
        if keys.get(key := f"model.{own}", value) != value:
            raise ConfigError(
                f"--model {model}: found {key} {keys[key]!r} in --config, expected {value!r}; leave one out"
            )
    length = {f"training.{key}": settings.get(key) for key in ("epochs", "max_steps")}
    if any(value is not None for value in length.values()):
        keys |= length
    if settings.get("seed") is not None:
        keys["training.seed"] = settings["seed"]
    keys |= checked(settings.get("set") or {}, "--set")
    choices: dict[str, Any] = {
        name: settings.get(name) for name in ("emission", "backbone", "transform")
    }
    return Asked(model, preset, choices, keys)


def _require_effect(config: Config, corpus: Corpus) -> None:
    """Raise a `ConfigError` if a key would change nothing: it must have the value that stands for
    nothing."""
    model, past, music = config.model, config.model.emission == "past", corpus.kind == "music"
    of_latent = {
        "model.time": "none",
        "model.features": "none",
        "model.backbone": "lstm",
        **WITHOUT_LATENT,
    }
    of_layers = {f"model.{key}": nothing for key, nothing in WITHOUT_LAYERS.items()}
    of_past = {"model.note_noise": 0.0, "training.calibration_rounds": 0}
    attends = past or (model.time == "af" and not model.baseline)
    # Conditions, where each one does not hold, and the keys that must then have these values.
    conditions: list[tuple[bool, str, dict[str, Any]]] = [
        (not model.baseline, "without a latent", of_latent),
        (model.has_transform, f"with {model.name}, which has no elementwise transform", of_layers),
        (past, f"with the output {model.emission}, which reads no earlier frames", of_past),
        (
            attends,
            f"with {model.name} and the output {model.emission}",
            {"model.copy_attention": False},
        ),
        (music, "on text", {"training.transpose": 0}),
        (
            music and corpus.has_onsets,
            "on data that does not say where bars begin",
            {"model.in_metre": False},
        ),
    ]
    keys = config.flat()
    for applies, where, idle in conditions:
        for key, nothing in idle.items():
            if not applies and keys[key] != nothing:
                raise ConfigError(
                    f"{key}: found {keys[key]!r}, which has no effect {where}; expected {nothing!r}; "
                    "--model, --emission and --backbone bring the settings that go with them"
                )


def _require_name(option: str, name: str | None, names: Iterable[str]) -> None:
    if name is not None and name not in names:
        raise ConfigError(f"{option}: found {name!r}, expected one of {', '.join(names)}")


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """The values that `--set KEY=VALUE` gives. A value is JSON, or else a string as it stands.

    Raises:
        ConfigError: if a text has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(
                f"--set {text}: expected KEY=VALUE, such as training.learning_rate=1e-3"
            )
        try:
            values[key] = json.loads(value)
        except (ValueError, RecursionError):
            values[key] = value
    return values
