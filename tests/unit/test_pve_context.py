"""Which door a call gets: --api and its companions, or pvesh as root on this node."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

from hostpci.cli import options
from hostpci.cli.context import Context
from hostpci.errors import EnvironmentFault, NotPermittedError
from hostpci.i18n import Catalog
from hostpci.pve.node import PveError
from hostpci.pve.shell import ShellPve
from tests.pvenode.node import Node, empty_state
from tests.pvenode.server import CERTIFICATES, Server

TOKEN = "root@pam!gpu=11111111-2222-3333-4444-555555555555"


def context(**given: Any) -> Context:
    return Context(Namespace(json=False, **given), Catalog("en"))


def test_the_options_that_a_verb_takes_are_those_that_are_read() -> None:
    assert [each.key for each in options.PVE] == ["api", "token_file", "fingerprint", "node"]


def test_api_is_asked_with_the_token_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "token"
    path.write_text(TOKEN, encoding="ascii")
    path.chmod(0o600)
    state = empty_state(8)
    state["tokens"]["root@pam!gpu"] = {"secret": TOKEN.partition("=")[2], "privsep": 0}
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "server.crt"))
    with Server(Node(state)) as server:
        pve = context(api=server.url, token_file=str(path)).pve()
        assert (pve.version(), pve.node(), pve.is_local_root) == ((8, 4), "pve1", False)
        assert pve.who == "root@pam!gpu"
        assert context(api=server.url, token_file=str(path), node="n2").pve().node() == "n2"


def test_api_without_a_token_is_refused_before_anything_is_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("HOSTPCI_PVE_TOKEN", raising=False)
    with pytest.raises(PveError, match="pve-no-token"):
        context(api="https://192.0.2.1").pve()


def test_on_a_node_root_asks_with_pvesh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    pve = context(node="pve7").pve()
    assert isinstance(pve, ShellPve)
    assert (pve.is_local_root, pve.who, pve.node()) == (True, "root@pam", "pve7")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(NotPermittedError):
        context().pve()


def test_a_capture_or_another_tree_has_no_pve(tmp_path: Path) -> None:
    for given in ({"host": "x.json"}, {"root": str(tmp_path)}):
        with pytest.raises(EnvironmentFault, match="command-not-here"):
            context(**given).pve()
