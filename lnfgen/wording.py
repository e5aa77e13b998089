"""How messages and pictures say a number of things, or a name."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun, as in `1 note` and `2,100 notes`. `nouns` is the plural, if it is not
    just with an s."""
    return f"{number:,} {noun if number == 1 else nouns or noun + 's'}"


def counted_ends(number: int) -> str:
    """How many starts and ends of notes, as in `12 starts and ends of notes`."""
    return counted(number, "start or end of a note", "starts and ends of notes")


def frequencies(words: Iterable[str], most: int | None = None) -> str:
    """How often each word comes, or `most` of them, the most common one first, as in `4/4: 12, 3/4:
    5`."""
    return ", ".join(f"{word}: {count}" for word, count in Counter(words).most_common(most))


def shown(value: Any) -> str:
    """A fact for a person; of a dictionary those that are not empty or 0, with their names, in one
    line."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return "; ".join(
            f"{key.replace('_', ' ')}: {shown(item)}" for key, item in value.items() if item
        )
    if isinstance(value, list):
        return "; ".join(map(shown, value))
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:,.6g}"
        if isinstance(value, float)
        else str(value)
    )


def in_one_line(name: str) -> str:
    """A name without what a terminal cannot show, and with a space for each stretch of white
    space."""
    return " ".join("".join(sign if sign.isprintable() else " " for sign in name).split())


def with_name(path: str, reason: str) -> str:
    """Put the name of a file in front of what is wrong with it, unless the words have it.

    The reason for leaving out a copy ends with the name of another file, which may hold this one,
    as `sub/song.mid`.
    """
    has_name = re.search(rf"(^|[\s/\\]){re.escape(path)}(?=[\s:,;/\\])", reason)
    return reason if has_name else f"{path}: {reason}"


def in_utf8(name: str) -> str:
    """A name without what UTF-8 does not have; the name of a file may be any bytes."""
    return name.encode("utf-8", "replace").decode("utf-8")
