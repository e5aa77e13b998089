"""A session at work: takes, the model that draws more of them, and the drawings that are asked for.

It is what the API does, without HTTP.
"""

import hashlib
import secrets

from lnfgen.data.music_encoding import MusicEncoding
from lnfgen.errors import LnfgenError
from lnfgen.music.song import Song, as_song
from lnfgen.runs.folder import RunFolder
from lnfgen.serving.asked import HARMONIZE, SAMPLE, Asked
from lnfgen.serving.drawing_queue import Drawing, DrawingQueue
from lnfgen.serving.model_at_hand import ModelAtHand
from lnfgen.serving.opening import Opened, base_name, open_file, opened
from lnfgen.serving.redrawing import all_drawn, alone_as_melody, as_given, joined
from lnfgen.serving.remarks import heard_by
from lnfgen.serving.takes import Take, Takes, TakeSong

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
        first_take: the id of the take to show first; None for the last one.
        first_drawing: the id of the drawing that was begun because there was no take; None if there
            was one.
    """

    def __init__(self, run: RunFolder, takes: Takes, device: str = "auto") -> None:
        encoding = run.encoding
        if not isinstance(encoding, MusicEncoding):
            raise LnfgenError(
                f"{run.name} makes text; expected a model of music; choose another --run"
            )
        self.run = run
        self.encoding = encoding
        self.takes = takes
        self.first_take: str | None = None
        self.first_drawing: str | None = None
        self._model = ModelAtHand(run, device)
        self.drawings = DrawingQueue(prepare=self._model.load)

    def start(self) -> None:
        """Load the model, and draw what is asked for. Without any take, a song is drawn."""
        if not self.takes.all():
            drawing = self.ask(Asked(action=SAMPLE, seed=secrets.randbelow(2**31)))
            self.first_drawing = drawing.id
        self.drawings.start()

    def close(self) -> None:
        """End all drawings, and give the folder back."""
        self.drawings.close()
        self.takes.close()

    def open(self, content: bytes, name: str) -> Take:
        """A new take of a file that a client sent, which a child process reads.

        Raises:
            LnfgenError: if it cannot be read.
        """
        return self._add(open_file(self.encoding, content, name), name, content)

    def open_own(self, content: bytes, name: str) -> Take:
        """The take of a file of the person who starts the server; the one that is there already.

        Raises:
            LnfgenError: if it cannot be read.
        """
        digest = _digest(content)
        for take in self.takes.all():
            if take.action == OPEN and take.settings.get("sha256") == digest:
                return take
        return self._add(opened(self.encoding, content, name), name, content)

    def _add(self, found: Opened, name: str, content: bytes) -> Take:
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
            UnknownTakeError: if there is no such take.
            LnfgenError: if a wish cannot be met by any piece.
        """
        asked.wishes(self.encoding)
        if asked.action != SAMPLE:
            self.takes.get(asked.take)

        def work(drawing: Drawing) -> None:
            self._draw(asked, drawing)

        return self.drawings.add(asked.take or None, work)

    def _draw(self, asked: Asked, drawing: Drawing) -> None:
        """Draw takes, each of which is on disk before a client hears of it."""
        model = self._model.get()
        drawing.require_wanted()
        before = None
        given = None
        if asked.action != SAMPLE:
            before = self._before(asked)
            given = as_given(before)
        warnings: list[str] = []

        def remark(text: str) -> None:
            warnings.append(text)
            drawing.tell("warning", {"text": text})

        def drawn(piece: Song) -> None:
            if before is None:
                song = all_drawn(as_song(piece))
                new = song.drawn
            else:
                song = joined(before, piece)
                new = piece.drawn
            assert new is not None
            take = self._keep(asked, TakeSong(song, new), warnings)
            drawing.takes.append(take.id)
            drawing.tell("take", take.to_json())

        with heard_by(remark):
            asked.draw(model, given, drawing.advance, drawn)

    def _before(self, asked: Asked) -> Song:
        """The song to draw from. If a band is to harmonise one part alone, that is the melody."""
        song = self.takes.song(asked.take).song
        return alone_as_melody(song) if asked.action == HARMONIZE else song

    def _keep(self, asked: Asked, song: TakeSong, warnings: list[str]) -> Take:
        """Write a take of what was drawn."""
        words = asked.words()
        if asked.action == SAMPLE:
            base = words
            name = words
        else:
            base = self.takes.get(asked.take).base
            name = f"{base}, {words}"
        return self.takes.add(
            song,
            name=name,
            base=base,
            action=asked.action,
            settings=asked.settings(),
            source=asked.take or None,
            warnings=warnings,
        )


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
