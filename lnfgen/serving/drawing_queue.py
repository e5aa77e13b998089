"""Drawings one after the other, in a thread of their own, with the events of each.

A drawing waits, draws, and is then done, failed or cancelled. It can be cancelled at any time, and
stops where it next says how far it has come.
"""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from lnfgen.errors import LnfgenError, is_out_of_memory

# Seconds from one progress that listeners hear of to the next. They share the processor with the
# work, which is done in a fraction of a second.
_BETWEEN = 0.1

_log = logging.getLogger(__name__)

MOST_WAITING = 200
_REMEMBERED = 500  # drawings that have ended

State = Literal["waiting", "drawing", "done", "failed", "cancelled"]
ENDS = ("done", "failed", "cancelled")  # the states at the end, and the last events


class DrawingCancelled(Exception):  # noqa: N818 - it is no error
    """A person does not want what is being drawn any more."""


class TooManyError(LnfgenError):
    """More drawings than a server keeps waiting."""


class Event(NamedTuple):
    """What happened to a drawing: `waiting`, `progress`, `take`, `warning`, or how it ended."""

    name: str
    data: dict[str, Any]


class Drawing:
    """A drawing that was asked for.

    Attributes:
        id: its name for clients.
        take: the id of the take that it draws from; None for a new song.
        work: draws, and tells the drawing how far it is.
    """

    def __init__(self, number: int, take: str | None, work: Callable[["Drawing"], None]) -> None:
        self.id = f"d{number}"
        self.take = take
        self.work = work
        self.state: State = "waiting"
        self.takes: list[str] = []
        self.error: str | None = None
        self.progress = Event("progress", {"what": "", "done": 0, "total": 0})
        self._events: list[Event] = []
        self._heard_at = 0.0  # when listeners last heard of the progress, by the clock
        self._is_cancelled = threading.Event()
        self._listeners: list[Callable[[], None]] = []
        self._guard = threading.Lock()

    @property
    def has_ended(self) -> bool:
        return self.state in ENDS

    def to_json(self) -> dict[str, Any]:
        """Where the drawing stands, for a client."""
        values: dict[str, Any] = {
            "id": self.id,
            "state": self.state,
            "done": self.progress.data["done"],
            "total": self.progress.data["total"],
            "takes": list(self.takes),
        }
        if self.error is not None:
            values["error"] = self.error
        return values

    # What the work tells.

    def advance(self, what: str, done: int, total: int) -> None:
        """Say how far the work is; as a `Progress`.

        Raises:
            DrawingCancelled: if nobody wants it any more.
        """
        self.require_wanted()
        self.progress = Event("progress", {"what": what, "done": done, "total": total})
        now = time.monotonic()
        if now - self._heard_at > _BETWEEN:
            self._heard_at = now
            self.call_listeners()

    def require_wanted(self) -> None:
        """Raise `DrawingCancelled` if the drawing was cancelled."""
        if self._is_cancelled.is_set():
            raise DrawingCancelled

    def tell(self, name: str, data: dict[str, Any]) -> None:
        """Add an event."""
        with self._guard:
            self._events.append(Event(name, data))
        self.call_listeners()

    def end(self, state: State, data: dict[str, Any]) -> None:
        """Add the last event, which is named after the state."""
        self.state = state
        self.tell(state, data)

    def cancel(self) -> None:
        """Have the work end where it next says how far it is."""
        self._is_cancelled.set()

    # What a listener hears.

    def events(self, start: int) -> list[Event]:
        """The events from number `start` on, without those of the progress."""
        with self._guard:
            return self._events[start:]

    def listen(self, listener: Callable[[], None]) -> None:
        """Have this called, from any thread, after each event."""
        with self._guard:
            self._listeners.append(listener)

    def stop_listening(self, listener: Callable[[], None]) -> bool:
        """Call it no longer. True if nobody listens any more."""
        with self._guard:
            self._listeners.remove(listener)
            return not self._listeners

    def call_listeners(self) -> None:
        """Have the listeners look for news."""
        with self._guard:
            listeners = list(self._listeners)
        for listener in listeners:
            listener()


