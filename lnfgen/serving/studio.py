"""A session at work: takes, the model that draws more of them, and the drawings that are asked for.

It is what the API does, without HTTP.
"""

import hashlib
import secrets

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.asked import SAMPLE, Asked
from lnfgen.serving.drawing_queue import Drawing, DrawingQueue
from lnfgen.serving.model_at_hand import ModelAtHand
from lnfgen.serving.opened_files import Opened, base_name, open_file
from lnfgen.serving.takes import Take, Takes, TakeSong
from lnfgen.serving.wish_ranges import WishRanges
from lnfgen.serving.work import Work

OPEN = "open"


class BusyTakeError(LnfgenError):
    """A take that something is being drawn from."""


class Studio:
    """The takes of a folder, and one run's model that draws.

    Attributes:
        run: the run, whose model makes music.
        encoding: that of the model.
        takes: the takes.
        drawings: the drawings that are asked for.
        ranges: those of wishes, as the training data has them.
        first_take: the id of the take to show first; None for the last one.
        first_drawing: the id of the drawing that was begun because there was no take; None if there
            was one.
    """

    def __init__(self, run: RunFolder, takes: Takes, device: str = "auto") -> None:
        self.run = run
        self.encoding = music_encoding_of(run)
        self.takes = takes
        self.first_take: str | None = None
        self.first_drawing: str | None = None
        self._model = ModelAtHand(run, device)
        self.drawings = DrawingQueue(self._model.load, "loading the model")
        self.ranges = WishRanges(run)

    def start(self) -> None:
        """Load the model, and draw what is asked for. Without any take, a song is drawn."""
        if not self.takes.all():
            drawing = self.ask(Asked(action=SAMPLE, seed=secrets.randbelow(2**31)))
            self.first_drawing = drawing.id
        self.drawings.start()
        self.ranges.start()

    def close(self) -> None:
        """End all drawings."""
        self.drawings.close()

    def open(self, content: bytes, name: str) -> Take:
        """A new take of a file that a client sent, which a child process reads.

        Raises:
            LnfgenError: if it cannot be read.
        """
        return self._add(open_file(self.encoding, content, name), name, content)

    def begin_with(self, found: Opened, name: str, content: bytes) -> None:
        """Show first the take of a file that was opened: a new one, if it has none yet."""
        digest = _digest(content)
        for take in self.takes.all():
            if take.action == OPEN and take.settings.get("sha256") == digest:
                self.first_take = take.id
                return
        self.first_take = self._add(found, name, content).id

    def _add(self, found: Opened, name: str, content: bytes) -> Take:
        """A new take of a file of this name and content."""
        shown = base_name(name)
        assert found.song.drawn is not None
        return self.takes.add(
            TakeSong(found.song, found.song.drawn),
            name=shown,
            base=shown,
            action=OPEN,
            settings={"file": shown, "sha256": _digest(content)},
            warnings=found.remarks,
        )

    def remove(self, key: str) -> None:
        """Remove a take.

        Raises:
            UnknownTakeError: if there is none with this id.
            BusyTakeError: if something is being drawn from it.
        """
        for drawing in self.drawings.unfinished():
            if drawing.take == key:
                raise BusyTakeError(f"the take {key} is being drawn from; stop {drawing.id} first")
        self.takes.remove(key)

    def ask(self, asked: Asked) -> Drawing:
        """Have something drawn, as soon as all that was asked for before is.

        Raises:
            UnknownTakeError: if the take is not there.
            LnfgenError: if a wish cannot be met by any piece.
        """
        asked.wishes(self.encoding)
        if asked.action != SAMPLE:
            self.takes.get(asked.take)

        def work(drawing: Drawing) -> None:
            Work(self.takes, asked, drawing).do(self._model.get())

        return self.drawings.add(asked.take or None, work)


def music_encoding_of(run: RunFolder) -> MusicEncoding:
    """The encoding of a run that makes music, or an `LnfgenError`."""
    if not isinstance(run.encoding, MusicEncoding):
        raise LnfgenError(f"{run.name} makes text; expected a model of music; choose another --run")
    return run.encoding


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
