"""What a drawing does when its turn comes: from what was asked to takes on disk."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from lnfgen.errors import GivenPieceWarning, LnfgenWarning
from lnfgen.music.song import Song
from lnfgen.serving.asked import HARMONIZE, SAMPLE, Asked
from lnfgen.serving.drawing_queue import Drawing
from lnfgen.serving.redrawing import all_drawn, alone_as_melody, joined
from lnfgen.serving.remarks import heard_by
from lnfgen.serving.takes import Takes, TakeSong

if TYPE_CHECKING:  # which loads torch
    from lnfgen.runs.trained import TrainedModel


class Work:
    """The work of one drawing.

    Each take is on disk before a client hears of it.

    Args:
        asked: what is drawn.
        drawing: hears how far it is, and of each take and warning.
    """

    def __init__(self, takes: Takes, asked: Asked, drawing: Drawing) -> None:
        self._takes = takes
        self._asked = asked
        self._drawing = drawing
        self._warnings: list[str] = []  # since the last take

    def do(self, model: TrainedModel) -> None:
        """Draw all takes.

        Raises:
            DrawingCancelled: if nobody wants them any more; those that are drawn stay.
            LnfgenError: if the model cannot draw what was asked.
        """
        self._drawing.require_wanted()
        before = self._before()
        each = self._asked.singly()
        with heard_by(self._remark):
            for index, asked in enumerate(each):
                asked.draw(
                    model,
                    before,
                    progress=partial(self._advance, index, len(each)),
                    drawn=partial(self._keep, asked, before),
                )

    def _before(self) -> Song | None:
        """The song to draw from; None to draw from nothing.

        If a band is to harmonise one part alone, that is its melody.
        """
        if self._asked.action == SAMPLE:
            return None
        song = self._takes.song(self._asked.take).song
        return alone_as_melody(song) if self._asked.action == HARMONIZE else song

    def _advance(self, index: int, count: int, what: str, done: int, total: int) -> None:
        """Say how far number `index` of `count` drawings is."""
        self._drawing.advance(what, index * total + done, count * total)

    def _remark(self, warning: LnfgenWarning) -> None:
        """Say what the program remarks on a drawing.

        How the model hears the piece was said when its file was opened, and a page shows its home
        as its key, so no drawing repeats that.
        """
        if isinstance(warning, GivenPieceWarning):
            return
        text = str(warning)
        self._warnings.append(text)
        self._drawing.tell("warning", {"text": text})

    def _keep(self, asked: Asked, before: Song | None, piece: Song) -> None:
        """Write a take of a piece that was drawn."""
        name = asked.words()
        base = name
        if before is None:
            song = all_drawn(piece)
            new = song.drawn
        else:
            song = joined(before, piece)
            new = piece.drawn
            base = self._takes.get(asked.take).base
            name = f"{base}, {name}"
        assert new is not None
        take = self._takes.add(
            TakeSong(song, new),
            name=name,
            base=base,
            action=asked.action,
            settings=asked.settings(),
            source=asked.take or None,
            warnings=self._warnings,
        )
        self._warnings.clear()
        self._drawing.takes.append(take.id)
        self._drawing.tell("take", take.to_json())
