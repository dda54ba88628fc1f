"""Who loaded this kernel, from which files, and what the next boot will get.

One file's existence decides nothing: PVE's installer writes /etc/kernel/cmdline for every ZFS or
btrfs root, whatever boots it, and a list of boot partitions goes with systemd-boot and with GRUB.
What decides is what the loader left behind in this boot: the EFI variable LoaderInfo and the
form of the running command line, held against what ``proxmox-boot-tool status`` finds.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ..errors import EnvironmentFault
from ..host.runner import Runner
from ..model.facts import ConfigFile, Esp, Loader, LoaderFacts
from ..model.grubcfg import GrubEntry, default_of, entry_named, grub_lines, parse_grub
from ..model.words import first_line, split_words
from .look import Look
from .settings import GRUB_DROPIN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.journal import History

GRUB_CONFIG = "/boot/grub/grub.cfg"
KERNEL_CMDLINE = "/etc/kernel/cmdline"
ESP_LIST = "/etc/kernel/proxmox-boot-uuids"
_GRUBENV = "/boot/grub/grubenv"
_PIN = "/etc/kernel/proxmox-boot-pin"
_NEXT_BOOT_PIN = "/etc/kernel/next-boot-pin"
_EFIVARS = "/sys/firmware/efi/efivars"
_LOADER_INFO = f"{_EFIVARS}/LoaderInfo-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_SECURE_BOOT = f"{_EFIVARS}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_EFIVAR_ATTRIBUTE_BYTES = 4
# Mounting and reading a handful of partitions; a dying disk must not hold a check for ever
_STATUS_TIMEOUT_S = 60
_VFAT_UUID = re.compile(r"[0-9A-F]{4}-[0-9A-F]{4}")
# AAAA-1111 is configured with: uefi (versions: 6.14.8-2-pve, 6.8.12-9-pve), grub (versions: )
_CONFIGURED = re.compile(r"^(\S+) is configured with: (.*)$", re.MULTILINE)
_LOADER_ON_ESP = re.compile(r"(uefi|systemd-boot|grub) \(versions: ([^)]*)\)")
# 00_header.in: check_writable(); diskfilter is what GRUB calls LVM and RAID
_GRUB_CANNOT_WRITE = {"btrfs", "zfs", "cpiofs", "romfs", "squash4", "tarfs", "newc", "odc"}
_PLAIN_PARTITION = re.compile(r"/dev/(?:(?:sd|vd|hd|xvd)[a-z]+\d+|(?:nvme\d+n\d+|mmcblk\d+)p\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Traces:
    """What this boot's loader left behind."""

    efi: bool
    info: str
    words: tuple[str, ...]
    esps: tuple[Esp, ...]
    has_grub_config: bool
    has_boot_partition: bool

    @property
    def boot_image(self) -> str | None:
        found = [word for word in self.words if word.startswith("BOOT_IMAGE=")]
        return found[0].partition("=")[2] if found else None

    @property
    def initrds(self) -> tuple[str, ...]:
        """systemd-boot names the image that it loaded, with the EFI's own separators."""
        found = [word for word in self.words if word.startswith("initrd=")]
        return tuple(word.partition("=")[2] for word in found)

    def on_esps(self, loader: str) -> bool | None:
        """Whether any listed partition has ``loader``; None if that could not be asked."""
        known = [each for each in self.esps if each.loaders]
        return any(loader in each.loaders for each in known) if known else None


def read_loader(
    look: Look, runner: Runner, history: Callable[[], History] | None = None
) -> LoaderFacts:
    """Everything about the loader. What could not be read is noted by ``look``.

    ``history`` is asked only where our words stand in a line that is not ours alone.
    """
    traces = _traces(look, runner)
    loader, doubt = _decide(traces)
    default = _default_entry(look)
    entry = default if loader is Loader.GRUB else None
    pinned, next_boot = look.text(_PIN) or None, look.text(_NEXT_BOOT_PIN) or None
    one_shot, why_one_shot = _one_shot(look, loader)
    cmdline = look.raw(KERNEL_CMDLINE)
    is_on_esp = loader in (Loader.SYSTEMD_BOOT_ON_ESP, Loader.GRUB_ON_ESP)
    past = history() if history and is_on_esp else None
    return LoaderFacts(
        loader=loader,
        firmware="UEFI" if traces.efi else "BIOS",
        evidence=(
            *_evidence(traces), *_compared(traces, default, cmdline), *why_one_shot,
        ),
        doubt=doubt,
        secure_boot=_secure_boot(look) if traces.efi else False,
        esps=traces.esps,
        pinned=pinned,
        next_boot=next_boot,
        next_release=_next_release(look, traces, entry, next_boot, pinned),
        persisted=entry.words if entry else None,
        kernel_cmdline=cmdline,
        grub_files=tuple(_grub_files(look)),
        own_words=past.own_words(KERNEL_CMDLINE) if past else (),
        refreshed_words=past.refreshed_words() if past else (),
        one_shot=one_shot,
    )  # fmt: skip


