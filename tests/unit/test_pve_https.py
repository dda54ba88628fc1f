"""HTTPS as the door: who is spoken with, what is sent, and answers that are none."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from hostpci.pve.https import HttpsPve, _context, parse_fingerprint, parse_url
from hostpci.pve.node import PveError
from hostpci.pve.token import VARIABLE, Token, find_token
from tests.pvenode.doors import https
from tests.pvenode.node import Node, Response, empty_state
from tests.pvenode.server import CERTIFICATES, Server

SECRET = "11111111-2222-3333-4444-555555555555"
TOKEN = f"root@pam!gpu={SECRET}"
CONFIG = "/nodes/pve1/qemu/100/config"


def a_node() -> Node:
    state = empty_state()
    state["tokens"] = {"root@pam!gpu": {"secret": SECRET, "privsep": 0}}
    node = Node(state)
    node.add_vm(100, {"name": "gpu"})
    return node


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(a_node()) as running:
        yield running


def refused(pve: HttpsPve, method: str = "get", path: str = "/version", **params: Any) -> PveError:
    with pytest.raises(PveError) as caught:
        pve.call(method, path, params)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)
    return caught.value


# what is right


def test_calls_carry_the_token_and_their_parameters(server: Server) -> None:
    pve = https(server, TOKEN)
    entries = ("node=a,path=0000:01:00,id=10de:2d04", "node=b,path=0000:02:00,id=10de:2d04")
    pve.call("create", "/cluster/mapping/pci", {"id": "gpu", "map": entries, "mdev": True})
    assert server.node.state["mappings"]["gpu"] == {"map": list(entries), "mdev": "1"}
    pve.call("set", CONFIG, {"description": "a&b=ü;\n+%20"})
    assert pve.call("get", CONFIG)["description"] == "a&b=ü;\n+%20"
    pve.call("delete", "/cluster/mapping/pci/gpu")
    assert server.node.state["mappings"] == {}
    assert pve.version() == (9, 2)
    assert not pve.is_local_root
    assert {headers["Authorization"] for *_, headers in server.seen} == {f"PVEAPIToken={TOKEN}"}


def test_an_empty_value_is_sent(server: Server) -> None:
    pve = https(server, TOKEN)
    pve.call("get", "/nodes/pve1/hardware/pci", {"pci-class-blacklist": ""})
    assert server.node.calls[-1][3] == {"pci-class-blacklist": ""}


@pytest.mark.parametrize("count", [1, 3])
def test_the_node_is_the_only_one_or_must_be_named(server: Server, count: int) -> None:
    server.node.state["nodes"] = [{"name": f"pve{n}"} for n in range(1, count + 1)]
    pve = https(server, TOKEN)
    if count == 1:
        assert pve.node() == "pve1"
    else:
        with pytest.raises(PveError, match="pve1, pve2, pve3"):
            pve.node()
    assert https(server, TOKEN, node="pve7").node() == "pve7"


def test_the_authorities_of_the_system_are_enough(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "server.crt"))
    assert HttpsPve(server.url, Token(TOKEN)).version() == (9, 2)


def test_the_authority_that_a_node_made_for_itself_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """/etc/pve/pve-root-ca.pem and pve-ssl.pem, made as pve-cluster PVE/Cluster/Setup.pm does: no
    use of the authority's key is named. Only the node's own certificate is sent.
    """
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "pve-root-ca.crt"))
    with Server(a_node(), certificate="pve") as server:
        assert HttpsPve(server.url, Token(TOKEN)).version() == (9, 2)
        by_name = server.url.replace("127.0.0.1", "localhost")
        assert HttpsPve(by_name, Token(TOKEN)).version() == (9, 2)
        assert https(server, TOKEN).version() == (9, 2)
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "server.crt"))
    with Server(a_node(), certificate="pve") as server:
        assert refused(HttpsPve(server.url, Token(TOKEN))).code == "pve-untrusted"
        assert server.seen == []


def test_a_task_is_followed(server: Server) -> None:
    ticks = []
    server.node.state["task_polls"] = 2
    pve = https(server, TOKEN, tick=lambda name, elapsed_s: ticks.append(name))
    end = pve.follow(pve.call("create", "/nodes/pve1/qemu/100/status/start"), timeout_s=10)
    assert (end.ok, end.log, ticks) == (True, ("TASK OK",), ["qmstart 100"] * 2)


# the other side is not who it should be


@pytest.mark.parametrize(
    ("certificate", "trusted", "words"),
    [
        ("other", "server", "self-signed"),
        ("name", "name", "mismatch"),
        ("server", "other", "self-signed"),
        ("old", "old", "expired"),
    ],
)
def test_a_certificate_that_nobody_vouches_for_gets_no_token(
    certificate: str, trusted: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / f"{trusted}.crt"))
    with Server(a_node(), certificate=certificate) as server:
        error = refused(HttpsPve(server.url, Token(TOKEN)))
        assert error.code == "pve-untrusted"
        assert words in str(error.params["reason"])
        assert server.seen == []


def test_a_wrong_fingerprint_gets_no_token_and_the_right_one_is_named(server: Server) -> None:
    error = refused(https(server, TOKEN, fingerprint="ab" * 32))
    assert error.code == "pve-untrusted-pin"
    assert server.seen == []
    found = str(error.params["found"])
    assert https(server, TOKEN, fingerprint=found).version() == (9, 2)


def test_a_pin_needs_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    with Server(a_node(), certificate="name") as server:
        assert https(server, TOKEN).version() == (9, 2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("AB:" * 31 + "AB", "ab" * 32), ("ab" * 32, "ab" * 32), (f"sha256:{'0f' * 32}", "0f" * 32),
        # as openssl and pvesh print it, copied whole
        (f"sha256 Fingerprint={'AB:' * 31}AB\n", "ab" * 32),
        (f"SHA256 Fingerprint={'AB:' * 31}AB", "ab" * 32), (f"SHA256:{'AB' * 32}", "ab" * 32),
        (f"sha1 Fingerprint={'AB:' * 31}AB", None), (f"x={'AB' * 32}", None),
        ("", ""), ("AB:" * 19 + "AB", None), ("zz" * 32, None), ("ab" * 32 + "\n", "ab" * 32),
    ],
)  # fmt: skip
def test_a_fingerprint_is_sha256(text: str, expected: str | None) -> None:
    if expected is not None:
        assert parse_fingerprint(text) == expected
        return
    with pytest.raises(PveError, match="pve-bad-fingerprint"):
        parse_fingerprint(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://pve.example", ("pve.example", 8006)), ("pve.example:443", ("pve.example", 443)),
        ("https://192.0.2.1:8006/", ("192.0.2.1", 8006)), ("[2001:db8::1]", ("2001:db8::1", 8006)),
        ("https://pve.example/api2/json", ("pve.example", 8006)),
        ("http://pve.example", None), ("https://user:secret@pve.example", None), ("", None),
        ("https://pve.example/x", None), ("pve.example:99999", None), ("ftp://x", None),
        ("https://", None), ("https://pve.example?x=1", None),
    ],
)  # fmt: skip
def test_an_address_is_a_host_and_perhaps_a_port(
    text: str, expected: tuple[str, int] | None
) -> None:
    if expected:
        assert parse_url(text) == expected
        return
    with pytest.raises(PveError, match="pve-bad-url"):
        parse_url(text)


# the token


@pytest.mark.parametrize(
    "text",
    [TOKEN, f"{TOKEN}\n", f"PVEAPIToken={TOKEN}", f"hostpci@pve!gpu-1={SECRET}",
     f"ops@example.org@ad!gpu={SECRET}"],
)  # fmt: skip
def test_a_token_is_read_from_a_file_of_ones_own(tmp_path: Path, text: str) -> None:
    path = tmp_path / "token"
    path.write_text(text, encoding="ascii")
    path.chmod(0o600)
    token = find_token(str(path))
    assert token.header.endswith(SECRET)
    assert SECRET not in repr(token)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o644])
def test_a_token_file_that_others_can_read_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN, encoding="ascii")
    path.chmod(mode)
    with pytest.raises(PveError, match="pve-token-open") as caught:
        find_token(str(path))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "link", "folder", "pipe"])
def test_a_token_file_is_a_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "token"
    if kind == "link":
        (tmp_path / "real").write_text(TOKEN, encoding="ascii")
        path.symlink_to(tmp_path / "real")
    elif kind == "folder":
        path.mkdir(mode=0o700)
    elif kind == "pipe":
        os.mkfifo(path, 0o600)
    with pytest.raises(PveError, match="pve-token-file"):
        find_token(str(path))


@pytest.mark.parametrize(
    "text",
    ["", SECRET, f"root@pam={SECRET}", "root@pam!gpu=", f"{TOKEN}\n{TOKEN}", f"{TOKEN} \r\nX: y"],
)
def test_what_is_no_token_is_not_repeated(text: str) -> None:
    with pytest.raises(PveError, match="pve-bad-token") as caught:
        Token(text)
    assert SECRET not in str(caught.value)


def test_the_environment_may_hold_the_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, TOKEN)
    assert find_token(None).name == "root@pam!gpu"
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(PveError, match="pve-no-token"):
        find_token(None)


@pytest.mark.parametrize(
    "change", [{"secret": "x"}, {"expire": 1}, {"user": "disabled"}, {"user": "expired"}, None]
)
def test_a_token_that_is_not_accepted(server: Server, change: dict[str, Any] | None) -> None:
    state = server.node.state
    if change is None:
        state["tokens"] = {}
    elif "user" in change:
        state["users"]["root@pam"] |= (
            {"enable": 0} if change["user"] == "disabled" else {"expire": 1}
        )
    else:
        state["tokens"]["root@pam!gpu"] |= change
    error = refused(https(server, TOKEN), "set", CONFIG, name="other")
    assert (error.code, error.params["who"]) == ("pve-auth", "root@pam!gpu")
    assert state["vms"]["100"]["config"] == {"name": "gpu"}


# answers that are none


def raw(data: bytes) -> Callable[[Any], bool]:
    def answer(handler: Any) -> bool:
        handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        handler.wfile.write(data)
        handler.close_connection = True
        return True

    return answer


def ok(body: bytes, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body


PROXY_596 = b"HTTP/1.1 596 Connection timed out\r\nContent-Length: 0\r\n\r\n"
REDIRECT = b"HTTP/1.1 301 Moved\r\nLocation: https://evil.test/\r\nContent-Length: 0\r\n\r\n"


@pytest.mark.parametrize(
    ("name", "data", "read", "changed"),
    [
        ("html", ok(b"<html>login</html>"), "pve-garbled", "pve-garbled"),
        ("truncated json", ok(b'{"data": {"version": "9'), "pve-garbled", "pve-garbled"),
        ("cut off", ok(b'{"data": {}}', 4000), "pve-unreachable", "pve-lost"),
        ("no data", ok(b'{"result": 1}'), "pve-garbled", "pve-garbled"),
        ("a list", ok(b"[]"), "pve-garbled", "pve-garbled"),
        ("nothing", ok(b""), "pve-unreachable", "pve-lost"),
        ("half headers", b"HTTP/1.1 200 OK\r\nX: y\r\n", "pve-unreachable", "pve-lost"),
        ("deep", ok(b"[" * 100_000), "pve-garbled", "pve-garbled"),
        ("no utf-8", ok(b'{"data": "\xff\xfe"}'), "pve-garbled", "pve-garbled"),
        ("garbage", b"\x00\x01\x02 what?\r\n\r\n", "pve-unreachable", "pve-lost"),
        ("closed", b"", "pve-unreachable", "pve-lost"),
        ("many headers", b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 500, "pve-unreachable", "pve-lost"),
        ("redirect", REDIRECT, "pve-garbled", "pve-garbled"),
        ("596", PROXY_596, "pve-unreachable", "pve-lost"),
        ("595", PROXY_596.replace(b"596", b"595"), "pve-unreachable", "pve-unreachable"),
        ("502", PROXY_596.replace(b"596", b"502"), "pve-unreachable", "pve-lost"),
        ("503", PROXY_596.replace(b"596", b"503"), "pve-unreachable", "pve-unreachable"),
        ("500 html", b"HTTP/1.1 500 Oops\r\n\r\n<html>\x1b[2J", "pve-failed", "pve-failed"),
    ],
)
def test_an_answer_that_is_none(
    server: Server, name: str, data: bytes, read: str, changed: str
) -> None:
    server.tamper = raw(data)
    pve = https(server, TOKEN)
    assert refused(pve).code == read, name
    error = refused(pve, "set", CONFIG, name="other")
    assert error.code == changed, name
    assert "\x1b" not in str(error)
    assert len(str(error)) < 2000


def test_a_flood_is_cut_off(server: Server) -> None:
    def flood(handler: Any) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
        for _ in range(100):
            handler.wfile.write(b" " * (1 << 20))
        return True

    server.tamper = flood
    error = refused(https(server, TOKEN))
    assert (error.code, error.params["reason"]) == ("pve-garbled", "more than 48 MiB")


@pytest.mark.parametrize("kind", ["silent", "drip"])
@pytest.mark.parametrize(("method", "code"), [("get", "pve-unreachable"), ("set", "pve-lost")])
def test_a_server_that_stalls_is_left(server: Server, kind: str, method: str, code: str) -> None:
    left = threading.Event()

    def stall(handler: Any) -> bool:
        if kind == "drip":
            handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
        for _ in range(100):
            if left.wait(0.05):
                break
            if kind == "drip":
                handler.wfile.write(b"X: y\r\n"[:1])
        handler.close_connection = True
        return True

    server.tamper = stall
    begin = time.monotonic()
    error = refused(https(server, TOKEN, limit_s=0.4), method, CONFIG)
    left.set()
    assert time.monotonic() - begin < 3
    assert error.code == code


def test_nobody_is_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{taken.getsockname()[1]}"
        error = refused(HttpsPve(url, Token(TOKEN)), "set", CONFIG)
    assert error.code == "pve-unreachable"
    assert "refused" in str(error.params["reason"])


@pytest.mark.parametrize("host", ["x" * 70, "a..b", "pve.invalid"])
def test_a_name_that_leads_nowhere(host: str) -> None:
    assert refused(HttpsPve(host, Token(TOKEN))).code == "pve-unreachable"


def test_what_speaks_no_tls_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as plain:

        def speak() -> None:
            link, _ = plain.accept()
            with link:
                link.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
                time.sleep(0.2)

        threading.Thread(target=speak, daemon=True).start()
        error = refused(HttpsPve(f"127.0.0.1:{plain.getsockname()[1]}", Token(TOKEN)))
    assert error.code == "pve-unreachable"
    assert str(error.params["reason"]).startswith("TLS: ")


def test_old_tls_is_not_spoken() -> None:
    assert _context(is_pinned=True).minimum_version == ssl.TLSVersion.TLSv1_2
    assert _context(is_pinned=False).verify_mode == ssl.CERT_REQUIRED


def test_an_authority_without_the_newest_extensions_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """PVE's own is one; Python asks for them from 3.13 on."""
    strict = ssl.create_default_context()
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    monkeypatch.setattr(ssl, "create_default_context", lambda: strict)
    assert not _context(is_pinned=False).verify_flags & ssl.VERIFY_X509_STRICT


def test_a_restart_of_pveproxy_does_not_lose_a_task(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "sleep", lambda _: None)
    pve = https(server, TOKEN)
    upid = pve.call("create", "/nodes/pve1/qemu/100/status/start")
    wrong = [raw(PROXY_596), raw(b""), None]

    def sometimes(handler: Any) -> bool:
        tamper = wrong.pop(0) if wrong else None
        return tamper is not None and tamper(handler)

    server.tamper = sometimes
    assert pve.follow(upid, timeout_s=10).ok
    assert wrong == []


def test_a_response_of_the_node_is_one() -> None:
    """What the tables above rely on: the fake answers in PVE's form."""
    assert a_node().respond("root@pam", "GET", "/version", {}) == Response(
        status=200, reason="OK",
        body={"data": {"version": "9.2.11", "release": "9.2", "repoid": "deadbeefcafe0123"}},
    )  # fmt: skip
