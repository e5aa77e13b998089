"""The server itself: its socket, its address, and the run of uvicorn."""

import contextlib
import socket
from collections.abc import Callable

import uvicorn

from lnfgen.errors import LnfgenError
from lnfgen.serving.app import application
from lnfgen.serving.remarks import to_their_threads
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


def serve(
    studio: Studio,
    listening: socket.socket,
    host: str,
    token: str,
    ready: Callable[[], None] = lambda: None,
) -> None:
    """Answer requests until Ctrl-C or SIGTERM.

    Args:
        ready: called when requests are answered.
    """
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
    server = _Server(config, ready)
    with to_their_threads(), contextlib.closing(studio):
        studio.start()
        server.run(sockets=[listening])


class _Server(uvicorn.Server):
    """A server that says when it is ready."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready()
