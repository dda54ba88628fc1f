"""Compares a host with its baseline, and says what each difference means for the claims.

Pure, and the plan is its best witness: whatever changed, what counts is whether the next boot
would still do what is claimed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from ..checks.known_bad import check_known_bad
from ..checks.moved import Move, moves
from ..checks.nicnames import missing_ports
from ..checks.say import fails, holds, unknown, unread
from ..facts.claims import PATH as CLAIMS
from ..facts.settings import GRUB_DROPIN
from ..model.baseline import BASELINE, Baseline, FileDigest
from ..model.drift import Drift
from ..model.facts import Facts
from ..model.finding import Finding, Level
from ..model.knob import kept_claims
from ..model.network import LINK_NAME
from ..model.pci import VFIO
from ..model.rule import RULE_NAME
from .commandline import own_words
from .plan import make_plan

# Parameters of the kernel that decide about passthrough
_TELLING = {
    "iommu", "intel_iommu", "amd_iommu", "intremap", "pcie_acs_override", "hostpci", "pci",
    "initcall_blacklist", "module_blacklist", "modprobe.blacklist",
}  # fmt: skip
# Words by which a loader says which kernel it loaded: told of as the kernel
_OF_THE_LOADER = {"BOOT_IMAGE", "initrd"}
_SHOWN = 8


def find_drift(facts: Facts) -> Drift:
    baseline = facts.state.baseline
    if baseline is None:
        gaps = unread(facts, BASELINE) or (BASELINE,)
        return Drift(since="", findings=(unknown("drift-baseline", "", *gaps),))
    findings = (
        *_kernel(facts, baseline),
        *_command_line(facts, baseline),
        *_firmware(facts, baseline),
        *_loader(facts, baseline),
        *_hardware(facts, baseline),
        *_groups(facts, baseline),
        *_files(facts, baseline),
        *_binding(facts, baseline),
        *_plan(facts),
        *missing_ports(facts),
    )
    return Drift(since=baseline.taken, findings=findings)


def _kernel(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    now, coming = facts.kernel.release, facts.loader.next_release
    if now == baseline.kernel:
        yield holds("drift-kernel", now)
    else:
        yield fails("drift-kernel", Level.INFO, now, before=baseline.kernel)
    if coming and coming != now:
        yield fails("drift-next-kernel", Level.INFO, coming)
    bad = {
        (each.code, each.subject): each
        for claim in facts.claims.claims
        for each in check_known_bad(facts, claim.slot)
        if each.level is not Level.PASS
    }
    yield from bad.values()
    pve = facts.platform.pve_version
    if pve and baseline.pve_version and pve != baseline.pve_version:
        yield fails("drift-pve", Level.INFO, "", pve, before=baseline.pve_version)


def _command_line(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    now, was = Counter(facts.kernel.command_line), Counter(baseline.command_line)
    # What the apply itself asked for comes with the boot after it
    ours = {*own_words(facts), *facts.loader.own_words}
    new = [word for word in (now - was) if not _is_told_elsewhere(word) and word not in ours]
    gone = [word for word in (was - now) if not _is_told_elsewhere(word)]
    if not new and not gone:
        yield holds("drift-command-line")
        return
    names = {word.partition("=")[0].replace("-", "_") for word in (*new, *gone)}
    telling = names & _TELLING or any(name.startswith(("vfio", "kvm")) for name in names)
    yield fails(
        "drift-command-line", Level.WARN if telling else Level.NOTICE, "",
        *(f"+{word}" for word in new), *(f"-{word}" for word in gone),
    )  # fmt: skip


def _is_told_elsewhere(word: str) -> bool:
    return word.partition("=")[0] in _OF_THE_LOADER


def _firmware(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    now, was = facts.state.firmware, baseline.firmware
    if now == was:
        yield holds("drift-firmware", "", now.version)
    else:
        pairs = ((was.board, now.board), (was.version, now.version), (was.date, now.date))
        changed = [
            f"{before or '-'} -> {after or '-'}" for before, after in pairs if before != after
        ]
        yield fails("drift-firmware", Level.WARN, "", *changed)
    if facts.state.microcode != baseline.microcode:
        change = f"{baseline.microcode or '-'} -> {facts.state.microcode or '-'}"
        yield fails("drift-microcode", Level.INFO, "", change)


def _loader(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    esps = tuple(each.uuid for each in facts.loader.esps)
    if (facts.loader.loader, esps) == (baseline.loader, baseline.esps):
        yield holds("drift-loader", "", facts.loader.loader)
        return
    before = " ".join((baseline.loader, *baseline.esps))
    yield fails(
        "drift-loader", Level.WARN, "", f"{before} -> {' '.join((facts.loader.loader, *esps))}"
    )


def _hardware(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    claimed = {each.address for claim in facts.claims.claims for each in claim.functions}
    found = moves(facts)
    yield from (_moved(each) for each in found if each.before in claimed)
    others = [each for each in found if each.before not in claimed]
    if others:
        shown = [f"{each.before} -> {each.after}" for each in others[:_SHOWN]]
        yield fails("drift-renumbered", Level.WARN, "", *shown, count=str(len(others)))
    elsewhere = {each.before for each in found} | {each.after for each in found}
    was = {each.address: each.identity for each in baseline.functions}
    now = {each.address: each.identity for each in facts.inventory.functions}
    for address in sorted((was.keys() | now.keys() | claimed) - elsewhere):
        if address not in now and address in claimed:
            yield fails("drift-gone", Level.FAIL, address, str(was.get(address, "-")))
        elif was.get(address) != now.get(address) and address in was:
            after = str(now.get(address) or "-")
            yield fails("drift-removed", Level.NOTICE, address, f"{was[address]} -> {after}")
        elif address not in was:
            yield fails("drift-added", Level.INFO, address, str(now.get(address, "-")))
    if was == now and not found:
        yield holds("drift-hardware", "", str(len(now)))


def _moved(move: Move) -> Finding:
    return fails("drift-moved", Level.FAIL, move.before, str(move.identity), after=move.after)


def _groups(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    """PVE compares the group's number with that in the mapping (PVE::Mapping::PCI)."""
    same = True
    for claim in facts.claims.claims:
        for each in facts.inventory.of_slot(claim.slot):
            was = baseline.at(each.address)
            if was is None or was.group is None:
                continue
            if was.group != each.iommu_group:
                same = False
                now = "-" if each.iommu_group is None else str(each.iommu_group)
                yield fails(
                    "drift-group-number", Level.WARN, each.address, before=str(was.group), now=now
                )
            group = facts.inventory.group(each.iommu_group)
            before = {member.address for member in baseline.group_of(each.address)}
            joined = sorted(set(group.members if group else ()) - before)
            if joined:
                same = False
                yield fails("drift-group-members", Level.WARN, each.address, *joined)
    if same:
        yield holds("drift-groups")


