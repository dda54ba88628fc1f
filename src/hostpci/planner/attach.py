"""What attaching a slot to a machine changes, and detaching it. Pure: one case in, a plan out."""

from __future__ import annotations

from dataclasses import replace

from ..checks.vmmapping import entries_here, entry_text, same_entry
from ..checks.vmregistry import FIX_OF, run_vm_checks
from ..errors import RefusedError, UsageError
from ..model.address import is_in_slot
from ..model.finding import Finding
from ..model.hook import is_our_volume
from ..model.knob import lent_to
from ..model.plan import KeyChange, MappingStep, Plan, VmConfigStep
from ..model.vm import MAX_HOSTPCI, Attachment, HostPci, Proposal, VmCase, Wanted
from ..pve.settings import read, read_entry, written
from .vmfixes import FIXES, NEEDED, changes_of


def plan_attach(case: VmCase) -> Attachment:
    """The check list, what would mend it, and the steps. Raises UsageError for unknown fixes."""
    case = replace(case, wanted=_with_mapping(case))
    findings = run_vm_checks(case)
    proposals = _proposals(case, findings)
    _demand_known(case, proposals)
    refusals = tuple(each for each in findings if each.blocks)
    steps = () if refusals else _steps(case, proposals)
    return Attachment(
        slot=case.slot, vmid=case.vm.vmid, findings=findings, proposals=proposals,
        plan=Plan(steps=steps, refusals=refusals),
    )  # fmt: skip


def _with_mapping(case: VmCase) -> Wanted:
    """Only root on the node may name an address (Qemu.pm check_hostpci_perm); others map.

    What the machine has already stays what it is, unless another name is asked for.
    """
    wanted = case.wanted
    if wanted.mapping or case.node.is_local_root:
        return wanted
    if case.own_lines:
        return replace(wanted, mapping=case.own_lines[0].mapping)
    return replace(wanted, mapping=_mapping_of(case) or default_mapping(wanted.slot))


def _mapping_of(case: VmCase) -> str:
    """A mapping that means exactly this slot here already."""
    entry = entry_text(case)
    for each in case.node.mappings:
        here = entries_here(case, each.name)
        if len(here) == 1 and not each.is_mdev and same_entry(here[0], entry):
            return each.name
    return ""


def default_mapping(slot: str) -> str:
    """``0000:01:00`` -> ``pci-0000-01-00``."""
    return f"pci-{slot.replace(':', '-')}"


def _proposals(case: VmCase, findings: tuple[Finding, ...]) -> tuple[Proposal, ...]:
    codes = [each.code for each in findings if each.outcome == "does-not-hold"]
    found = []
    for fix in FIXES:
        mends = tuple(code for code in codes if FIX_OF.get(code) == fix)
        changes = changes_of(case, fix) if mends else ()
        if changes:
            is_needed = fix in NEEDED
            found.append(
                Proposal(
                    fix=fix, changes=changes, mends=mends, is_needed=is_needed,
                    is_chosen=is_needed or fix in case.wanted.fixes,
                )
            )  # fmt: skip
    return tuple(found)


def _demand_known(case: VmCase, proposals: tuple[Proposal, ...]) -> None:
    """A fix that is asked for and not there: somebody believes something mended that is not."""
    offered = [each.fix for each in proposals]
    for name in case.wanted.fixes:
        if name not in FIXES:
            raise UsageError("fix-unknown", name=name, known=", ".join(FIXES))
        if name not in offered and not _is_mended(case, name):
            raise UsageError("fix-idle", name=name, vm=case.vm.name, offered=_list(offered))


def _is_mended(case: VmCase, fix: str) -> bool:
    """Asked for again after it was carried out: attach is idempotent."""
    if fix in ("whole-slot", "pcie") and not case.own_lines:
        return False
    return not changes_of(case, fix)


def _list(names: list[str]) -> str:
    return ", ".join(names) or "-"


def _steps(case: VmCase, proposals: tuple[Proposal, ...]) -> tuple[MappingStep | VmConfigStep, ...]:
    chosen = [change for each in proposals if each.is_chosen for change in each.changes]
    changes = _merged(case, [*chosen, *_line_changes(case, chosen)])
    mapping = mapping_steps(case)
    if not changes:
        return mapping
    return (*mapping, _config_step(case, "vm-attach", changes))


def _config_step(case: VmCase, code: str, changes: tuple[KeyChange, ...]) -> VmConfigStep:
    vm = case.vm
    if code == "vm-attach":
        return VmConfigStep(
            code="vm-attach", node=vm.node, vmid=vm.vmid, changes=changes, digest=vm.digest
        )
    return VmConfigStep(
        code="vm-detach", node=vm.node, vmid=vm.vmid, changes=changes, digest=vm.digest
    )


