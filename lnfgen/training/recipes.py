"""The configuration of a new run, from what a person asks for. It loads no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from lnfgen.config import NAMED_MODELS, PRESETS, Config, build_config, read_config
from lnfgen.conventions import Kind
from lnfgen.errors import ConfigError

if TYPE_CHECKING:
    from typing import Unpack


class RunSettings(TypedDict, total=False):
    """The settings of a run that have an option of their own. None means that an option is not given."""

    transform: str | None
    emission: str | None
    backbone: str | None
    config: str | Path | FileSettings | dict[str, Any] | None  # a JSON file or a dictionary with keys of config.json
    epochs: int | None
    max_steps: int | None
    batch_size: int | None
    precision: str | None
    seed: int | None
    set: Mapping[str, Any] | None  # values by keys of config.json, as in {"training.learning_rate": 1e-3}


@dataclass(frozen=True)
class FileSettings:
    """The settings in a JSON file that has been read: a pipe can be read only once."""

    values: dict[str, Any]
    where: str  # what messages call the file


def with_file_read(settings: RunSettings) -> RunSettings:
    """The same settings; those in a file are read, so that `run_config` can be asked again.

    Raises:
        ConfigError: if the file cannot be read, or is not a JSON object of a known format.
    """
    file = settings.get("config")
    if not isinstance(file, str | Path):
        return settings
    return {**settings, "config": FileSettings(read_config(Path(file)), str(file))}


@dataclass(frozen=True)
class Corpus:
    """What of the data decides which settings suit a run on it."""

    kind: Kind
    has_onsets: bool = False
    num_sequences: int | None = None  # of the train split; None: so few that a run sees each of them often
    num_symbols: int = 0  # of a text


NO_SETTINGS: dict[str, dict[str, Any]] = {"model": {}, "training": {}}

LENGTHS = {"max_steps", "epochs"}
"""The keys that give a run its length, together."""

NO_PRESETS = {"backbone", "emission", "features", "seed"}
"""The keys that no preset gives."""

OF_TEXT: dict[str, dict[str, Any]] = {
    "model": {"backbone": "conv-scan", "near_end": True},
    "training": {"cooldown_start": 0.5},
}
"""What suits text, beside what goes with `TEXT_LATENTS`. `near_end` is for the baseline and for a latent of symbols: of
the samples of an `lstm` that was trained on folk-abc for 1,200 updates of `tiny`, 28 % end on a bar line without it and
80 % with it, as all tunes do, at the same NLL (on PTB it is 2.15 bits in place of 2.19). With a learned latent it
costs: on PTB `af-codes` had 2.22 bits with it in place of 2.07 to 2.11, one seed. With `symbols` it does not: after
400 updates it is 2.203 in place of 2.197, and with `blocks-codes` 2.321 in place of 2.323."""

TEXT_ON_LSTMS = {"af-af", "iaf-scf", "coupling"}
"""Models that learn text sooner on LSTMs than on `conv-scan`. On PTB, seed 1, their valid ELBO after an hour of a core
at `small` is 1.83, 2.62 and 2.47 bits per character in place of 2.01, 2.77 and 2.77. After 1,200 updates at `tiny` the
NLL on valid is 2.68, 2.99 and 2.95 in place of 2.78, 3.00 and 2.97, in 0.4 to 0.7 of the time."""

TEXT_LATENTS = {"tiny": 4, "small": 8}
"""Features of z_t for text, where it says one symbol of some fifty. The fewer there are, the sooner the prior knows
where the symbols lie: `af-scf` on PTB has a valid ELBO of 3.30 bits per character after 400 updates at `tiny` with 24
features, 3.22 with 8 and 3.09 with 4. The value of `small` is a guess from that; `paper` has the paper's.

With these sizes goes the flow `codes`, which has a mode for each symbol."""

WITH_CODES: dict[str, dict[str, Any]] = {
    "model": {},
    "training": {"kl_warmup_start": 0.0, "kl_warmup_end": 0.0},
}
"""What suits the flow `codes` on text. z tells the symbols apart from the first update on, so its KL may count at once.

