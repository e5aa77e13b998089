"""Takes: the pieces of a session and what was drawn from them, each a folder on disk.

    takes.json     marks a folder of takes
    token          what a request to its server must carry
    0001/          a take: `take.json`, `take.mid` to listen to, and the files of `song_files`
    removed/0002/  one that a person removed, which can come back

A take is written aside and renamed as a whole, and so is each change of it. A kill at any moment
leaves all takes as they were, and at most the one that is being written is missing.
"""

import os
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lnfgen.errors import LnfgenError, OutputError
from lnfgen.files import (
    make_folder,
    new_folder,
    output_errors,
    read_object,
    require_writable,
    try_lock,
    write_bytes,
    write_json,
    write_text,
)
from lnfgen.formats.song import midi_of
from lnfgen.music.song import Song
from lnfgen.music.tonality import find_key
from lnfgen.serving.json_records import record
from lnfgen.serving.song_files import read_song, write_song

MARK = "takes.json"
REMOVED = "removed"
MAX_NAME = 200  # characters of a name
_TOKEN = "token"
_FACTS = "take.json"
_ID = re.compile(r"\d{4,9}")
_KEPT_SONGS = 16  # that stay in memory


class UnknownTakeError(LnfgenError):
    """A take that is not there, or no longer."""


@dataclass(frozen=True)
class Take:
    """What is known of a take beside its music.

    Attributes:
        id: its number with zeros before it; also the name of its folder.
        name: for people.
        base: the start of the names of takes that are drawn from it.
        source: the take that it was drawn from; None if it was opened, or drawn from nothing.
        action: how it came: open, or what a drawing was asked to do.
        settings: what was asked, with the seed.
        bars, seconds: its length.
        drawn_notes: how many notes its own drawing drew.
        key: as `find_key` says it; empty without notes.
        created: the time in UTC, by ISO 8601.
        warnings: what the program remarked.
    """

    id: str
    name: str
    base: str
    starred: bool
    source: str | None
    action: str
    settings: dict[str, Any]
    bars: int
    seconds: float
    drawn_notes: int
    key: str
    created: str
    warnings: list[str]

    def to_json(self) -> dict[str, Any]:
        """The take for a client, and for its file."""
        values = asdict(self)
        values["from"] = values.pop("source")
        return values

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Take":
        """The take of which `to_json` made these values; a `ValueError` for others."""
        values = dict(values)
        values["source"] = values.pop("from", None)
        return record(cls, values)


class TakeSong(NamedTuple):
    """The music of a take.

    Attributes:
        song: with the file that it came from; `drawn` marks what any drawing up to this one drew.
        new: what the take's own drawing drew, bool [T, R, 128].
    """

    song: Song
    new: np.ndarray

    @property
    def shown(self) -> Song:
        """The song as a page shows it: only what its own drawing drew is marked."""
        return replace(self.song, drawn=self.new)


