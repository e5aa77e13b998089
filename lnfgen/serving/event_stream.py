"""The events of a drawing as a client hears them: server-sent events.

The protocol: https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
import json
from collections.abc import AsyncIterator

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from lnfgen.serving.drawing_queue import ENDS, Drawing, DrawingQueue, Event

_QUIET = 1.0  # seconds without an event, after which a comment finds out if anybody still listens


class EventStream(StreamingResponse):
    """All events of a drawing, those before too.

    When its last listener goes, the drawing is cancelled: a closed tab ends its own.
    """

    def __init__(self, drawings: DrawingQueue, drawing: Drawing) -> None:
        self._drawings = drawings
        self._drawing = drawing
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        super().__init__(self._lines(), media_type="text/event-stream")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events, as an ASGI application does."""
        self._drawing.listen(self._call)
        try:
            await super().__call__(scope, receive, send)
        finally:
            is_unheard = self._drawing.stop_listening(self._call)
            if is_unheard and not self._drawing.has_ended:
                self._drawings.cancel(self._drawing)

    def _call(self) -> None:
        """Say, from any thread, that there is something to send."""
        self._loop.call_soon_threadsafe(self._news.set)

    async def _lines(self) -> AsyncIterator[str]:
        """The events as lines, until the drawing has ended, or the server ends."""
        num_sent = 0
        progress = None
        while True:
            self._news.clear()
            for event in self._drawing.events(num_sent):
                num_sent += 1
                yield _lines_of(event)
                if event.name in ENDS:
                    return
            if self._drawings.is_closed:
                return
            if self._drawing.progress is not progress:
                progress = self._drawing.progress
                if progress.data["what"]:
                    yield _lines_of(progress)
            try:
                await asyncio.wait_for(self._news.wait(), _QUIET)
            except TimeoutError:
                yield ":\n\n"


def _lines_of(event: Event) -> str:
    return f"event: {event.name}\ndata: {json.dumps(event.data)}\n\n"
