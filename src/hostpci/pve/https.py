"""PVE asked from anywhere: its HTTPS API, with an API token. The one door to the network.

Nothing secret is sent before the other side is known: by a certificate that the system's
authorities vouch for and that names the host, or by the SHA-256 fingerprint that the caller has.
Redirects are not followed; an answer has a size, and a call has an end.
"""

from __future__ import annotations

from .node import METHODS, Params, Pve, PveError, Tick, wire
from .refusals import Answer, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from http.client import HTTPConnection, HTTPResponse
    from typing import Any

    from .token import Token

_PORT = 8006
_CONNECT_TIMEOUT_S = 15
# pveproxy itself gives up after 30 s [pve-http-server PVE/APIServer/AnyEvent.pm proxy_request], and
# holds back a refused login for 3 s
_CALL_TIMEOUT_S = 60
# The most that PVE reads of a file in a guest is 16 MiB [qemu-server PVE/API2/Qemu/Agent.pm]
_MAX_ANSWER_BYTES = 48 << 20
_READ_BYTES = 1 << 16
_OK = 200
_REDIRECTS = range(300, 400)


class HttpsPve(Pve):
    """A user's or a token's view of a cluster, through any of its nodes."""

    is_local_root = False

    def __init__(
        self,
        url: str,
        token: Token,
        *,
        fingerprint: str = "",
        node: str = "",
        tick: Tick | None = None,
        limit_s: float = _CALL_TIMEOUT_S,
    ) -> None:
        self._host, self._port = parse_url(url)
        self._token = token
        self._fingerprint = parse_fingerprint(fingerprint)
        self._node = node
        self._limit_s = limit_s
        self.tick = tick

    @property
    def who(self) -> str:  # type: ignore[override]
        return self._token.name

    def call(self, method: str, path: str, params: Params = {}) -> Any:  # noqa: ANN401, B006
        name = f"{METHODS[method]} {path}"
        return _Exchange(self, METHODS[method], name).run(path, params)

    def node(self) -> str:
        """The one that was named, or the only one that there is."""
        if not self._node:
            listed = self.call("get", "/nodes")
            names = sorted(str(each.get("node")) for each in listed if isinstance(each, dict))
            if len(names) != 1:
                raise PveError("pve-which-node", nodes=", ".join(names)[:400])
            self._node = names[0]
        return self._node


