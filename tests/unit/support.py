"""What several unit tests need: claims, rules, a carried-out plan and a reboot, all recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from hostpci.checks.registry import run_checks
from hostpci.demo.nextboot import Boot
from hostpci.facts.claims import PATH as CLAIMS
from hostpci.facts.claims import with_claim
from hostpci.facts.loader import GRUB_CONFIG
from hostpci.facts.settings import GRUB_DROPIN
from hostpci.model.claim import Claim, ClaimedFunction
from hostpci.model.facts import ConfigFile, Facts
from hostpci.model.finding import Finding
from hostpci.model.network import LINK_NAME, LINKS_DIRECTORY
from hostpci.model.pci import Identity
from hostpci.model.plan import (
    BindStep,
    CommandStep,
    CopyStep,
    EspEntryStep,
    FileStep,
    LoaderVariableStep,
    MappingStep,
    Plan,
    RefreshStep,
    Step,
    VmConfigStep,
    VmCreateStep,
)
from hostpci.model.rule import RULE_NAME, RULES_DIRECTORY, rule_path, rule_text
from hostpci.planner.edits.grub import effective_words

from ..hosts import DEVICES, SLOT, RecordedHost

SECOND_NS = 1_000_000_000


def identity(text: str) -> Identity:
    """``10de:2d04:10b0:205e`` -> Identity."""
    vendor, device, subsystem_vendor, subsystem_device = text.split(":")
    return Identity(
        vendor=vendor,
        device=device,
        subsystem_vendor=subsystem_vendor,
        subsystem_device=subsystem_device,
    )


def claim_of(facts: Facts, slot: str = SLOT) -> Claim:
    """A claim of the slot as it is plugged in now."""
    functions = tuple(
        ClaimedFunction(address=each.address, identity=each.identity)
        for each in facts.inventory.of_slot(slot)
    )
    return Claim(slot=slot, functions=functions)


def claimed(host: RecordedHost, *slots: str) -> RecordedHost:
    """Claim slots (01:00 if none is named) with the identities that sit there now."""
    facts = host.facts()
    text = facts.claims.text
    for slot in slots or (SLOT,):
        text = with_claim(text, claim_of(facts, slot))
    assert text is not None
    return host.with_file(CLAIMS, text)


def released(host: RecordedHost) -> RecordedHost:
    return host.without(CLAIMS)


def image_path(host: RecordedHost) -> str:
    return f"/boot/initrd.img-{host.release}"


def image_time(host: RecordedHost) -> int:
    stamp: int = host.data["times"][image_path(host)]
    return stamp


def with_rule(host: RecordedHost, slot: str = SLOT, *, after_image_s: int) -> RecordedHost:
    """Put the rule of a claimed slot on the root, so long after the initramfs was built."""
    claim = host.facts().claims.of_slot(slot)
    assert claim is not None
    host.with_file(rule_path(slot), rule_text(claim))
    host.data["times"][rule_path(slot)] = image_time(host) + after_image_s * SECOND_NS
    return host


def with_rule_in_image(host: RecordedHost, slot: str = SLOT) -> RecordedHost:
    """As Debian's udev hook copies it."""
    return host.with_initramfs_lines(f"usr/lib/udev/rules.d/{rule_path(slot).rpartition('/')[2]}")


def reserved(host: RecordedHost, address: str, driver: str | None) -> RecordedHost:
    """Bind a function as our rule does it (and as a boot without the rule leaves it)."""
    override = "vfio-pci" if driver == "vfio-pci" else "(null)"
    host.data["files"][f"{DEVICES}/{address}/driver_override"] = f"{override}\n"
    return host.with_driver(address, driver)


def on_vfio(host: RecordedHost, slot: str = SLOT) -> RecordedHost:
    for each in host.facts().inventory.of_slot(slot):
        reserved(host, each.address, "vfio-pci")
    return host


def carry_out(host: RecordedHost, plan: Plan) -> RecordedHost:
    """Do to the recording what the executor and the host's programs would do to the host."""
    for step in plan.steps:
        _carry_out(host, step)
    return host


def _carry_out(host: RecordedHost, step: Step) -> None:
    match step:
        case FileStep():
            assert host.data["files"].get(step.path) == step.before
            if step.after is None:
                _remove(host, step.path)
            else:
                host.with_file(step.path, step.after)
                host.data["times"][step.path] = image_time(host) + SECOND_NS
        case CommandStep():
            if step.argv[0] == "update-initramfs":
                _rebuild(host, step.argv[-1])
            elif step.argv[0] == "grub-mkconfig":
                _update_grub(host)
        case RefreshStep() | EspEntryStep() | LoaderVariableStep():
            pass
        case VmCreateStep() | VmConfigStep() | MappingStep():
            pass  # not of this host's files
        case CopyStep():
            host.with_file(step.path, host.data["files"].get(step.source, ""))
        case BindStep():
            reserved(host, step.address, "vfio-pci")