def _traces(look: Look, runner: Runner) -> _Traces:
    efi = look.exists("/sys/firmware/efi")
    return _Traces(
        efi=efi,
        info=_loader_info(look) if efi else "",
        words=split_words(look.text("/proc/cmdline") or ""),
        esps=_read_esps(look, runner),
        has_grub_config=look.exists(GRUB_CONFIG),
        has_boot_partition=_mount_of(look, "/boot/grub")[0] != "/",
    )


def _loader_info(look: Look) -> str:
    """The LoaderInfo variable (systemd's Boot Loader Interface): UTF-16 after 4 bytes.

    GRUB 2.12 writes one too (its bli module), GRUB 2.06 does not: the content decides.
    """
    raw = look.binary(_LOADER_INFO) or b""
    return raw[_EFIVAR_ATTRIBUTE_BYTES:].decode("utf-16-le", "replace").rstrip("\0")


def _secure_boot(look: Look) -> bool | None:
    """As PVE itself reads it (PVE::API2::Nodes get_boot_mode_info): one byte after the four."""
    raw = look.binary(_SECURE_BOOT)
    return None if raw is None else raw[_EFIVAR_ATTRIBUTE_BYTES:] == b"\1"


def _read_esps(look: Look, runner: Runner) -> tuple[Esp, ...]:
    lines = (look.text(ESP_LIST) or "").splitlines()
    uuids = tuple(dict.fromkeys(line.strip() for line in lines if line.strip()))
    status = parse_status(_status(look, runner)) if uuids else {}
    return tuple(
        Esp(
            uuid=uuid,
            present=_VFAT_UUID.fullmatch(uuid) is not None
            and look.exists(f"/dev/disk/by-uuid/{uuid}"),
            loaders=tuple(status.get(uuid, {})),
            versions=tuple(sorted({v for each in status.get(uuid, {}).values() for v in each})),
        )
        for uuid in uuids
    )


def _status(look: Look, runner: Runner) -> str:
    try:
        return runner.run(["proxmox-boot-tool", "status"], timeout_s=_STATUS_TIMEOUT_S).stdout
    except EnvironmentFault as error:
        look.note("proxmox-boot-tool status", str(error))
        return ""