On PTB at `tiny`, the valid ELBO of `af-codes` after 400 updates, seed 1, is 2.70 bits per character with a learned
latent, in 64 CPU seconds; 2.41 where posterior and emission see no other steps, in 25 seconds; 2.25 if then also z
begins at codes that lie apart, and at once with the KL; and 2.20 with `symbols`, in 20 seconds. After 1,200 updates,
`symbols` has 1.90, and `blocks-codes` 2.04 with it. (All of 320 sequences of valid. On all of valid the baseline
has 2.44 after 420 updates of a longer run.)"""

BLOCKS = {"small": 4}
"""Layers of `conv-scan` with the flow `codes`, where a preset's are too few. On PTB at `small`, without dropout, seed
1, `af-codes` with four has a valid ELBO of 1.66 bits per character after 2,820 updates, and with two 1.69. In six
minutes of one core it is 1.68 and 1.69, as an update with four takes 1.2 times as long. `blocks-codes` has 2.62 and
2.67 after 200 updates."""

MOST_CODES = 500
"""With more symbols than this the latent is learned: the densities of all codes at all steps take much memory."""

FILLING_SHARE = 1 / 3
"""So many updates, as a share of the run's own, fit the flow with which `fill` draws z of a text. At `tiny` on PTB, a
quarter of each of 60 sentences of valid was filled anew. By the judgement of the baseline that cost 0.93 bits more for
each hidden character than the true sentences, and 0.44 with this flow; what the baseline itself filled in, 0.13
(`examples/judged_filling.py`)."""

NO_DROPOUT = {"dropout": 0.0, "input_dropout": 0.0}
"""What suits a text that a run sees only a few times. There is no time to learn it by heart, and dropout costs much:
with it, the baseline `lstm` on PTB has 2.07 bits per character on valid after 93 seconds of one CPU core at `tiny`
sizes, and without it 1.91."""

FEW_PASSES = 4.0
"""Up to so many passes, old text teaches nearly as much as new text (Muennighoff et al. 2023, arXiv 2305.16264)."""

OF_MUSIC: dict[str, dict[str, Any]] = {"model": {"backbone": "scan"}, "training": {}}
"""What suits music of which only the sounding keys are known, as the published sets have it. The outputs stay
independent, as in the paper."""

OF_MUSIC_WITH_ONSETS: dict[str, dict[str, Any]] = {
    "model": {
        "backbone": "scan",
        "emission": "past",
        "note_noise": 0.05,
        "copy_attention": True,
        "in_metre": True,
    },
    "training": {
        "batch_size": 8,
        "cooldown_start": 0.5,
        "ema_decay": 0.998,
        "kl_warmup_start": 0.0,
        "kl_warmup_end": 0.0,
        "free_bits": 0.4,
        "transpose": 3,
    },
}
"""What suits a person's own music and the chorales. All but the backbone and `in_metre` goes with the output `past`.

With weights tied across the keys, a transposed piece teaches the same weights, and small batches teach more in the same
time. This output can predict without z. With a KL weight that rises from 0 it would first learn to use z, and then not
to; free bits keep some of z in use.

Told each piece's time signature, a model of the Nottingham tunes as MIDI files, half of them in 4/4 and a third in 6/8,
has a valid ELBO of 1.13 nats per step at `tiny`, and 1.17 where it has waves of all usual bars in its place (`in_bars`;
seed 1). On the chorales, of which nine in ten are in 4/4, it is 3.45 and 3.48 at `tiny`, and 2.91 and 2.89 at `small`,
where a model that is told neither has 2.93. `af-scf` with independent keys has no use for bars: on JSB at `tiny`, which
does not tell bar lines, `in_bars` has 6.80 in place of 6.74.

With copy attention the model of these tunes has 0.78 in place of 1.13. On the chorales, whose phrases hardly come again
note for note, it is 3.42 and 3.45 at `tiny`.
"""

MUSIC_AT_PRESETS: dict[str, dict[str, dict[str, Any]]] = {
    "tiny": {"model": {"copy_melody": True}, "training": {"max_steps": 220, "batch_size": 4, "learning_rate": 14e-3}},
    "small": {
        "model": {
            "hidden_size": 144,
            "embedding_size": 144,
            "latent_size": 24,
            "num_layers": 1,
            "num_flow_layers": 4,
            "conditioner_size": 64,
            "dropout": 0.15,
        },
        "training": {
            "max_steps": 1100,
            "learning_rate": 5e-3,
            "cooldown_start": 0.4,
            "patience": 8,
            "free_bits": 0.2,
            "transpose": 5,
            "calibration_pieces": 320,
        },
    },
}
"""What suits music with onsets at one preset. At `tiny` there are fewer updates, as each takes longer there, and of
half as many sequences: with a learning rate twice as high they teach nearly as much in half the time. At `small` it is
how the model in the box was trained: with weights tied across the keys, a network of this size learns the chorales in
half an hour, and a greater one learns them by heart.

