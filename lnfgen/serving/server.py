"""The server itself: its socket, its address, and the run of uvicorn."""

import contextlib
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn

from lnfgen.errors import LnfgenError
from lnfgen.serving.app import application
from lnfgen.serving.studio import Studio

PORT = 8493  # that nothing known uses; the page of a session that ended finds the next one there
_GRACE = 1  # seconds that open streams have when the server ends


def listening_socket(host: str, port: int | None) -> socket.socket:
    """A socket that listens on this address.

    Args:
        port: 0 takes any free one; None takes `PORT`, or any free one if it is in use.

    Raises:
        LnfgenError: if the address cannot be used.
    """
    if port is None:
        try:
            return listening_socket(host, PORT)
        except LnfgenError:
            return listening_socket(host, 0)
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        family, kind, protocol, _, address = found[0]
        listening = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        raise LnfgenError(f"--host {host}: {error}; expected an address of this machine") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(128)
    except OSError as error:
        listening.close()
        reason = error.strerror or error
        raise LnfgenError(
            f"cannot listen to {host}, port {port}: {reason}; choose another --port"
        ) from None
    return listening


class Server(uvicorn.Server):
    """The server of a studio, which answers requests on a socket that listens.

    Args:
        host: the address that the socket listens to, as it was asked for.
        token: what requests of the API carry.
        ready: called when requests are answered.
    """

    def __init__(
        self,
        studio: Studio,
        listening: socket.socket,
        host: str,
        token: str,
        ready: Callable[[], None] = lambda: None,
    ) -> None:
        self._studio = studio
        self._listening = listening
        self._ready = ready
        port: int = listening.getsockname()[1]
        config = uvicorn.Config(
            application(studio, token=token, host=host, port=port),
            http="h11",
            ws="none",
            loop="asyncio",
            lifespan="off",
            log_level="warning",
            access_log=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._is_interrupted = False

    def serve_until_it_ends(self) -> None:
        """Answer requests until Ctrl-C or SIGTERM, or until `should_exit` is set.

        Raises:
            KeyboardInterrupt: after Ctrl-C.
        """
        with contextlib.closing(self._studio):
            self._studio.start()
            self.run(sockets=[self._listening])
        # uvicorn sends itself the signal again at its end, which a busy event loop may miss.
        if self._is_interrupted:
            raise KeyboardInterrupt

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note a signal to end."""
        self._is_interrupted = self._is_interrupted or sig == signal.SIGINT
        super().handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer requests."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End all drawings, whose events would keep connections open, and then these."""
        self._studio.drawings.stop()
        await super().shutdown(sockets)