def _update_grub(host: RecordedHost) -> None:
    """The default entries get the words of today's files, behind the root file system's."""
    loader = host.facts().loader
    own = host.data["files"].get(GRUB_DROPIN, "")
    files = [*loader.grub_files, ConfigFile(path=GRUB_DROPIN, text=own)]
    files.sort(key=lambda each: (each.path != "/etc/default/grub", each.path))
    old = " ".join(loader.persisted or ())
    new = " ".join([*(loader.persisted or ())[:2], *effective_words(files)])
    host.data["files"][GRUB_CONFIG] = host.data["files"][GRUB_CONFIG].replace(old, new)


def _remove(host: RecordedHost, path: str) -> None:
    host.without(path)
    parent, _, name = path.rpartition("/")
    listed = host.data["directories"][parent]
    host.data["directories"][parent] = [each for each in listed if each != name]


def _rebuild(host: RecordedHost, release: str) -> None:
    path = f"/boot/initrd.img-{release}"
    rules = [name for name in host.data["directories"][RULES_DIRECTORY] if name.endswith(".rules")]
    for command in host.data["commands"]:
        if command["argv"] == ["lsinitramfs", path]:
            kept = [line for line in command["stdout"].splitlines() if not _is_rule(line)]
            kept += [f"usr/lib/udev/rules.d/{name}" for name in rules]
            links = host.data["directories"].get(LINKS_DIRECTORY, [])
            kept = [line for line in kept if not LINK_NAME.fullmatch(line.rpartition("/")[2])]
            kept += [f"usr/lib/systemd/network/{name}" for name in links if name.endswith(".link")]
            command["stdout"] = "".join(f"{line}\n" for line in kept)
    host.data["times"][path] += 2 * SECOND_NS


def _is_rule(line: str) -> bool:
    return RULE_NAME.fullmatch(line.rpartition("/")[2]) is not None


def next_boot(host: RecordedHost) -> dict[str, str | None]:
    """Address -> driver after a boot with the rules on the root."""
    facts = host.facts()
    rules = {each.path: each.text for each in facts.rules}
    return Boot(facts.inventory, facts.kernel.command_line).run(rules)


def rebooted(host: RecordedHost) -> RecordedHost:
    for address, driver in next_boot(host).items():
        if driver == "vfio-pci" or f"{DEVICES}/{address}/driver" in host.data["links"]:
            reserved(host, address, driver)
    return host


def findings(host: RecordedHost, code: str, slot: str = SLOT) -> list[Finding]:
    """The findings of one code about one slot."""
    return [each for each in run_checks(host.facts(), slot).findings if each.code == code]


def all_findings(host: RecordedHost, slot: str = SLOT) -> tuple[Finding, ...]:
    return run_checks(host.facts(), slot).findings


def without_hashes(facts: Facts) -> Facts:
    """A capture has other hashes in the place of a host's own; they only compare."""
    return replace(facts, state=replace(facts.state, files=()))


def codes(found: Iterable[Finding]) -> list[str]:
    return [each.code for each in found]


def existing(host: RecordedHost, path: str) -> RecordedHost:
    """Make a path be there for whoever asks only that."""
    host.data["errors"].pop(path, None)
    host.data.setdefault("exists", {})[path] = True
    host.data["directories"].setdefault(path, [])
    return host


def missing(host: RecordedHost, path: str) -> RecordedHost:
    host.data.get("exists", {}).pop(path, None)
    return host.without(path)


def with_block(
    host: RecordedHost, node: str, path: str, *, slaves: tuple[str, ...] = (), mapper: str = ""
) -> RecordedHost:
    """Add a block device at the sysfs device path ``path`` (below /sys/devices)."""
    base = f"/sys/class/block/{node}"
    host.with_link(base, f"../../devices/{path}")
    listed = host.data["directories"]["/sys/class/block"]
    host.data["directories"]["/sys/class/block"] = sorted({*listed, node})
    if slaves:
        host.data["directories"][f"{base}/slaves"] = sorted(slaves)
    if mapper:
        host.with_file(f"{base}/dm/name", f"{mapper}\n")
    return host


def with_class_device(host: RecordedHost, kind: str, node: str, path: str) -> RecordedHost:
    """Add a device to ``/sys/class/kind`` that lies at ``path`` below /sys/devices."""
    host.with_link(f"/sys/class/{kind}/{node}", f"../../devices/{path}")
    listed = host.data["directories"].get(f"/sys/class/{kind}", [])
    host.data["directories"][f"/sys/class/{kind}"] = sorted({*listed, node})
    return host


def with_mounts(host: RecordedHost, *lines: str) -> RecordedHost:
    return host.with_file("/proc/self/mounts", "".join(f"{line}\n" for line in lines))
