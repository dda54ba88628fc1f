"""Reads what the logs of a host say about PCI devices, the IOMMU, VFIO, KVM and graphics.

Only those lines: what else is in a journal is nobody's business here. Everything goes through a
Look and a Runner, so that a capture answers like the host it was made of.
"""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence

from ..errors import EnvironmentFault
from ..host.runner import Runner
from ..model.guests import GuestKind
from ..model.log import Log
from .guests import VM_CONFIGS, read_guests, vm_lines
from .look import Look

_PREVIOUS_BOOTS = 4
_JOURNAL_TIMEOUT_S = 120
_MAX_LINES, _MAX_CHARS, _MAX_LINE_CHARS = 4000, 400_000, 4096
# Of lines that differ in their numbers only
_MAX_ALIKE = 200
# Who says something about a guest's start, beside the kernel
_IDENTIFIERS = (
    "QEMU", "kvm", "qm", "qmeventd", "pvedaemon", "pve-guests", "systemd-modules-load", "modprobe",
    "nvidia-persistenced", "nvidia-vgpu-mgr", "hostpci",
)  # fmt: skip
_JOURNAL = ("journalctl", "--no-pager", "--quiet", "--no-hostname", "--output=short-monotonic")
_WORDS = (
    "acs", "aer", "amd-vi", "amdgpu", "amdkfd", "apic", "ats", "atomicops", "bar", "bios", "code",
    "d0", "d3", "d3cold", "d3hot", "dma", "dmar", "dmi", "drm", "drm_kms_helper", "dxe", "edac",
    "efi", "efifb", "fb0", "fbcon", "firmware", "flr", "framebuffer", "genirq", "gpu", "gsp", "guc",
    "hda", "hdaudio", "huc", "hugepage", "hugepages", "hung", "i915", "iommu", "iommufd", "iommus",
    "ir", "irq", "ivmd", "ivrs", "kfd", "kvm", "kvm_amd", "kvm_intel", "kvmgt", "lockdown",
    "lockup", "mce", "mdev", "memlock", "mmio", "module", "modules", "msi", "msi-x", "nmi",
    "nobody", "nouveau", "nova", "nova_core", "nvidia", "nvidiafb", "nvme", "nvml", "nvrm", "oom",
    "oops", "option", "pasid", "pci", "pcie", "pcieport", "pciehp", "powering", "pri", "psp",
    "qemu", "radeon", "rcu", "remapping", "reset", "rip", "rlimit_memlock", "rmrr", "rom", "ryzen",
    "secure", "shpchp", "simpledrm", "simplefb", "simple-framebuffer", "smu", "snd_hda_intel",
    "sr-iov", "sriov", "sriov_numvfs", "start", "svm", "swiotlb", "sysfb", "sysfs", "tainted",
    "task", "thunderbolt", "trace", "trap", "traps", "ucsi_ccg", "unreliable", "vendor_reset",
    "vesafb", "vf", "vfio", "vfio-pci", "vfio_pci", "vfio_iommu_type1", "vfs", "vga", "vgaarb",
    "vgpu", "vmd", "vmx", "vt-d", "watchdog", "x2apic", "xe", "xhci_hcd", "xid",
)  # fmt: skip
_PHRASES = (
    r"command line:", r"linux version", r"out of memory", r"killed process", r"null pointer",
    r"general protection", r"disagrees about", r"unknown symbol", r"key was rejected",
    r"required key", r"not ready \d+ms", r"\+0x[0-9a-f]+/0x[0-9a-f]+", r"\b(?:R[A-Z0-9]{2}|CR\d):",
    r"end trace", r"cut here", r"blocked for more than", r"soft lockup", r"hard lockup",
    r"modprobe", r"hardware error", r"aperture", r"host bridge", r"root bus", r"pnp \d\d:",
    r"unable to change power state", r"\b[0-9a-f]{2}:[01][0-9a-f]\.[0-7]\b",
)  # fmt: skip
_RELEVANT = re.compile(
    rf"(?i)(?<![^\W_])(?:{'|'.join(sorted(_WORDS, reverse=True))})(?![^\W_])|{'|'.join(_PHRASES)}"
)
# Traffic that a packet filter logs, and what audit says of users
_PRIVATE = re.compile(r"\b(?:SRC|DST)=|\baudit(?:\(|: type=)|\brhost=")
_NUMBER = re.compile(r"[0-9]+")

TASKS = "/var/log/pve/tasks"
_TASK_LISTS = ("index.1", "index", "active")
_TASK_KINDS = ("qmstart", "qmreboot", "qmreset", "qmresume", "qmstop", "qmshutdown")
_MAX_TASKS = 24
_MAX_TASK_LINES = 400
# PVE::Tools::upid_encode: node, pid, start of the process, start of the task, type, id, user
UPID = re.compile(
    r"UPID:(?P<node>[a-zA-Z0-9][a-zA-Z0-9.-]*):(?P<pid>[0-9A-Fa-f]{8}):(?P<pstart>[0-9A-Fa-f]{8,9})"
    r":(?P<start>[0-9A-Fa-f]{8}):(?P<kind>[^:\s/]+):(?P<id>[^:\s/]*):(?P<user>[^:\s/]+):"
)


