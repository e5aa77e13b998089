"""How messages and pictures say a number of things, or a name."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

LONGEST_MESSAGE = 2_000  # characters; a list of all settings has some 1,000
KEPT_OF_LONGER = 500  # characters at each end of a longer message


def counted(number: int, noun: str, nouns: str = "") -> str:
    """A number with its noun, as in `1 note` and `2,100 notes`.

    `nouns` is the plural, if it is not just with an s.
    """
    if number != 1:
        noun = nouns or f"{noun}s"
    return f"{number:,} {noun}"


def counted_ends(number: int) -> str:
    """How many starts and ends of notes, as in `12 starts and ends of notes`."""
    return counted(number, "start or end of a note", "starts and ends of notes")


def frequencies(words: Iterable[str], most: int | None = None) -> str:
    """How often each word comes, the most common one first, as in `4/4: 12, 3/4: 5`.

    `most` is how many words to say, if not all.
    """
    counts = Counter(words).most_common(most)
    return ", ".join(f"{word}: {count}" for word, count in counts)


def shown(value: Any) -> str:
    """A fact for a person, in one line.

    Of a dictionary it is those facts that are not empty or 0, with their names.
    """
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:,.6g}"
    if isinstance(value, list):
        return "; ".join(map(shown, value))
    if isinstance(value, dict):
        facts = []
        for key, item in value.items():
            if item:
                name = key.replace("_", " ")
                facts.append(f"{name}: {shown(item)}")
        return "; ".join(facts)
    return str(value)


def in_one_line(name: str) -> str:
    """A name without what a terminal cannot show, and with one space between its words."""
    printable = "".join(sign if sign.isprintable() else " " for sign in name)
    return " ".join(printable.split())


def with_name(path: str, reason: str) -> str:
    """Put the name of a file in front of what is wrong with it, unless the words have it.

    The reason for leaving out a copy ends with the name of another file, which may hold this one,
    as `sub/song.mid`.
    """
    has_name = re.search(rf"(^|[\s/\\]){re.escape(path)}(?=[\s:,;/\\])", reason)
    if has_name:
        return reason
    return f"{path}: {reason}"


def in_utf8(name: str) -> str:
    """A name without what UTF-8 does not have; the name of a file may be any bytes."""
    return name.encode("utf-8", "replace").decode("utf-8")


def gigabytes(num_bytes: float) -> str:
    """An amount of memory, as in `3.8 GB`."""
    return f"{num_bytes / 1e9:,.3g} GB"


def in_short(message: str) -> str:
    """A message without the middle of a very long value that a person gave.

    A message begins with what was found and ends with what was expected, so both ends are kept.
    """
    if len(message) <= LONGEST_MESSAGE:
        return message
    return f"{message[:KEPT_OF_LONGER]} ... {message[-KEPT_OF_LONGER:]}"
