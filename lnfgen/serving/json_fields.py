"""The keys of a JSON object from a client, each taken by its name and checked."""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lnfgen.errors import LnfgenError
from lnfgen.wording import in_one_line

_SHOWN = 60  # characters of what was found that an error shows


class AskedWronglyError(LnfgenError):
    """A request that cannot be understood; the message is one line."""


class Fields:
    """The keys of a JSON object. Each method takes one, or its default if it is not there.

    Raises:
        AskedWronglyError: in all methods, if a value is not as expected.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._values = dict(values)
        self._known: list[str] = []

    @classmethod
    def of(cls, content: bytes) -> "Fields":
        """The keys of a JSON object in these bytes."""
        try:
            values = json.loads(content, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise AskedWronglyError(f"found no JSON: {error}; expected an object") from None
        if not isinstance(values, dict):
            raise AskedWronglyError(f"found a JSON {type(values).__name__}; expected an object")
        return cls(values)

    def has(self, name: str) -> bool:
        """True if the key is there, and not null. It is not taken."""
        return self._values.get(name) is not None

    def take(self, name: str) -> Any:
        """Any value; None if it is not there."""
        self._known.append(name)
        return self._values.pop(name, None)

    def text(self, name: str, default: str | None = None, most: int = 200) -> str:
        """A text of at most so many characters, without line ends around it."""
        value = self.take(name)
        if value is None and default is not None:
            return default
        if not isinstance(value, str) or len(value) > most:
            raise wrong(name, value, f"a text of at most {most:,} characters")
        return value

    def choice(self, name: str, choices: Sequence[str]) -> str:
        """One of these texts."""
        value = self.take(name)
        if not isinstance(value, str) or value not in choices:
            raise wrong(name, value, f"one of {', '.join(choices)}")
        return value

    def choices(self, name: str, choices: Sequence[str]) -> tuple[str, ...]:
        """Some of these texts, in their order, without repeats; none if it is not there."""
        value = self.take(name)
        if value is None:
            return ()
        if not isinstance(value, list) or not all(one in choices for one in value):
            expected = ", ".join(choices) or "none, because this model has no parts"
            raise wrong(name, value, f"a list of some of {expected}")
        return tuple(one for one in choices if one in value)

    def flag(self, name: str) -> bool | None:
        """True or false; None if it is not there."""
        value = self.take(name)
        if value is not None and not isinstance(value, bool):
            raise wrong(name, value, "true or false")
        return value

    def whole(self, name: str, default: int | None, low: int, high: int) -> int | None:
        """A whole number in this range."""
        value = self.take(name)
        if value is None:
            return default
        if type(value) is not int or not low <= value <= high:
            raise wrong(name, value, f"a whole number from {low:,} to {high:,}")
        return value

    def number(self, name: str, default: float, low: float, high: float) -> float:
        """A number in this range."""
        value = self.take(name)
        if value is None:
            return default
        if not is_number(value) or not low <= value <= high:
            raise wrong(name, value, f"a number from {low:g} to {high:g}")
        return float(value)

    def end(self) -> None:
        """Refuse all keys that are left."""
        if self._values:
            found = ", ".join(in_one_line(key)[:_SHOWN] for key in list(self._values)[:5])
            raise AskedWronglyError(f"found {found}; expected only {', '.join(self._known)}")


def is_number(value: Any) -> bool:
    """True of a number that is finite, which a truth value is not."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value)


def wrong(name: str, value: Any, expected: str) -> AskedWronglyError:
    """The error for a value that is not as expected."""
    found = "nothing" if value is None else json.dumps(value)[:_SHOWN]
    return AskedWronglyError(f"{name}: found {found}; expected {expected}")


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant}, which JSON does not have")