class Takes:
    """The takes of a folder, which one server at a time has.

    All methods may be called from any thread.

    Attributes:
        path: the folder.
        problems: a line on each take that cannot be read, and is left out.
    """

    def __init__(self, path: Path) -> None:
        """Open a folder of takes, or make a new one.

        Raises:
            OutputError: if the folder holds other things, another server has it, or it cannot be
            written.
        """
        self.path = path
        self.problems: list[str] = []
        self._takes: dict[str, Take] = {}
        self._songs: OrderedDict[str, TakeSong] = OrderedDict()
        self._guard = threading.RLock()
        self._closing = ExitStack()
        self._make_or_check()
        with output_errors(path):
            is_free = self._closing.enter_context(try_lock(path))
        if is_free is False:
            raise OutputError(
                f"another `lnfgen serve` has the takes in {path}; end it, or choose another folder"
            )
        self._read_all()

    def close(self) -> None:
        """Give the lock of the folder back."""
        self._closing.close()

    def _make_or_check(self) -> None:
        mark = self.path / MARK
        if self.path.exists() and not self.path.is_dir():
            raise OutputError(f"{self.path} is a file; expected a folder of takes, or a new name")
        if not mark.is_file() and self.path.is_dir() and any(self.path.iterdir()):
            raise OutputError(
                f"{self.path} holds other things than takes; expected a folder of takes, or a new "
                "one; choose another"
            )
        make_folder(self.path / REMOVED)
        require_writable(self.path, self.path)
        if not mark.is_file():
            write_json(mark, {"format": 1}, indent=1)

    def _read_all(self) -> None:
        for folder in sorted(self.path.iterdir()):
            if _ID.fullmatch(folder.name) and folder.is_dir():
                try:
                    self._takes[folder.name] = _read_facts(folder)
                except (OSError, ValueError, TypeError) as error:
                    self.problems.append(f"{folder} is left out: {error}")

    def token(self) -> str:
        """The secret of this folder's server, the same each time. Only its owner can read it."""
        path = self.path / _TOKEN
        with output_errors(path):
            found = path.read_text(encoding="ascii").strip() if path.is_file() else ""
            if len(found) < 32:
                os.close(os.open(path, os.O_WRONLY | os.O_CREAT, mode=0o600))
                found = secrets.token_urlsafe(32)
                write_text(path, found)  # which keeps the permissions of the file that is there
        return found

    def all(self) -> list[Take]:
        """The takes, the oldest first."""
        with self._guard:
            return [self._takes[key] for key in sorted(self._takes, key=int)]

    def get(self, key: str) -> Take:
        """The take with this id, or an `UnknownTakeError`."""
        with self._guard:
            take = self._takes.get(key)
        if take is None:
            raise UnknownTakeError(f"there is no take {key[:40]!r}; it may have been removed")
        return take

    def song(self, key: str) -> TakeSong:
        """The music of a take.

        Raises:
            UnknownTakeError: if the take is not there.
            UnreadableFileError: if its files are damaged.
        """
        with self._guard:
            self.get(key)
            found = self._songs.get(key)
            if found is None:
                song, masks = read_song(self.path / key, ("drawn", "new"))
                found = TakeSong(song, masks["new"])
            self._keep(key, found)
            return found

    def _keep(self, key: str, song: TakeSong) -> None:
        """Keep a song in memory, as the newest of those that are there."""
        self._songs[key] = song
        self._songs.move_to_end(key)
        if len(self._songs) > _KEPT_SONGS:
            self._songs.popitem(last=False)

    # What a take is made of.
    def add(  # noqa: PLR0913
        self,
        song: TakeSong,
        *,
        name: str,
        base: str,
        action: str,
        settings: dict[str, Any],
        source: str | None = None,
        warnings: Sequence[str] = (),
    ) -> Take:
        """Write a take. If its name is taken already, a number follows it."""
        roll = song.song.roll
        key = find_key(roll.merged)
        content = midi_of(song.song)
        with self._guard:
            number = self._next_id()
            take = Take(
                id=number,
                name=self._free_name(name),
                base=base,
                starred=False,
                source=source,
                action=action,
                settings=settings,
                bars=roll.num_bars,
                seconds=round(roll.seconds, 3),
                drawn_notes=song.shown.num_drawn,
                key="" if key is None else str(key),
                created=datetime.now(UTC).isoformat(timespec="seconds"),
                warnings=list(warnings),
            )
            assert song.song.drawn is not None
            with new_folder(self.path / number) as folder:
                write_song(folder, song.song, {"drawn": song.song.drawn, "new": song.new})
                write_bytes(folder / "take.mid", content)
                write_json(folder / _FACTS, take.to_json(), indent=1)
            self._takes[number] = take
            self._keep(number, song)
            return take

    def _next_id(self) -> str:
        """A number that no take has or had, also none that was removed or is damaged."""
        used = [0]
        for folder in (*self.path.iterdir(), *(self.path / REMOVED).iterdir()):
            if _ID.fullmatch(folder.name):
                used.append(int(folder.name))
        return f"{max(used) + 1:04d}"

    def _free_name(self, name: str) -> str:
        names = {take.name for take in self._takes.values()}
        found = name
        number = 1
        while found in names:
            number += 1
            found = f"{name} ({number})"
        return found

    def change(self, key: str, *, name: str | None = None, starred: bool | None = None) -> Take:
        """Give a take another name, or a star, or take its star away."""
        with self._guard:
            take = self.get(key)
            if name is not None:
                take = replace(take, name=name, base=name)
            if starred is not None:
                take = replace(take, starred=starred)
            write_json(self.path / key / _FACTS, take.to_json(), indent=1)
            self._takes[key] = take
            return take

    def remove(self, key: str) -> None:
        """Move a take among those removed, from where `restore` brings it back."""
        with self._guard:
            self.get(key)
            with output_errors(self.path / key):
                os.replace(self.path / key, self.path / REMOVED / key)
            del self._takes[key]
            self._songs.pop(key, None)

    def restore(self, key: str) -> Take:
        """Bring a take back that was removed, or raise an `UnknownTakeError`."""
        with self._guard:
            if key in self._takes:
                return self._takes[key]
            removed = self.path / REMOVED / key
            if not _ID.fullmatch(key) or not removed.is_dir():
                raise UnknownTakeError(f"no take {key[:40]!r} was removed")
            try:
                take = _read_facts(removed)
            except (OSError, ValueError, TypeError) as error:
                raise UnknownTakeError(f"the take {key} is damaged: {error}") from error
            with output_errors(removed):
                os.replace(removed, self.path / key)
            self._takes[key] = take
            return take


def _read_facts(folder: Path) -> Take:
    """The facts of a take in its folder, which has its id."""
    take = Take.from_json(read_object(folder / _FACTS))
    if take.id != folder.name:
        raise ValueError(f"it is the take {take.id}")
    return take