class _Exchange:
    """One call: connect, know the other side, ask, read, understand."""

    def __init__(self, pve: HttpsPve, method: str, name: str) -> None:
        self._pve = pve
        self._method = method
        self._name = name
        self._is_over = False

    def run(self, path: str, params: Params) -> Any:  # noqa: ANN401
        from threading import Timer

        connection = self._connected()
        # A timeout of the socket ends a silence; this ends an answer that never ends
        timer = Timer(self._pve._limit_s, self._end, (connection,))
        timer.daemon = True
        timer.start()
        try:
            status, reason, body = self._asked(connection, path, params)
        finally:
            timer.cancel()
            connection.close()
        return self._understood(status, reason, body)

    def _end(self, connection: HTTPConnection) -> None:
        import socket
        from contextlib import suppress

        self._is_over = True
        with suppress(OSError, AttributeError):
            connection.sock.shutdown(socket.SHUT_RDWR)

    def _connected(self) -> HTTPConnection:
        """A connection whose other side is known. Nothing has been sent over it."""
        import socket
        import ssl
        from http.client import HTTPConnection

        host, port = self._pve._host, self._pve._port
        pinned = self._pve._fingerprint
        try:
            plain = socket.create_connection((host, port), timeout=_CONNECT_TIMEOUT_S)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be one
            raise self._failed("pve-unreachable", _words(error)) from error
        try:
            context = _context(is_pinned=bool(pinned))
            link = context.wrap_socket(plain, server_hostname=host)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise self._untrusted(error.verify_message) from error
        except (OSError, ValueError) as error:
            plain.close()
            raise self._failed("pve-unreachable", f"TLS: {_words(error)}") from error
        if pinned and fingerprint_of(link) != pinned:
            found = fingerprint_of(link)
            link.close()
            raise PveError("pve-untrusted-pin", host=host, found=_shown(found), call=self._name)
        link.settimeout(self._pve._limit_s)
        connection = HTTPConnection(host, port)
        # http.client would open a connection of its own, without TLS, where it finds none
        connection.auto_open = 0
        connection.sock = link
        return connection

    def _untrusted(self, reason: str) -> PveError:
        return PveError("pve-untrusted", host=self._pve._host, reason=reason, call=self._name)

    def _asked(self, connection: HTTPConnection, path: str, params: Params) -> Any:  # noqa: ANN401
        from http.client import HTTPException

        target, form, headers = self._request(path, params)
        try:
            connection.request(self._method, target, body=form, headers=headers)
            response = connection.getresponse()
            body = self._read(response)
            # the end of the connection also ends headers and bodies that are not whole
            if self._is_over or (response.status == _OK and not body):
                raise ValueError("the answer has no end")
        except (OSError, HTTPException, ValueError) as error:
            late = f"no answer within {self._pve._limit_s:.0f} s"
            raise self._no_answer(late if self._is_over else _words(error)) from error
        return response.status, response.reason, body

    def _request(self, path: str, params: Params) -> tuple[str, bytes | None, dict[str, str]]:
        from urllib.parse import quote, urlencode

        pairs = [
            (key, wire(each))
            for key, value in params.items()
            for each in ((value,) if isinstance(value, str | int) else value)
        ]
        target = "/api2/json" + quote(path, safe="/:@!,")
        headers = {"Authorization": self._pve._token.header, "Accept": "application/json"}
        if self._method in {"GET", "DELETE"}:
            # a body of these is refused [pve-http-server PVE/APIServer/AnyEvent.pm]
            return f"{target}?{urlencode(pairs)}" if pairs else target, None, headers
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        return target, urlencode(pairs).encode(), headers

    def _read(self, response: HTTPResponse) -> bytes:
        parts, size = [], 0
        while part := response.read1(_READ_BYTES):
            parts.append(part)
            size += len(part)
            if size > _MAX_ANSWER_BYTES:
                raise self._garbled(f"more than {_MAX_ANSWER_BYTES >> 20} MiB")
        if response.length:
            raise ValueError(f"cut off, {response.length} bytes are missing")
        return b"".join(parts)

    def _understood(self, status: int, reason: str, body: bytes) -> Any:  # noqa: ANN401
        import json

        if status in _REDIRECTS:
            raise self._garbled(f"it redirects ({status}), which a PVE node does not do")
        try:
            document = json.loads(body) if body else {}
        except (ValueError, RecursionError):
            document = None
        if status == _OK:
            if not isinstance(document, dict) or "data" not in document:
                raise self._garbled(body[:80].decode("utf-8", "replace") or "nothing")
            return document["data"]
        raise self._refused(status, reason, document if isinstance(document, dict) else {})

    def _refused(self, status: int, reason: str, document: dict[str, Any]) -> PveError:
        errors = document.get("errors")
        answer = Answer(
            status=status,
            message=str(document.get("message") or reason or ""),
            errors={str(k): str(v) for k, v in errors.items()} if isinstance(errors, dict) else {},
            is_change=self._method != "GET",
        )
        return refusal(answer, call=self._name, who=self._pve.who)

    def _garbled(self, what: str) -> PveError:
        return self._failed("pve-garbled", what)

    def _no_answer(self, why: str) -> PveError:
        """A question may be asked again; whether a change was carried out, nobody has said."""
        code = "pve-unreachable" if self._method == "GET" else "pve-lost"
        return self._failed(code, why)

    def _failed(self, code: str, reason: str) -> PveError:
        clean = "".join(each if each.isprintable() else "�" for each in reason)
        return PveError(code, call=self._name, reason=clean, who=self._pve.who)


def _context(*, is_pinned: bool) -> ssl.SSLContext:
    import ssl

    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Python 3.13 made it a default to ask of authorities what PVE's own, made by pvecm, has not: an
    # extension for the use of its key [prometheus-pve-exporter#494]. It says nothing about who the
    # other side is
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if is_pinned:
        # the fingerprint is checked instead, before anything is sent
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def fingerprint_of(link: ssl.SSLSocket) -> str:
    """SHA-256 of the certificate of the other side itself, not of one that signed it."""
    from hashlib import sha256

    return sha256(link.getpeercert(binary_form=True) or b"").hexdigest()


def _shown(fingerprint: str) -> str:
    """As PVE and openssl write it."""
    upper = fingerprint.upper()
    return ":".join(upper[at : at + 2] for at in range(0, len(upper), 2))


def parse_fingerprint(text: str) -> str:
    """Hexadecimal, with colons or without, also as ``openssl x509 -fingerprint`` prints it."""
    from re import fullmatch, sub

    bare = sub(r"^sha256(?: fingerprint=|:)", "", text.strip().lower())
    plain = bare.replace(":", "")
    if plain and fullmatch(r"[0-9a-f]{64}", plain) is None:
        raise PveError("pve-bad-fingerprint", value=text[:120])
    return plain


def parse_url(text: str) -> tuple[str, int]:
    """``https://pve.example:8006``, ``pve.example``, ``[2001:db8::1]:8006`` -> host, port."""
    from urllib.parse import urlsplit

    whole = text if "://" in text else f"https://{text}"
    try:
        url = urlsplit(whole)
        host, port = url.hostname or "", url.port or _PORT
    except ValueError:
        raise PveError("pve-bad-url", value=text[:120]) from None
    has_more = url.path.rstrip("/") not in {"", "/api2/json"} or url.query or url.fragment
    if url.scheme != "https" or not host or "@" in url.netloc or has_more:
        raise PveError("pve-bad-url", value=text[:120])
    return host, port


def _words(error: BaseException) -> str:
    said = getattr(error, "strerror", None) or str(error)
    return str(said) or type(error).__name__
