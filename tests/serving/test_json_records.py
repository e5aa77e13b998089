"""Dataclasses come back from JSON, and values of other types are refused."""

import json
from dataclasses import asdict, dataclass
from typing import Any

import pytest

from lnfgen.serving.json_records import record


@dataclass(frozen=True)
class Thing:
    name: str
    size: float
    parts: list[str]
    facts: dict[str, Any]
    source: str | None = None


THING = Thing("a", 2.5, ["b"], {"c": [1]})


def test_a_value_comes_back() -> None:
    assert record(Thing, json.loads(json.dumps(asdict(THING)))) == THING


@pytest.mark.parametrize(
    "other",
    [{"name": 3}, {"size": "2"}, {"parts": {}}, {"facts": []}, {"source": 1}, {"more": 1}],
)
def test_other_values_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="expected"):
        record(Thing, asdict(THING) | other)


def test_a_missing_value_is_refused() -> None:
    values = asdict(THING)
    del values["source"]
    with pytest.raises(ValueError, match="expected name, size, parts, facts, source"):
        record(Thing, values)
