"""pveproxy over the model: TLS, tokens and tickets, forms and JSON [pve-http-server AnyEvent.pm].

python3 -m tests.pvenode.server HOME PORT CERTIFICATE KEY
"""

from __future__ import annotations

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

from . import agent, cluster, vms  # noqa: F401  (they register what they carry out)
from .errors import Refusal
from .node import Node, Response

CERTIFICATES = Path(__file__).parent / "certificates"
_BASE = "/api2/json"
_MAX_POST = 512 << 10
_LOCK = threading.Lock()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "pve-api-daemon/3.0"
    server: Server

    def log_message(self, *args: Any) -> None:
        pass

    def handle_one(self) -> None:
        self.server.seen.append((self.command, self.path, dict(self.headers)))
        if self.server.tamper is not None and self.server.tamper(self):
            return
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if length > _MAX_POST:
            self.answer(Response(status=501, reason="for data too large", body=None))
            return
        with _LOCK:
            self.answer(self.respond(body))

    do_GET = do_POST = do_PUT = do_DELETE = handle_one

    def respond(self, body: bytes) -> Response:
        node = self.server.node
        url = urlsplit(self.path)
        if not url.path.startswith(f"{_BASE}/"):
            return Response(status=501, reason="no such uri", body=None)
        path = url.path.removeprefix(_BASE)
        try:
            who = self.who(path)
        except Refusal as refusal:
            return Response(status=refusal.status, reason=refusal.message, body=None)
        params = params_of(parse_qsl(url.query, keep_blank_values=True))
        if body and self.headers.get_content_type() == "application/json":
            params |= json.loads(body)
        elif body:
            params |= params_of(parse_qsl(body.decode(), keep_blank_values=True))
        params.pop("_dc", None)
        return node.respond(who, self.command, path, params)

    def who(self, path: str) -> str:
        """auth_handler [pve-manager PVE/HTTPServer.pm]: a ticket, else a token; 401 if neither."""
        with self.server.node.session() as node:
            if path == "/access/ticket" and self.command == "POST":
                return ""
            cookie = self.headers.get("Cookie", "")
            if "PVEAuthCookie=" in cookie:
                user = cookie.partition("PVE:")[2].partition(":")[0]
                if user not in node.state["users"]:
                    raise Refusal("permission denied - invalid PVE ticket", status=401)
                if self.command != "GET" and self.headers.get("CSRFPreventionToken") != "CSRF":
                    raise Refusal("Permission denied - invalid csrf token", status=401)
                return user
            words = self.headers.get("Authorization", "")
            if not words.startswith("PVEAPIToken="):
                raise Refusal("No ticket", status=401)
            return node.access.token_user(words.removeprefix("PVEAPIToken="))

    def answer(self, response: Response) -> None:
        body = b"" if response.body is None else json.dumps(response.body).encode()
        self.send_response(response.status, response.reason)
        if body:
            self.send_header("Content-Type", "application/json;charset=UTF-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close" if response.status >= 300 else "Keep-Alive")
        self.end_headers()
        self.wfile.write(body)


def params_of(pairs: list[tuple[str, str]]) -> dict[str, Any]:
    """A name that comes twice is a list."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            old = found[key]
            found[key] = [*old, value] if isinstance(old, list) else [old, value]
        else:
            found[key] = value
    return found


class Server(ThreadingHTTPServer):
    """``seen``: what arrived; ``tamper``: a callable that may answer in the node's stead."""

    daemon_threads = True

    def __init__(self, node: Node, *, port: int = 0, certificate: str = "server") -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.node = node
        self.certificate = certificate
        self.seen: list[tuple[str, str, dict[str, str]]] = []
        self.tamper: Any = None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(
            CERTIFICATES / f"{certificate}.crt", CERTIFICATES / f"{certificate}.key"
        )
        self.socket = context.wrap_socket(
            self.socket, server_side=True, do_handshake_on_connect=False
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is what some tests are about; anything else is a defect."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


if __name__ == "__main__":
    home, port, name = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    Server(Node(home=home), port=port, certificate=name).serve_forever()