def read_logs(look: Look, runner: Runner) -> tuple[Log, ...]:
    """Every source that says something, the newest boot first. What is not there is left out."""
    machines = [each.number for each in read_guests(look) if each.kind is GuestKind.VM]
    found = (
        *_boots(look, runner),
        *_tasks(look, machines),
        *(_file(look, f"{VM_CONFIGS}/{number}.conf", vm_lines) for number in machines),
        _file(look, "/proc/iomem", _bounded),
    )
    return tuple(each for each in found if each.lines)


def _file(look: Look, path: str, keep: Callable[[Iterable[str]], Iterable[str]]) -> Log:
    return Log(source=path, lines=look.lines(path, keep) or ())


# the journal


def journal_command(boot: int) -> tuple[str, ...]:
    """The kernel and those who start guests, in one boot: 0 is this one, -1 the one before."""
    either = [word for name in _IDENTIFIERS for word in ("+", f"SYSLOG_IDENTIFIER={name}")]
    return (*_JOURNAL, f"--boot={boot}", "_TRANSPORT=kernel", *either)


def _boots(look: Look, runner: Runner) -> Iterator[Log]:
    """Until one is not there: the journal forgets, or was never kept."""
    for boot in range(0, -_PREVIOUS_BOOTS - 1, -1):
        try:
            said = runner.run(
                journal_command(boot), timeout_s=_JOURNAL_TIMEOUT_S, keep=relevant_lines
            )
        except EnvironmentFault as error:
            if boot == 0:
                look.note("journalctl", error.code)
            return
        yield Log(source=f"journalctl --boot={boot}", lines=tuple(said.stdout.splitlines()))


def relevant_lines(lines: Iterable[str]) -> Iterator[str]:
    """Of a journal what is about devices, within bounds whatever storm went through it."""
    alike: Counter[str] = Counter()

    def wanted() -> Iterator[str]:
        for line in lines:
            if _RELEVANT.search(line) and not _PRIVATE.search(line):
                kind = _NUMBER.sub("0", line[:200])
                alike[kind] += 1
                if alike[kind] <= _MAX_ALIKE:
                    yield line

    return _bounded(wanted())


def _bounded(lines: Iterable[str]) -> Iterator[str]:
    return bounded(lines, max_lines=_MAX_LINES, max_chars=_MAX_CHARS)


def bounded(lines: Iterable[str], *, max_lines: int, max_chars: int) -> Iterator[str]:
    """The first and the last of them: how it began, and how it ended."""
    tail: deque[str] = deque()
    head_lines, head_chars, tail_chars = max_lines // 2, max_chars // 2, 0
    for line in lines:
        cut = line[:_MAX_LINE_CHARS]
        if head_lines > 0 and head_chars >= len(cut):
            head_lines, head_chars = head_lines - 1, head_chars - len(cut)
            yield cut
            continue
        head_lines = 0
        tail.append(cut)
        tail_chars += len(cut)
        while len(tail) > max_lines // 2 or tail_chars > max_chars // 2:
            tail_chars -= len(tail.popleft())
    yield from tail


# tasks of Proxmox VE


def _tasks(look: Look, machines: Sequence[int]) -> Iterator[Log]:
    """Logs of the tasks that started and stopped these machines, the newest last."""
    numbers = {str(each) for each in machines}
    if not numbers:
        return

    def of_machines(lines: Iterable[str]) -> Iterator[str]:
        for line in lines:
            match = UPID.match(line)
            if match and match["kind"] in _TASK_KINDS and match["id"] in numbers:
                yield line

    found: dict[str, int] = {}
    for name in _TASK_LISTS:
        for line in look.lines(f"{TASKS}/{name}", of_machines) or ():
            match = UPID.match(line)
            if match:
                found[match[0]] = int(match["start"], 16)
    for upid in sorted(found, key=lambda each: (found[each], each))[-_MAX_TASKS:]:
        path = task_path(upid)
        if path:
            yield _file(look, path, _task_lines)


def task_path(upid: str) -> str:
    """PVE::Tools::upid_decode: sixteen directories, by the last digit of the time of the start."""
    match = UPID.fullmatch(upid)
    return f"{TASKS}/{match['start'][7]}/{upid}" if match else ""


def _task_lines(lines: Iterable[str]) -> Iterator[str]:
    return bounded(lines, max_lines=_MAX_TASK_LINES, max_chars=_MAX_CHARS // 8)
