"""The formats of `config.json`: how the file of an older run is read as one of the present format.

Format 2 is the present one. Format 1 has no `format_version` and other names for some keys; `RENAMED` lists them. This
is the only place that knows the old names. A run folder is read in either format. A settings file that a person writes
for `--config` must have the present names; for an old name the error gives the new one.
"""

from typing import Any

from lnfgen.errors import ConfigError

CONFIG_FORMAT = 2
"""The format that is written. It grows by one when a key is renamed or gets another meaning."""

RENAMED: dict[str, dict[str, str]] = {
    "model": {
        "prior": "baseline",
        "flow_layers": "num_flow_layers",
        "flow_hidden": "conditioner_size",
        "latent": "latent_size",
        "hidden": "hidden_size",
        "lstm_layers": "num_layers",
        "embedding": "embedding_size",
        "positions": "position_size",
    },
    "training": {
        "samples": "num_samples",
        "gradient_norm": "max_grad_norm",
        "kl_start": "kl_warmup_start",
        "kl_full": "kl_warmup_end",
        "averaging": "ema_decay",
        "decay": "learning_rate_decay",
    },
}
"""By section of the file: the keys of format 1, and what they are called since format 2."""

_PRIORS = {"flow": False, "none": True}  # model.prior in format 1, and model.baseline in format 2


def split_version(values: dict[str, Any], where: str) -> tuple[int | None, dict[str, Any]]:
    """The `format_version` of a file's settings, None if it has none, and the other settings.

    Raises:
        ConfigError: if this version of lnfgen does not know the format.
    """
    settings = {key: value for key, value in values.items() if key != "format_version"}
    if "format_version" not in values:
        return None, settings
    version = values["format_version"]
    if type(version) is not int or version < 1:
        raise ConfigError(f"{where}: format_version: found {version!r}, expected a number from 1 to {CONFIG_FORMAT}")
    if version > CONFIG_FORMAT:
        raise ConfigError(
            f"{where}: found format_version {version}, but this version of lnfgen reads formats up to "
            f"{CONFIG_FORMAT}; upgrade lnfgen"
        )
    return version, settings


def in_present_format(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings of a run folder's `config.json`, of any known format, under the present names.

    Raises:
        ConfigError: if this version of lnfgen does not know the format, or `model.prior` has an unknown value.
    """
    version, settings = split_version(values, where)
    return _from_format_1(settings, where) if version in (None, 1) else settings


def _from_format_1(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """New names for old ones. `name` is left out: in format 1 it need not be that of the model."""
    renamed = {key: value for key, value in settings.items() if key != "name"}
    for section, names in RENAMED.items():
        if isinstance(old := settings.get(section), dict):
            renamed[section] = {names.get(key, key): value for key, value in old.items()}
            if section == "model" and "prior" in old:
                renamed[section]["baseline"] = _baseline(old["prior"], where)
    return renamed


def _baseline(prior: Any, where: str) -> bool:
    if not isinstance(prior, str) or prior not in _PRIORS:
        raise ConfigError(f"{where}: model: prior: found {prior!r}, expected one of {', '.join(_PRIORS)}")
    return _PRIORS[prior]