`copy_melody` gains 1.7 % at `tiny`: the chorales have a valid ELBO of 3.44 with it and 3.50 without (seed 1). At
`small` it was not tried yet."""


def settings_for(corpus: Corpus | None, config: Config) -> dict[str, dict[str, Any]]:
    """The settings that suit a corpus, at the preset and the length of this configuration; without a corpus, none.

    What a person asks for replaces them.
    """
    if corpus is None:
        return NO_SETTINGS
    if corpus.kind == "text":
        at_preset = config.preset in TEXT_LATENTS
        latent = {"features": "codes", "latent_size": TEXT_LATENTS[config.preset]} if at_preset else {}
        codes = WITH_CODES if at_preset and corpus.num_symbols <= MOST_CODES else NO_SETTINGS
        blocks = {"num_layers": BLOCKS[config.preset]} if codes is WITH_CODES and config.preset in BLOCKS else {}
        few = corpus.num_sequences is not None and config.training.passes(corpus.num_sequences) < FEW_PASSES
        filling = {"filling_steps": int(FILLING_SHARE * _updates(corpus, config))} if at_preset else {}
        return {
            "model": OF_TEXT["model"] | latent | codes["model"] | blocks | (NO_DROPOUT if few else {}),
            "training": OF_TEXT["training"] | codes["training"] | filling,
        }
    if not corpus.has_onsets:
        return OF_MUSIC
    of_preset = MUSIC_AT_PRESETS.get(config.preset, NO_SETTINGS)
    return {section: OF_MUSIC_WITH_ONSETS[section] | of_preset[section] for section in NO_SETTINGS}


def _updates(corpus: Corpus, config: Config) -> int:
    """The updates of the whole run, as far as they are known without the number of sequences."""
    if corpus.num_sequences is not None:
        return config.training.total_steps(corpus.num_sequences)
    return config.training.max_steps or 0


Layers = list[tuple[dict[str, Any], str]]
"""Settings that replace others: those of the last layer count. Beside each, what messages call their place."""


def run_config(
    model: str | None = None,
    preset: str | None = None,
    *,
    corpus: Corpus | None = None,
    usual_seed: int = 0,
    **settings: Unpack[RunSettings],
) -> Config:
    """The configuration that the arguments ask for.

    Of several values for a key, the last in this order counts: the named model at a preset's sizes, what suits the
    corpus (see `settings_for`), the keys of `config`, the options that have a name of their own, `set`. The model and
    the preset to start from are found in the same order; they are `af-scf` and `small` if none of these names them.

    If `config` names its preset, as a run's `config.json` does, only those of its keys count that were changed: that
    differ from what this preset gives for the corpus. So `preset` gives such a run the sizes and the length of another
    preset. Its backbone, its output, its flow across the features and its seed always count.

    `epochs` or `max_steps`, given alone, is the whole length of the run. `usual_seed` is the seed if none is given.

    Raises:
        ConfigError: if a name, a key or a value is unknown or impossible, or the settings do not fit together.
    """
    given: dict[str, Any] = {key: value for key, value in with_file_read(settings).items() if value is not None}
    changes = _nested(given.pop("set", {}))
    filed: Any = given.pop("config", {})
    where = "config"
    if isinstance(filed, FileSettings):
        filed, where = filed.values, filed.where
    filed_preset, filed = _own_choices(filed, where, corpus)
    if model is not None:  # it replaces the file's model, but not the file's sizes
        filed["model"] = {key: filed["model"][key] for key in filed["model"].keys() - {"baseline", "time", "features"}}
    preset = changes.pop("preset", preset) or filed_preset

    of_model: dict[str, Any] = {key: given.pop(key) for key in ("transform", "emission", "backbone") if key in given}
    if "epochs" in given or "max_steps" in given:
        given = {"epochs": None, "max_steps": None, **given}
    layers: Layers = [
        ({"training": {"seed": usual_seed}}, "config"),
        (filed, where),
        ({"model": of_model, "training": given}, "config"),
        (changes, "--set"),
    ]

    # The run's length decides what suits a text. The model has no part in it, nor has what suits the corpus.
    of_training: Layers = [({"training": values.get("training", {})}, place) for values, place in layers]
    suited = settings_for(corpus, _overridden(build_config(preset=preset), of_training))

    asked = {**NAMED_MODELS.get(model or "", {}), **filed["model"], **of_model, **_section(changes, "model")}
    config = _overridden(_start(model, preset, asked, suited), layers)
    if "transform" in of_model and not config.model.has_transform:
        raise ConfigError(
            f"--transform {of_model['transform']}: {config.name} has no elementwise transform; leave it out"
        )
    return config


def _overridden(config: Config, layers: Layers) -> Config:
    """A configuration with the settings of each layer in turn."""
    for values, where in layers:
        config = config.override(values, where)
    return config


def _start(model: str | None, preset: str, asked: Mapping[str, Any], suited: Mapping[str, Mapping[str, Any]]) -> Config:
    """A named model at a preset, with what suits the corpus, as far as it fits to what is `asked` of the model.

    The baseline has a backbone of its own and no latent, and `TEXT_ON_LSTMS` have one of their own for text. A flow
    across the features suits where neither a model nor a transform is named, `WITH_CODES` and `BLOCKS` that flow alone;
    only this flow and the baseline are told of a near end. Where an output suits the corpus, all but the backbone and
    `in_metre` suits that output alone, and does not count if another one is asked for.
    """
    baseline = bool(asked.get("baseline"))
    backbone = suited["model"].get("backbone", "lstm")
    if baseline or (backbone == OF_TEXT["model"]["backbone"] and model in TEXT_ON_LSTMS):
        backbone = "lstm"
    config = build_config(model or "af-scf", preset, asked.get("backbone", backbone))
    emission = suited["model"].get("emission")  # None where the rest suits any output
    if emission is not None and asked.get("emission", emission) != emission:
        return config.override({"model": {"in_metre": suited["model"]["in_metre"]}})
    others = {"backbone"}
    if baseline:
        others |= {"latent_size", "features", "filling_steps"}
    if model is not None or "transform" in asked:
        others |= {"features"}
    features = asked.get("features", config.model.features if "features" in others else suited["model"].get("features"))
    has_codes = features == "codes"
    if suited["model"].get("features") == "codes":
        if not has_codes:
            others |= {"kl_warmup_start", "kl_warmup_end"}
        if not (has_codes and config.model.backbone == OF_TEXT["model"]["backbone"]):
            others |= {"num_layers"}
    if not (baseline or has_codes):
        others |= {"near_end"}
    kept = {
        section: {key: value for key, value in suited[section].items() if key not in others}
        for section in ("model", "training")
    }
    return config.override(kept)


def assignments(texts: Iterable[str]) -> dict[str, Any]:
    """What `--set KEY=VALUE` gives: a value is JSON, or else a string as it stands.

    assignments(["training.learning_rate=1e-3", "model.backbone=scan"])
    # {"training.learning_rate": 0.001, "model.backbone": "scan"}

    Raises:
        ConfigError: if a text has no `=`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        key, sign, value = text.partition("=")
        if not sign:
            raise ConfigError(f"--set {text}: expected KEY=VALUE, such as training.learning_rate=1e-3")
        try:
            values[key] = json.loads(value)
        except (ValueError, RecursionError):
            values[key] = value
    return values


