"""Everything a decision may rest on, as one frozen value. Nothing in here decides."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from .baseline import HostState
from .claim import Claims
from .guests import Guest
from .network import NetworkFacts
from .pci import Inventory, Unmeasured


class Loader(StrEnum):
    """Who loaded this kernel, and from where. UNKNOWN is an answer: the evidence disagrees.

    ``-on-esp``: from copies on the EFI system partitions that proxmox-boot-tool keeps.
    """

    GRUB = "grub"
    GRUB_ON_ESP = "grub-on-esp"
    SYSTEMD_BOOT_ON_ESP = "systemd-boot-on-esp"
    SYSTEMD_BOOT = "systemd-boot"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Esp:
    """One EFI system partition on proxmox-boot-tool's list.

    ``present``: its device is there. ``loaders`` ("uefi" is systemd-boot, "grub") and kernel
    ``versions``: what the tool's own status found on it; empty where it could not be asked.
    """

    uuid: str
    present: bool
    loaders: tuple[str, ...] = ()
    versions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigFile:
    """A text file of the host, whole."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoaderFacts:
    """``doubt``: of an UNKNOWN loader, by code, what the evidence disagrees about.

    ``persisted``: words of the next boot's command line, from what the loader itself will
    read (None: not determined). ``next_release``: the kernel of that boot; ``pinned`` and
    ``next_boot``: proxmox-boot-tool's pins. ``kernel_cmdline``: /etc/kernel/cmdline as it is.
    ``grub_files``: what grub-mkconfig sources, in its order, without our own file.
    ``own_words``: words that runs of ours put into /etc/kernel/cmdline and nobody took out;
    ``refreshed_words``: words that they have read back from the boot partitions.
    ``one_shot``: how a single boot into another entry can be asked for (``grub-env``,
    ``grub-env-esp``, ``systemd-boot``), empty if that cannot be done.
    """

    loader: Loader
    firmware: str
    evidence: tuple[str, ...]
    doubt: str = ""
    secure_boot: bool | None = None
    esps: tuple[Esp, ...] = ()
    pinned: str | None = None
    next_boot: str | None = None
    next_release: str | None = None
    persisted: tuple[str, ...] | None = None
    kernel_cmdline: str | None = None
    grub_files: tuple[ConfigFile, ...] = ()
    own_words: tuple[str, ...] = ()
    refreshed_words: tuple[str, ...] = ()
    one_shot: str = ""

    @property
    def is_on_esp(self) -> bool:
        return self.loader in (Loader.GRUB_ON_ESP, Loader.SYSTEMD_BOOT_ON_ESP)


@dataclass(frozen=True, slots=True, kw_only=True)
class IommuFacts:
    """``units``: /sys/class/iommu; ``tables``: which of IVRS, DMAR the firmware gave (None: not
    readable); ``interrupt_remapping``: from the interrupt chips in use, None if not readable.
    """

    units: tuple[str, ...]
    tables: tuple[str, ...] | None
    interrupt_remapping: bool | None
    interrupt_chips: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CpuFacts:
    """``virtualization``: ``svm``, ``vmx``, or empty when the flags have neither."""

    vendor: str
    model: str
    virtualization: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelFacts:
    """``config``: the few options we ask for, as in /boot/config-RELEASE (None: no such file).

    ``modules``: which of the modules we ask for this kernel has (None: not to be read).
    """

    release: str
    command_line: tuple[str, ...]
    config: dict[str, str] | None
    loaded_modules: tuple[str, ...]
    vfio_pci_available: bool | None
    modules: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InitramfsImage:
    """One /boot/initrd.img-RELEASE.

    ``modules``: kernel modules inside, None if it could not be listed. ``claim_rules``: names of
    our rule files inside, ``links``: of our link files, ``has_options``: our file of modprobe.d
    is. Times are nanoseconds since the epoch.
    """

    path: str
    release: str
    modified_ns: int
    modules: tuple[str, ...] | None
    claim_rules: tuple[str, ...]
    links: tuple[str, ...] = ()
    has_options: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleFile:
    """A file of ours, one of udev's rules or modprobe's options, as it lies on the root."""

    path: str
    text: str
    modified_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One line in a host's file (or word of the running command line) that guides tell to put.

    ``code`` says which setting, ``value`` what it is set to, ``where`` ``path:line``.
    """

    code: str
    value: str
    where: str
    line: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsFile:
    """A file in which settings were found, whole; ``text`` is None if it is no UTF-8 text."""

    path: str
    text: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OptionFacts:
    """What knobs act on.

    ``modprobe``, ``modules`` and ``hook``: our own files (None: not there). ``parameters``: of
    loaded modules, ``module.name`` -> what sysfs shows.
    """

    modprobe: RuleFile | None
    modules: str | None
    parameters: dict[str, str]
    files: tuple[SettingsFile, ...]
    hook: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PlatformFacts:
    distribution: str
    is_pve: bool
    pve_version: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """``other_inputs``: keyboards and mice that hang on no PCI function (PS/2, I2C)."""

    platform: PlatformFacts
    inventory: Inventory
    iommu: IommuFacts
    cpu: CpuFacts
    kernel: KernelFacts
    loader: LoaderFacts
    images: tuple[InitramfsImage, ...]
    rules: tuple[RuleFile, ...]
    grub_dropin: str | None
    settings: tuple[Setting, ...]
    options: OptionFacts
    claims: Claims
    network: NetworkFacts = field(default_factory=NetworkFacts)
    state: HostState = field(default_factory=HostState)
    guests: tuple[Guest, ...] = ()
    other_inputs: tuple[str, ...] = ()
    unmeasured: tuple[Unmeasured, ...] = ()
