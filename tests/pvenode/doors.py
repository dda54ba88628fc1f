"""The program's own doors to the fake node, for tests."""

from __future__ import annotations

import hashlib
import io
import ssl
from collections.abc import Sequence
from typing import Any

from hostpci.errors import EnvironmentFault
from hostpci.host.runner import Completed, Keep, Runner
from hostpci.pve.https import HttpsPve
from hostpci.pve.shell import ShellPve
from hostpci.pve.token import Token

from .node import Node
from .pvesh import pvesh, qm
from .server import CERTIFICATES, Server

_STDERR_TAIL_CHARS = 800


class NodeRunner(Runner):
    """Runs ``pvesh`` and ``qm`` in this process; ends as RealRunner does, in errors too."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self.asked: list[tuple[str, ...]] = []

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        self.asked.append(tuple(argv))
        programs = {"pvesh": pvesh, "qm": qm}
        if argv[0] not in programs:
            raise EnvironmentFault("command-missing", command=argv[0], reason="not found")
        out, err = io.StringIO(), io.StringIO()
        status = programs[argv[0]](list(argv[1:]), self.node, out, err)
        if status != 0:
            raise EnvironmentFault(
                "command-failed", command=" ".join(argv), status=status,
                reason=err.getvalue().strip()[-_STDERR_TAIL_CHARS:],
            )  # fmt: skip
        stdout = out.getvalue()
        if keep is not None:
            stdout = "".join(f"{line}\n" for line in keep(stdout.splitlines()))
        return Completed(argv=tuple(argv), code=0, stdout=stdout, stderr=err.getvalue())


def https(server: Server, token: str, **more: Any) -> HttpsPve:
    """The holder of a token, from anywhere; the server is known by its fingerprint."""
    text = (CERTIFICATES / f"{server.certificate}.crt").read_text(encoding="ascii")
    pin = hashlib.sha256(ssl.PEM_cert_to_DER_cert(text)).hexdigest()
    return HttpsPve(server.url, Token(token), **{"fingerprint": pin, **more})


def shell(node: Node) -> ShellPve:
    """root@pam on the node."""
    return ShellPve(NodeRunner(node))