def parse_status(text: str) -> dict[str, dict[str, tuple[str, ...]]]:
    """UUID -> loader ("uefi" or "grub") -> kernel versions, from ``proxmox-boot-tool status``."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for uuid, rest in _CONFIGURED.findall(text):
        for loader, versions in _LOADER_ON_ESP.findall(rest):
            names = tuple(each.strip() for each in versions.split(",") if each.strip())
            found.setdefault(uuid, {})["grub" if loader == "grub" else "uefi"] = names
    return found


def _decide(traces: _Traces) -> tuple[Loader, str]:
    """The loader; or UNKNOWN and, by code, what the evidence disagrees about."""
    if traces.info.startswith("systemd-boot"):
        return _systemd_boot(traces)
    if traces.boot_image is not None and (not traces.info or traces.info.startswith("GRUB")):
        return _grub(traces)
    return Loader.UNKNOWN, "no-traces"


def _systemd_boot(traces: _Traces) -> tuple[Loader, str]:
    if traces.boot_image is not None:
        return Loader.UNKNOWN, "two-loaders"
    if not traces.esps:
        return Loader.SYSTEMD_BOOT, ""
    # Ours: the known good entry of a trial boot
    if not all(
        each.startswith(("\\EFI\\proxmox\\", "\\EFI\\hostpci\\")) for each in traces.initrds
    ):
        return Loader.UNKNOWN, "foreign-entry"
    if traces.on_esps("uefi") is False:
        return Loader.UNKNOWN, "not-on-esps"
    return Loader.SYSTEMD_BOOT_ON_ESP, ""


def _grub(traces: _Traces) -> tuple[Loader, str]:
    """On an ESP GRUB finds the kernel at its top: the hook binds the ESP over /boot for
    grub-mkconfig. With /boot on the root it is ``/boot/vmlinuz-...``, with /boot on a partition
    of its own nobody can tell the two apart.
    """
    if not traces.esps:
        return (Loader.GRUB, "") if traces.has_grub_config else (Loader.UNKNOWN, "no-grub-config")
    path = (traces.boot_image or "").rpartition(")")[2]
    # Below hostpci/: the known good entry of a trial boot, ours
    if not path.startswith(("/vmlinuz-", "/hostpci/vmlinuz-")):
        return Loader.UNKNOWN, "foreign-entry"
    if traces.has_boot_partition:
        return Loader.UNKNOWN, "boot-partition"
    if traces.on_esps("grub") is False:
        return Loader.UNKNOWN, "not-on-esps"
    return Loader.GRUB_ON_ESP, ""


def _evidence(traces: _Traces) -> Iterator[str]:
    for word in traces.words:
        if word.startswith(("BOOT_IMAGE=", "initrd=")):
            yield f"/proc/cmdline: {word}"
    if traces.info:
        yield f"LoaderInfo: {traces.info}"
    for esp in traces.esps:
        has = ", ".join(esp.loaders) or ("?" if esp.present else "not there")
        yield f"{ESP_LIST}: {esp.uuid} ({has})"
    if traces.has_grub_config:
        yield GRUB_CONFIG


def _compared(traces: _Traces, entry: GrubEntry | None, cmdline: str | None) -> Iterator[str]:
    """Each file that the running command line may have come from, word for word against it."""
    running = without_loader_words(traces.words)
    candidates = {GRUB_CONFIG: entry.words if entry else None}
    candidates[KERNEL_CMDLINE] = None if cmdline is None else split_words(first_line(cmdline))
    for path, words in candidates.items():
        if words is not None:
            more = [f"+{word}" for word in words if word not in running]
            less = [f"-{word}" for word in running if word not in words]
            if words == running:
                yield f"{path} == /proc/cmdline"
            else:
                yield f"{path}: {' '.join([*more, *less] or words)}"


def without_loader_words(words: Iterable[str]) -> tuple[str, ...]:
    """What a loader adds by itself is in no file."""
    return tuple(word for word in words if not word.startswith(("BOOT_IMAGE=", "initrd=")))


def _default_entry(look: Look) -> GrubEntry | None:
    """The entry of grub.cfg that GRUB boots by default; None if that cannot be told."""

    def variables(lines: Iterable[str]) -> Iterator[str]:
        return (line for line in lines if line.startswith(("saved_entry=", "next_entry=")))

    lines = look.lines(GRUB_CONFIG, grub_lines) or ()
    stored = [line.partition("=") for line in look.lines(_GRUBENV, variables) or ()]
    default = default_of(lines, {key: value for key, _, value in stored})
    return None if default is None else entry_named(parse_grub(lines), default)


def _grub_files(look: Look) -> Iterator[ConfigFile]:
    """What grub-mkconfig sources, in its order (default-grub-d.patch of Debian)."""
    names = look.names("/etc/default/grub.d")
    drop_ins = [f"/etc/default/grub.d/{name}" for name in names if name.endswith(".cfg")]
    for path in ("/etc/default/grub", *drop_ins):
        text = look.raw(path) if path != GRUB_DROPIN else None
        if text is not None:
            yield ConfigFile(path=path, text=text)


def _next_release(
    look: Look, traces: _Traces, entry: GrubEntry | None, *pins: str | None
) -> str | None:
    """What grub.cfg says, else the first pin whose kernel is there, else the highest version.

    A pin for the next boot goes before the lasting one (proxmox-boot-tool writes it as the
    default entry until it is taken back). A kernel that the tool does not copy, Debian's own or
    a self-built one, is in /boot and never boots from an ESP.
    """
    names = look.names("/boot")
    releases = [name.removeprefix("vmlinuz-") for name in names if name.startswith("vmlinuz-")]
    copied = {version for esp in traces.esps for version in esp.versions}
    releases = [each for each in releases if each in copied] or releases
    said = (entry.release if entry else None, *pins)
    return next((each for each in said if each in releases), highest(releases))


def highest(releases: Iterable[str]) -> str | None:
    """The highest version, as grub-mkconfig and the kernel's own hooks sort them."""

    def version(release: str) -> list[tuple[bool, int, str]]:
        words = re.findall(r"\d+|\D+", release)
        return [(word.isdecimal(), int(word) if word.isdecimal() else 0, word) for word in words]

    return max(releases, key=version, default=None)


def _one_shot(look: Look, loader: Loader) -> tuple[str, tuple[str, ...]]:
    """How this loader boots another entry once, and why it cannot."""
    if loader in (Loader.SYSTEMD_BOOT, Loader.SYSTEMD_BOOT_ON_ESP):
        return "systemd-boot", ()
    if loader is Loader.GRUB_ON_ESP:
        return "grub-env-esp", ()
    if loader is not Loader.GRUB:
        return "", ()
    _, device, kind = _mount_of(look, "/boot/grub")
    if kind in _GRUB_CANNOT_WRITE or not _PLAIN_PARTITION.fullmatch(device):
        return "", (f"/boot/grub: {kind} {device}",)
    return "grub-env", ()


def _mount_of(look: Look, path: str) -> tuple[str, str, str]:
    """(mount point, device, file system type) where ``path`` lies; the last mount wins."""
    best = ("", "", "")
    for line in (look.raw("/proc/self/mounts") or "").splitlines():
        device, point, kind = [*line.split(), "", "", ""][:3]
        if f"{path}/".startswith(point.rstrip("/") + "/") and len(point) >= len(best[0]):
            best = (point, device, kind)
    return best