class DrawingQueue:
    """Does drawings in the order in which they were asked for, in one thread.

    Args:
        prepare: is called in that thread before the first drawing, whether there is one or not.
        preparing: what it does, in words for those who wait meanwhile.

    Attributes:
        is_closed: True if nothing is drawn any more.
    """

    def __init__(self, prepare: Callable[[], None] = lambda: None, preparing: str = "") -> None:
        self._prepare = prepare
        self._preparing = preparing
        self._drawings: OrderedDict[str, Drawing] = OrderedDict()
        self._waiting: list[Drawing] = []
        self._present: Drawing | None = None
        self._changed = threading.Condition()
        self.is_closed = False
        self._number = 0
        self._thread = threading.Thread(target=self._run, name="drawings", daemon=True)

    def start(self) -> None:
        """Begin to draw."""
        self._thread.start()

    def stop(self) -> None:
        """Cancel all drawings, and begin no other one."""
        with self._changed:
            self.is_closed = True
            for drawing in self.unfinished():
                self._cancel(drawing)
                drawing.call_listeners()
            self._changed.notify_all()

    def close(self, seconds: float = 5.0) -> None:
        """Stop, and wait so long at most for the present drawing to end."""
        self.stop()
        if self._thread.is_alive():
            self._thread.join(seconds)

    def add(self, take: str | None, work: Callable[[Drawing], None]) -> Drawing:
        """Ask for a drawing from a take.

        Raises:
            TooManyError: if very many wait already.
        """
        with self._changed:
            if len(self._waiting) >= MOST_WAITING:
                raise TooManyError(
                    f"{MOST_WAITING} drawings wait already; wait until some are done, or stop them"
                )
            self._number += 1
            drawing = Drawing(self._number, take, work)
            drawing.progress = Event("progress", {"what": self._preparing, "done": 0, "total": 0})
            self._drawings[drawing.id] = drawing
            self._waiting.append(drawing)
            self._forget()
            self._tell_places()
            self._changed.notify_all()
        return drawing

    def get(self, key: str) -> Drawing | None:
        """The drawing with this id; None if there is none, or it is long past."""
        with self._changed:
            return self._drawings.get(key)

    def unfinished(self) -> list[Drawing]:
        """The present drawing and those that wait, in their order."""
        with self._changed:
            present = []
            # One that has ended is the present one until the thread takes the next.
            if self._present is not None and not self._present.has_ended:
                present.append(self._present)
            return [*present, *self._waiting]

    def cancel(self, drawing: Drawing) -> None:
        """Cancel a drawing. One that waits ends at once."""
        with self._changed:
            self._cancel(drawing)

    def _cancel(self, drawing: Drawing) -> None:
        drawing.cancel()
        if drawing in self._waiting:
            self._waiting.remove(drawing)
            drawing.end("cancelled", {})
            self._tell_places()

    def _tell_places(self) -> None:
        """Tell each drawing that waits how many are ahead of it, if any are."""
        for place, drawing in enumerate(self._waiting):
            ahead = place + (self._present is not None)
            earlier = [event.data for event in drawing.events(0) if event.name == "waiting"]
            if ahead and earlier[-1:] != [{"ahead": ahead}]:
                drawing.tell("waiting", {"ahead": ahead})

    def _forget(self) -> None:
        """Forget the drawings that ended long ago."""
        ended = [key for key, drawing in self._drawings.items() if drawing.has_ended]
        for key in ended[:-_REMEMBERED]:
            del self._drawings[key]

    def _run(self) -> None:
        self._prepare()
        self._preparing = ""
        while True:
            with self._changed:
                self._present = None
                self._changed.wait_for(lambda: self._waiting or self.is_closed)
                if self.is_closed:
                    return
                drawing = self._waiting.pop(0)
                drawing.state = "drawing"
                self._present = drawing
                self._tell_places()
            _do(drawing)


def _do(drawing: Drawing) -> None:
    """Draw, and say how it ended."""
    try:
        drawing.work(drawing)
    except DrawingCancelled:
        drawing.end("cancelled", {})
    except Exception as error:
        drawing.error = _reason(error)
        drawing.end("failed", {"error": drawing.error})
    else:
        drawing.end("done", {})


def _reason(error: Exception) -> str:
    """Why a drawing failed, in one line. A defect of lnfgen is logged too."""
    if isinstance(error, LnfgenError):
        return str(error)
    if is_out_of_memory(error):
        return "out of memory; ask for fewer particles, or for fewer bars"
    _log.error("a drawing failed", exc_info=error)
    return f"a defect of lnfgen, which the server has printed: {type(error).__name__}"
