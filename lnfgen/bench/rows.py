"""The rows of a measurement, one for each case, as they are put in groups and named in tables and pictures."""

from collections.abc import ItemsView, Sequence
from typing import Any

Row = dict[str, Any]
"""A case that was measured, with its figures: a plain JSON object."""


def grouped(rows: Sequence[Row], *keys: str) -> ItemsView[tuple[Any, ...], list[Row]]:
    """Groups of rows that have the same values of the keys, each with these values, in the order of its first row."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row.get(key) for key in keys), []).append(row)
    return groups.items()


def variant_name(row: Row) -> str:
    """The model and the backbone of a row; once only where both have the same name."""
    return row["model"] if row["model"] == row["backbone"] else f"{row['model']}, {row['backbone']}"
