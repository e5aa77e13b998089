"""Dataclasses from the JSON values that they were written as."""

from collections.abc import Mapping
from dataclasses import fields
from types import GenericAlias
from typing import Any, TypeVar, get_origin

Record = TypeVar("Record")


def record(kind: type[Record], values: Mapping[str, Any]) -> Record:
    """A value of a dataclass whose fields have these values.

    Raises:
        ValueError: if a field is missing or unknown, or a value has another type than its field.
    """
    types = {field.name: field.type for field in fields(kind)}  # type: ignore[arg-type]
    if set(values) != set(types):
        raise ValueError(f"found {', '.join(values)}; expected {', '.join(types)}")
    for name, expected in types.items():
        if isinstance(expected, GenericAlias):
            expected = get_origin(expected)  # what a list or a dictionary holds is not asked
        if not isinstance(values[name], expected):  # type: ignore[arg-type]
            found = type(values[name]).__name__
            raise ValueError(f"{name} is {found}; expected {expected}")
    return kind(**values)
