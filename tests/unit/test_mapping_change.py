"""A mapping changed through PVE, and known again, whatever PVE makes of its descriptions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hostpci.errors import EnvironmentFault
from hostpci.executor.vm import change_mapping, read_mapping, take_back_mapping
from hostpci.model.plan import MappingStep
from hostpci.pve.node import Params, Pve
from tests.pvenode.doors import shell
from tests.pvenode.node import Node, empty_state

NOTED = "node=pve1,path=0000:01:00,id=10de:2d04,iommugroup=12,subsystem-id=10b0:205e,description={}"
OURS = NOTED.format("左边的显卡 größer")
THEIRS = "node=pve2,path=0000:02:00,id=10de:2d04,description=zweite für später"


class Rewriting(Pve):
    """Writes what it has read as bytes as if it were text [pve-cluster PVE/Cluster.pm
    cfs_write_file, with force_utf8]."""

    is_local_root = True

    def __init__(self, node: Node, *, spoils: str = "") -> None:
        self._node, self._door, self._spoils = node, shell(node), spoils

    def call(self, method: str, path: str, params: Params = {}) -> Any:  # noqa: B006
        found = self._door.call(method, path, params)
        if method in {"create", "set"}:
            for section in self._node.state["mappings"].values():
                self._rewrite(section)
        return found

    def _rewrite(self, section: Mapping[str, Any]) -> None:
        entries = section["map"]
        entries[:] = [each.encode().decode("latin-1") for each in entries]
        entries[:] = [each.replace(self._spoils, "12345") if self._spoils else each
                      for each in entries]  # fmt: skip


def a_step(before: tuple[str, ...] | None, after: tuple[str, ...]) -> MappingStep:
    return MappingStep(
        code="mapping-merge" if before else "mapping-create", name="gpu", before=before,
        after=after, digest="",
    )  # fmt: skip


def test_a_description_that_comes_back_longer_is_no_change_of_somebodys() -> None:
    node = Node(empty_state())
    node.state["mappings"]["gpu"] = {"map": [THEIRS]}
    pve, step = Rewriting(node), a_step((THEIRS,), (THEIRS, OURS))
    change_mapping(pve, step, is_again=False, begin=lambda: None)
    assert read_mapping(pve, "gpu")[0] != (THEIRS, OURS)
    change_mapping(pve, step, is_again=True, begin=lambda: pytest.fail("changed twice"))
    assert take_back_mapping(pve, step, begin=lambda: None) == ((), ())
    (left,) = node.state["mappings"]["gpu"]["map"]
    assert left.startswith("node=pve2,")


def test_a_description_that_somebody_wrote_anew_is_a_change_of_theirs() -> None:
    node = Node(empty_state())
    pve, step = shell(node), a_step(None, (NOTED.format("left"),))
    change_mapping(pve, step, is_again=False, begin=lambda: None)
    node.state["mappings"]["gpu"]["map"] = [NOTED.format("right")]
    assert take_back_mapping(pve, step, begin=lambda: None) == (("mapping gpu",), ())


def test_what_else_comes_back_changed_is_told() -> None:
    node = Node(empty_state())
    pve = Rewriting(node, spoils="iommugroup=12")
    with pytest.raises(EnvironmentFault, match="mapping-not-written"):
        change_mapping(pve, a_step(None, (OURS,)), is_again=False, begin=lambda: None)