def _files(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    was, now = _by_path(baseline.files), _by_path(facts.state.files)
    changed = [path for path in sorted(was.keys() | now.keys()) if was.get(path) != now.get(path)]
    for path in changed:
        if _is_ours(path):
            yield fails("drift-own-file", Level.WARN, path)
        else:
            yield fails("drift-file", Level.NOTICE, path)
    if not changed:
        yield holds("drift-files", "", str(len(now)))


def _by_path(files: tuple[FileDigest, ...]) -> dict[str, str]:
    return {each.path: each.sha256 for each in files}


def _is_ours(path: str) -> bool:
    """Written by apply alone. The claims file is ours to read and everybody's to edit."""
    name = path.rpartition("/")[2]
    by_name = RULE_NAME.fullmatch(name) or LINK_NAME.fullmatch(name)
    return path != CLAIMS and (path == GRUB_DROPIN or by_name is not None)


def _binding(facts: Facts, baseline: Baseline) -> Iterator[Finding]:
    """In the boot of the apply a claim may wait; after one it has no more reason to."""
    if not facts.claims.claims or facts.state.boot_id == baseline.boot_id:
        return
    waiting = [
        f"{each.address}: {each.driver or '-'}"
        for claim in kept_claims(facts.claims)
        for each in facts.inventory.of_slot(claim.slot)
        if each.driver != VFIO
    ]
    if waiting:
        yield fails("drift-not-bound", Level.WARN, "", *waiting)
    else:
        yield holds("drift-bound")


def _plan(facts: Facts) -> Iterator[Finding]:
    plan = make_plan(facts)
    if plan.refusals:
        codes = (f"{each.subject}: {each.code}".removeprefix(": ") for each in plan.refusals)
        yield fails("drift-plan-refused", Level.FAIL, "", *codes)
    elif plan.steps:
        yield fails("drift-plan-pending", Level.WARN, "", count=str(len(plan.steps)))
    else:
        yield holds("drift-plan")