def _own_choices(filed: Any, where: str, corpus: Corpus | None) -> tuple[str, dict[str, dict[str, Any]]]:
    """The preset that a file of settings names, and its other settings without those that anyone has at that preset."""
    preset = filed.get("preset", "small") if isinstance(filed, dict) else "small"
    if preset not in list(PRESETS):
        raise ConfigError(f"{where}: preset: found {preset!r}, expected one of {', '.join(PRESETS)}")
    whole = build_config(preset=preset).override(filed, where)  # the file must be right by itself
    usual = _start(None, preset, filed.get("model", {}), settings_for(corpus, whole))
    own: dict[str, dict[str, Any]] = {}
    for section in ("model", "training"):
        theirs, before = (dataclasses.asdict(getattr(config, section)) for config in (whole, usual))
        keys = filed.get(section, {}).keys()
        chosen = {key for key in keys if "preset" not in filed or key in NO_PRESETS or theirs[key] != before[key]}
        if chosen & LENGTHS:
            chosen |= keys & LENGTHS
        own[section] = {key: theirs[key] for key in keys if key in chosen}
    return preset, own


def _nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values by dotted keys as an object in objects: {"training.seed": 1} -> {"training": {"seed": 1}}."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        *sections, last = key.split(".")
        inner = nested
        for section in sections:
            inner = inner.setdefault(section, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"--set {key}: {section} is given a value of its own as well")
        inner[last] = value
    return nested


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of settings that are not checked yet."""
    section = values.get(name, {})
    return section if isinstance(section, dict) else {}
