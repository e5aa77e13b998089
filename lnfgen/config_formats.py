"""How the `config.json` of an older run is read. No other module knows the old names of keys.

Format 2 is the present one. Format 1 has no `format_version`, and other names for the keys in `RENAMED`. A run folder
is read in either format. A settings file for `--config` must have the present names: for an old one, the error gives
the new one.
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
"""By section of the file: the keys of format 1, and their names since format 2."""

_PRIORS = {"flow": False, "none": True}  # model.prior of format 1, and model.baseline of format 2


def split_version(values: dict[str, Any], where: str) -> tuple[int | None, dict[str, Any]]:
    """The `format_version` of a file's settings (None if it has none), and the other settings.

    Raises:
        ConfigError: if this version of lnfgen does not know the format.
    """
    settings = dict(values)
    version = settings.pop("format_version", None)
    if "format_version" in values and (type(version) is not int or version < 1):
        raise ConfigError(f"{where}: format_version: found {version!r}, expected a number from 1 to {CONFIG_FORMAT}")
    if version is not None and version > CONFIG_FORMAT:
        raise ConfigError(
            f"{where}: found format_version {version}, but this version of lnfgen reads formats up to "
            f"{CONFIG_FORMAT}; upgrade lnfgen"
        )
    return version, settings


def in_present_format(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The settings of a run's `config.json`, of any known format, under the present names.

    Raises:
        ConfigError: if this version of lnfgen does not know the format, or `model.prior` has an unknown value.
    """
    version, settings = split_version(values, where)
    if version == CONFIG_FORMAT:
        return settings
    settings.pop("name", None)  # in format 1 it need not be that of the model
    for section, names in RENAMED.items():
        if isinstance(old := settings.get(section), dict):
            settings[section] = {names.get(key, key): value for key, value in old.items()}
            if section == "model" and "prior" in old:
                prior = old["prior"]
                if not isinstance(prior, str) or prior not in _PRIORS:
                    expected = ", ".join(_PRIORS)
                    raise ConfigError(f"{where}: model: prior: found {prior!r}, expected one of {expected}")
                settings[section]["baseline"] = _PRIORS[prior]
    return settings