def _merged(case: VmCase, changes: list[KeyChange]) -> tuple[KeyChange, ...]:
    """One change per setting: the last word counts, held against what is there."""
    last = {each.key: each.after for each in changes}
    config = case.vm.config
    return tuple(
        KeyChange(key=key, before=config.get(key), after=after)
        for key, after in last.items()
        if after != config.get(key)
    )


def _line_changes(case: VmCase, chosen: list[KeyChange]) -> tuple[KeyChange, ...]:
    """The hostpci line itself: a new one, or an old one that gets what was asked for."""
    lines, config = case.own_lines, case.vm.config
    if not lines:
        key = free_key(case)
        return (KeyChange(key=key, before=None, after=_new_line(case)),)
    line = lines[0]
    mended = next((each.after for each in chosen if each.key == line.key), None)
    text = mended or config[line.key]
    if case.wanted.mapping and case.wanted.mapping != line.mapping:
        text = written("hostpci0", {"mapping": case.wanted.mapping, **_options_of(text)})
    if case.wanted.is_primary and not line.is_on("x-vga"):
        text = written("hostpci0", {**read("hostpci0", text), "x-vga": "1"})
    return (KeyChange(key=line.key, before=config[line.key], after=text),)


def _options_of(text: str) -> dict[str, str]:
    values = read("hostpci0", text)
    return {key: value for key, value in values.items() if key not in ("host", "mapping")}


def _new_line(case: VmCase) -> str:
    """``0000:01:00,pcie=1``: without a function it is the whole slot, as one device."""
    place = {"mapping": case.wanted.mapping} if case.wanted.mapping else {"host": case.slot}
    primary = {"x-vga": "1"} if case.wanted.is_primary else {}
    return written("hostpci0", {**place, "pcie": "1", **primary})


def free_key(case: VmCase) -> str:
    for number in range(MAX_HOSTPCI):
        if f"hostpci{number}" not in case.vm.config:
            return f"hostpci{number}"
    raise RefusedError("vm-no-free-line", vm=case.vm.name, most=MAX_HOSTPCI)


def mapping_steps(case: VmCase) -> tuple[MappingStep, ...]:
    """Create the mapping, or put this node's entry into it; other nodes' entries stay."""
    name = case.wanted.mapping
    if not name:
        return ()
    mapping, entry, digest = case.node.mapping(name), entry_text(case), case.node.mapping_digest
    if mapping is None:
        return (
            MappingStep(
                code="mapping-create", name=name, before=None, after=(entry,), digest=digest
            ),
        )
    here = entries_here(case, name)
    if here and same_entry(here[0], entry):
        return ()
    after = tuple(_renewed(each, entry) if each in here else each for each in mapping.entries)
    after = after if here else (*mapping.entries, entry)
    return (
        MappingStep(
            code="mapping-merge", name=name, before=mapping.entries, after=after, digest=digest
        ),
    )


def _renewed(old: str, entry: str) -> str:
    """What the slot is today; a description that somebody gave it stays."""
    description = read_entry(old).get("description")
    return f"{entry},description={description}" if description else entry


def plan_detach(case: VmCase) -> Plan:
    """Take out every line that means the slot. What else attach has changed, undo takes back."""
    lines = case.own_lines
    state = [each for each in run_vm_checks(case) if each.blocks and each.code in _OF_THE_VM]
    mixed = [each for each in lines if not _is_only(each, case.slot)]
    if mixed:
        raise RefusedError("vm-line-has-more", vm=case.vm.name, key=mixed[0].key, slot=case.slot)
    if not lines or state:
        return Plan(steps=(), refusals=tuple(state) if lines else ())
    keys = [each.key for each in lines]
    if _is_last_lent(case):
        keys.append("hookscript")
    changes = tuple(KeyChange(key=key, before=case.vm.config[key], after=None) for key in keys)
    return Plan(steps=(_config_step(case, "vm-detach", changes),))


def _is_last_lent(case: VmCase) -> bool:
    """Our hook script goes with the last slot that is lent to the machine."""
    if case.host is None or not is_our_volume(case.vm.config.get("hookscript", "")):
        return False
    lent = {each.slot for each in case.host.claims.claims if lent_to(each) == case.vm.vmid}
    return not lent - {case.slot}


_OF_THE_VM = ("vm-template", "vm-locked", "vm-stopped", "vm-lost-lines")


def _is_only(line: HostPci, slot: str) -> bool:
    return all(is_in_slot(place, slot) for place in line.places)
