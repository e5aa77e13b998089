"""The piano-rolls that many files hold, kept on disk in parts as they are read: memory does not grow with them.

A part has the rolls of `FILES` files. Its name is a hash of what decides them: the files' paths and content, how they
are read, and the limits of reading. So a part that is there already is not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from lnfgen.conventions import ONSET, ONSET_SHIFT, SOUNDING, Progress
from lnfgen.data.parallel import in_parallel
from lnfgen.data.sources import SourceFile
from lnfgen.errors import LnfgenError
from lnfgen.files import write_bytes
from lnfgen.music.pianoroll import PianoRoll
from lnfgen.music.tracks import Track

FILES = 64

_VERSION = 7  # raised when lnfgen would read other rolls from the same files
_LIMITS = ("LNFGEN_READ_SECONDS", "LNFGEN_READ_MB")
_FIELDS = ("steps_per_quarter", "lowest_pitch", "tempo_bpm", "time_signature", "upbeat", "out_of_range", "rounded")

Read = partial[list[PianoRoll]]


class Readings:
    """What the files hold, in their order. It can be gone through several times."""

    def __init__(
        self, files: Sequence[SourceFile], read: Read, folder: Path, progress: Progress, jobs: int | None
    ) -> None:
        """Read the files that no part in the folder has.

        Args:
            read: of a function at the top of a module; its keywords decide the result, besides the file.
            jobs: how many processes read; None: as many as there are processors.
        """
        groups = [files[start : start + FILES] for start in range(0, len(files), FILES)]
        self._parts = [folder / f"{number:06d}-{_key(group, read)}.part" for number, group in enumerate(groups)]
        missing = [(part, group) for part, group in zip(self._parts, groups, strict=True) if not part.is_file()]
        paths = [file.path for _, group in missing for file in group]
        known = len(files) - len(paths)

        def tell(what: str, done: int, _: int) -> None:
            progress(what, known + done, len(files))

        with closing(in_parallel(read, paths, "reading", tell, jobs)) as results:  # ends its processes at an error
            for part, group in missing:
                write_bytes(part, _to_bytes(list(islice(results, len(group)))))

    def __iter__(self) -> Iterator[list[PianoRoll] | str]:
        """For each file its rolls, or why it cannot be read."""
        for part in self._parts:
            yield from _from_bytes(part.read_bytes())

    def rolls(self, wanted: Sequence[tuple[int, int]]) -> Iterator[PianoRoll]:
        """The rolls with these numbers of their file, and of the roll in it; both ascend."""
        loaded, group = -1, list[list[PianoRoll] | str]()
        for file, number in wanted:
            if file // FILES != loaded:
                loaded = file // FILES
                group = list(_from_bytes(self._parts[loaded].read_bytes()))
            found = group[file % FILES]
            assert not isinstance(found, str)
            yield found[number]


def _key(files: Sequence[SourceFile], read: Read) -> str:
    limits = [os.environ.get(name) for name in _LIMITS]
    decides = (_VERSION, read.keywords, limits, [(str(file.path), file.sha256) for file in files])
    return hashlib.sha256(repr(decides).encode("utf-8", errors="replace")).hexdigest()[:16]


def _to_bytes(results: Sequence[list[PianoRoll] | LnfgenError]) -> bytes:
    """A line of JSON, and then the keys of each roll: a byte each, with bits as in `lnfgen.conventions`."""
    described: list[Any] = []
    content = []
    for result in results:
        if isinstance(result, LnfgenError):
            described.append(str(result))
            continue
        described.append([])
        for roll in result:
            fields = {name: getattr(roll, name) for name in _FIELDS}
            tracks = [asdict(track) for track in roll.tracks]
            described[-1].append(
                {**fields, "shape": roll.sounding.shape, "onsets": roll.onsets is not None, "tracks": tracks}
            )
            keys = roll.sounding.astype(np.uint8)  # 0, or the bit SOUNDING
            content.append(keys if roll.onsets is None else keys | (roll.onsets.astype(np.uint8) << ONSET_SHIFT))
    header = json.dumps(described, default=lambda number: number.item())
    return header.encode() + b"\n" + b"".join(keys.tobytes() for keys in content)


def _from_bytes(content: bytes) -> Iterator[list[PianoRoll] | str]:
    start = content.index(b"\n") + 1
    for described in json.loads(content[:start]):
        if isinstance(described, str):
            yield described
            continue
        rolls = []
        for fields in described:
            steps, pitches = fields.pop("shape")
            keys = np.frombuffer(content, np.uint8, steps * pitches, start).reshape(steps, pitches)
            start += keys.size
            fields["tracks"] = tuple(Track(**track) for track in fields["tracks"])
            fields["time_signature"] = tuple(fields["time_signature"])
            fields["onsets"] = (keys & ONSET) != 0 if fields["onsets"] else None
            rolls.append(PianoRoll(sounding=(keys & SOUNDING) != 0, **fields))
        yield rolls
