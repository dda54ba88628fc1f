"""All memory of a machine with a passed device is pinned when it starts, and stays so."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.finding import Finding, Level
from ..model.vm import VmCase
from ..pve.settings import is_true, memory_mib, start_timeout_s
from .say import fails, holds, unknown

_SMALLEST = 2


def check_memory(case: VmCase) -> Iterator[Finding]:
    """VFIO maps the whole guest for DMA (QEMU hw/vfio/listener.c): every page must be there."""
    vm, node, need = case.vm, case.node, memory_mib(case.vm.config)
    available, total = node.memory_available_bytes, node.memory_total_bytes
    have = "?" if available is None else str(available >> 20)
    if vm.config.get("hugepages"):
        return
    if total is not None and need > total >> 20:
        most = str(total >> 20)
        yield fails("vm-pinned-all", Level.FAIL, vm.name, blocks=True, need=str(need), total=most)
    elif available is None:
        yield unknown("vm-pinned", vm.name, need=str(need))
    elif need > available >> 20:
        yield fails("vm-pinned", Level.WARN, vm.name, need=str(need), free=have)
    else:
        yield holds("vm-pinned", vm.name, need=str(need), free=have)


def check_balloon(case: VmCase) -> Iterator[Finding]:
    """QEMU forbids giving pages back while a device may write to them (ram_block_discard)."""
    text = case.vm.config.get("balloon", "")
    if text == "0":
        yield holds("vm-balloon", case.vm.name)
        return
    least = int(text) if text.isdecimal() else 0
    level = Level.WARN if least and least < memory_mib(case.vm.config) else Level.NOTICE
    yield fails("vm-balloon", level, case.vm.name, f"balloon: {text or '-'}")


def check_timeout(case: VmCase) -> Iterator[Finding]:
    seconds = start_timeout_s(case.vm.config)
    yield fails("vm-start-timeout", Level.INFO, case.vm.name, seconds=str(seconds))


def check_hugepages(case: VmCase) -> Iterator[Finding]:
    """PVE takes them when the machine starts (QemuServer/Memory.pm hugepages_allocate)."""
    vm, wish = case.vm, case.vm.config.get("hugepages", "")
    if not wish:
        return
    if not is_true(vm.config.get("numa", "")):
        yield fails("vm-hugepages-numa", Level.FAIL, vm.name, f"hugepages: {wish}", blocks=True)
    if case.node.hugepages is None:
        yield unknown("vm-hugepages", vm.name, f"hugepages: {wish}")
        return
    size = int(wish) if wish.isdecimal() else _SMALLEST
    pool = next((each for each in case.node.hugepages if each.size_mib == size), None)
    free = 0 if pool is None else pool.free * size
    need, have = memory_mib(vm.config), free + ((case.node.memory_available_bytes or 0) >> 20)
    if pool is None:
        yield fails("vm-hugepages-size", Level.FAIL, vm.name, blocks=True, size=str(size))
    elif need > have:
        yield fails(
            "vm-hugepages", Level.FAIL, vm.name, size=str(size), need=str(need), free=str(free)
        )
    else:
        yield holds("vm-hugepages", vm.name, size=str(size), need=str(need), free=str(free))


def check_numa(case: VmCase) -> Iterator[Finding]:
    """Memory on the other side of the board is slower for the card as well."""
    node, config = case.node, case.vm.config
    if not node.numa_nodes or node.numa_nodes < 2 or node.numa_node is None:  # noqa: PLR2004
        return
    number = str(node.numa_node)
    places = [config[key] for key in config if key.startswith("numa") and key != "numa"]
    if "affinity" in config or any("hostnodes=" in place for place in places):
        yield fails("vm-numa-pinned", Level.INFO, case.vm.name, *places, node=number)
    else:
        yield fails("vm-numa", Level.NOTICE, case.vm.name, node=number, nodes=str(node.numa_nodes))
