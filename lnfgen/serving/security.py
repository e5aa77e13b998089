"""Who may ask the server for what: checks of each request before it reaches a route.

A page of another site can send requests to a server on this machine, and a name of the internet can
be made to mean this machine. So a request names the server as its owner does (`Host`), comes from
the server's own page or from no page (`Origin`), and carries the token that only the owner has.
"""

import hmac
import ipaddress
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

API = "/api/"
MOST_BYTES = 1 << 16  # of the body of a request
MOST_FILE_BYTES = 1 << 24  # of one that is a file

LOOPBACK = ("127.0.0.1", "localhost", "::1")  # the names of this machine for itself
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Lets a request through to the application, or answers it with an error.

    Args:
        token: what requests of the API carry.
        host: the address that the server listens to.
        port: its port.
        file_paths: the paths whose body is a file, which may be larger.
    """

    def __init__(
        self, app: ASGIApp, *, token: str, host: str, port: int, file_paths: Iterable[str] = ()
    ) -> None:
        self.app = app
        self._token = token.encode()
        self._host = host
        self._port = port
        self._file_paths = frozenset(file_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application does."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def send_safely(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    own.setdefault(name, value)
            await send(message)

        try:
            self._require_own_host(headers)
            self._require_token(scope, headers)
            limited = self._limited(scope, headers, receive)
        except HTTPException as error:
            response = JSONResponse({"error": error.detail}, error.status_code)
            await response(scope, receive, send_safely)
            return
        await self.app(scope, limited, send_safely)

    def _require_own_host(self, headers: Mapping[str, str]) -> None:
        """Refuse a request to another name than the server's, and one of another site's page."""
        host = headers.get("host", "")
        if not self._is_own(host):
            raise HTTPException(403, f"found the Host {host[:60]!r}; expected that of this server")
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{host}":
            raise HTTPException(
                403, f"found the Origin {origin[:60]!r}; expected the page of this server"
            )

    def _is_own(self, host: str) -> bool:
        """True if a `Host` names this server. One that listens to all addresses has any number."""
        shown_name, _, port = host.rpartition(":")
        name = shown_name.removeprefix("[").removesuffix("]")
        if port != str(self._port):
            return False
        if name in (*LOOPBACK, self._host):
            return True
        return _is_every_address(self._host) and _is_address(name)

    def _require_token(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Refuse a request of the API without the token, in the header or in the address."""
        if not scope["path"].startswith(API):
            return
        kind, _, found = headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer":
            query = parse_qs(scope["query_string"].decode("latin-1"))
            found = query.get("token", [""])[0]
        if not hmac.compare_digest(found.encode(), self._token):
            raise HTTPException(
                401, "found no token of this server; open the address that `lnfgen serve` printed"
            )

    def _limited(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Receive:
        """The body of the request, which may have so many bytes, whatever it declares."""
        most = MOST_FILE_BYTES if scope["path"] in self._file_paths else MOST_BYTES
        too_large = HTTPException(413, f"the body is too large; expected at most {most:,} bytes")
        declared = headers.get("content-length", "0")
        if not declared.isdecimal() or int(declared) > most:
            raise too_large
        num_bytes = 0

        async def limited() -> Message:
            nonlocal num_bytes
            message = await receive()
            num_bytes += len(message.get("body", b""))
            if num_bytes > most:
                raise too_large
            return message

        return limited


def _is_every_address(host: str) -> bool:
    """True of an address that stands for all of this machine's."""
    return _is_address(host) and ipaddress.ip_address(host).is_unspecified


def _is_address(name: str) -> bool:
    """True of a number of the internet, and not of a name."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
