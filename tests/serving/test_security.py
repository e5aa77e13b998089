"""Requests of others: another site's page, another name, no token, too large."""

import socket
from typing import Any

import pytest
from served import Served

from lnfgen.serving.security import MOST_BYTES, MOST_FILE_BYTES, Guard

SESSION = "/api/session"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:PORT",
        "127.0.0.1",
        "127.0.0.1:1",
        "",
        "localhost:PORT.evil.example",
    ],
)
def test_a_request_to_another_name_is_refused(served: Served, host: str) -> None:
    headers = {"Host": host.replace("PORT", str(served.port))}
    for path in (SESSION, "/", "/page/style.css"):
        answer = served.ask("GET", path, headers=headers)
        assert answer.status_code in (400, 403)
    assert served.ask("GET", SESSION, headers={"Host": f"localhost:{served.port}"}).ok


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1:PORT", ""])
def test_a_page_of_another_site_is_refused(served: Served, origin: str) -> None:
    """Even if it knew the token."""
    headers = {"Origin": origin.replace("PORT", str(served.port))}
    before = served.takes
    assert served.ask("GET", SESSION, headers=headers).status_code == 403
    body = {"action": "sample"}
    assert served.ask("POST", "/api/drawings", headers=headers, json=body).status_code == 403
    assert served.ask("OPTIONS", "/api/drawings", headers=headers).status_code == 403
    assert len(served.takes) <= len(before) + 1  # the song that is drawn at the start
    own = {"Origin": served.address}
    answer = served.ask("GET", SESSION, headers=own)
    assert answer.ok
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize(
    "sent", ["", "Bearer", "Bearer wrong", "Basic TOKEN", "Bearer TOKENx", "TOKEN"]
)
def test_without_the_token_nothing_of_the_api_answers(served: Served, sent: str) -> None:
    headers = {"Authorization": sent.replace("TOKEN", served.token)}
    for method, path in (("GET", SESSION), ("POST", "/api/takes"), ("DELETE", "/api/takes/0001")):
        answer = served.ask(method, path, headers=headers)
        assert answer.status_code == 401
        assert "token" in answer.json()["error"]
        assert served.token not in answer.text


def test_a_token_in_the_address_is_as_good(served: Served) -> None:
    nobody = {"Authorization": ""}
    assert served.ask("GET", f"{SESSION}?token={served.token}", headers=nobody).ok
    assert served.ask("GET", f"{SESSION}?token=a", headers=nobody).status_code == 401
    assert served.ask("GET", f"{SESSION}?token=%ff%00", headers=nobody).status_code == 401


def _answer(connection: socket.socket) -> bytes:
    received = b""
    with connection:
        while b"\r\n\r\n" not in received:
            part = connection.recv(1 << 16)
            if not part:
                break
            received += part
    return received


@pytest.mark.parametrize(
    ("path", "most"), [("/api/drawings", MOST_BYTES), ("/api/takes", MOST_FILE_BYTES)]
)
def test_a_body_that_is_declared_too_large_is_refused_before_it_comes(
    served: Served, path: str, most: int
) -> None:
    connection = served.connect()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    head += f"Authorization: Bearer {served.token}\r\nContent-Length: {most + 1}\r\n\r\n"
    connection.sendall(head.encode())
    assert b" 413 " in _answer(connection).partition(b"\r\n")[0]


def test_a_body_that_grows_too_large_is_refused_on_the_way(served: Served) -> None:
    connection = served.connect()
    head = f"POST /api/drawings HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
    head += f"Authorization: Bearer {served.token}\r\nTransfer-Encoding: chunked\r\n\r\n"
    connection.sendall(head.encode())
    chunk = b"1000\r\n" + b" " * 0x1000 + b"\r\n"
    for _ in range(MOST_BYTES // 0x1000 + 1):
        connection.sendall(chunk)
    assert b" 413 " in _answer(connection).partition(b"\r\n")[0]
    assert served.ask("GET", SESSION).ok


def test_each_answer_keeps_the_page_to_itself(served: Served) -> None:
    for path in ("/", SESSION, "/api/nothing", "/page/style.css"):
        headers = served.ask("GET", path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert "server" not in headers


@pytest.mark.parametrize(
    ("listens_to", "host", "is_own"),
    [
        ("127.0.0.1", "127.0.0.1:80", True),
        ("127.0.0.1", "[::1]:80", True),
        ("127.0.0.1", "192.168.0.2:80", False),
        ("192.168.0.2", "192.168.0.2:80", True),
        ("192.168.0.2", "192.168.0.3:80", False),
        ("0.0.0.0", "192.168.0.3:80", True),
        ("0.0.0.0", "evil.example:80", False),
        ("::", "[fe80::1]:80", True),
        ("studio.local", "studio.local:80", True),
        ("studio.local", "other.local:80", False),
    ],
)
def test_a_server_has_the_names_that_it_listens_to(
    listens_to: str, host: str, is_own: bool
) -> None:
    async def nothing(*args: Any) -> None: ...

    guard = Guard(nothing, token="t", host=listens_to, port=80)
    assert guard._is_own(host) is is_own
