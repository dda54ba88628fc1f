"""Each kind of step as a POSIX sh script for the guest. Pure.

Words that go into a script come from the guest's own package lists: each is checked against what a
name may be, and stands in single quotes besides.
"""

from __future__ import annotations

import re

from ..model.guest import Do, GuestStep
from .shell import GuestError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9+._~-]{0,120}")
_SUITE = re.compile(r"[a-z0-9][a-z0-9./-]{0,60}")
_STANZA = re.compile(r"(?:[A-Za-z-]+: [A-Za-z0-9 ./:+%@_~\[\]-]+\n?){3,6}")
NOUVEAU_FILE = "/etc/modprobe.d/hostpci-nouveau.conf"
SOURCES_DIRECTORY = "/etc/apt/sources.list.d"

# No question is asked, a changed configuration file stays as it is, and whoever holds apt's lock is
# waited for. needrestart of Ubuntu would ask which services to restart.
_APT = (
    "export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1 APT_LISTCHANGES_FRONTEND=none\n"
    "apt() {\n"
    "    apt-get -y -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 \\\n"
    '        -o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold "$@"\n'
    "}\n"
)
TIMEOUT_S = {
    Do.DPKG_REPAIR: 3600, Do.APT_UPDATE: 900, Do.SOURCES_ADD: 60, Do.REMOVE: 1800, Do.KERNEL: 3600,
    Do.KERNEL_CLOUD_OFF: 1800, Do.NOUVEAU_OFF: 900, Do.DRIVER: 5400, Do.DKMS_BUILD: 3600,
    Do.FIRMWARE: 3600, Do.MODULE_LOAD: 180,
}  # fmt: skip


def script_of(step: GuestStep) -> str:
    """The script of a step. A restart is none: PVE does that."""
    return f"set -eu\n{_BODIES[step.do](step)}"


def shown(step: GuestStep) -> str:
    """The heart of a step, for a person."""
    words = " ".join(step.words)
    suite = f"-t {step.suite} " if step.suite else ""
    return {
        Do.DPKG_REPAIR: "dpkg --configure -a; apt-get -f install",
        Do.APT_UPDATE: "apt-get update",
        Do.SOURCES_ADD: sources_file(step),
        Do.REMOVE: f"apt-get remove {words}",
        Do.KERNEL: f"apt-get {suite}install {words}",
        Do.KERNEL_CLOUD_OFF: f"apt-get purge {words}",
        Do.NOUVEAU_OFF: f"{NOUVEAU_FILE}; update-initramfs -u",
        Do.DRIVER: f"apt-get {suite}install {words}",
        Do.DKMS_BUILD: "dkms autoinstall",
        Do.FIRMWARE: f"apt-get {suite}install {words}",
        Do.MODULE_LOAD: f"modprobe {words}",
        Do.REBOOT: "",
    }[step.do]


def sources_file(step: GuestStep) -> str:
    """One file for each first suite, so that adding backports leaves the other file alone."""
    suites = re.search(r"^Suites: (\S+)", step.words[0] if step.words else "", re.MULTILINE)
    name = suites[1].replace("/", "-") if suites else "extra"
    return f"{SOURCES_DIRECTORY}/hostpci-{name}.sources"


def _names(step: GuestStep) -> str:
    for word in step.words:
        if not _NAME.fullmatch(word):
            raise GuestError("guest-lies", guest="", what=word[:60])
    return " ".join(f"'{each}'" for each in step.words)


def _repair(_step: GuestStep) -> str:
    return f"{_APT}dpkg --force-confdef --force-confold --configure -a\napt -f install"


def _update(_step: GuestStep) -> str:
    return f"{_APT}apt update"


def _sources(step: GuestStep) -> str:
    for stanza in step.words:
        if not _STANZA.fullmatch(f"{stanza}\n"):
            raise GuestError("guest-lies", guest="", what=stanza[:60])
    text = "\n\n".join(step.words)
    return _replace(sources_file(step), text)


def _replace(path: str, text: str) -> str:
    """A file of ours, whole or not at all."""
    return (
        f"umask 022\ncat > \"$R{path}.new\" <<'HOSTPCI'\n# Written by hostpci; may be removed.\n"
        f'{text}\nHOSTPCI\nmv "$R{path}.new" "$R{path}"'
    )


def _remove(step: GuestStep) -> str:
    return f"{_APT}apt remove {_names(step)}"


def _install(step: GuestStep) -> str:
    if step.suite and not _SUITE.fullmatch(step.suite):
        raise GuestError("guest-lies", guest="", what=step.suite[:60])
    suite = f"-t '{step.suite}' " if step.suite else ""
    return f"{_APT}apt {suite}--no-install-recommends install {_names(step)}"


def _cloud_off(step: GuestStep) -> str:
    """The kernel that runs may go, its question answered; the last one that is left may not."""
    if not step.words:
        return ":"
    return (
        f"{_APT}"
        'ls "$R"/boot/vmlinuz-*-amd64 | grep -v -e -cloud- > /dev/null || {\n'
        "    echo 'no other kernel is installed' >&2\n    exit 1\n}\n"
        "echo 'linux-base linux-base/removing-running-kernel boolean false' |\n"
        "    debconf-set-selections\n"
        f"apt purge {_names(step)}"
    )


def _nouveau_off(_step: GuestStep) -> str:
    return (
        f"{_replace(NOUVEAU_FILE, 'blacklist nouveau' + chr(10) + 'options nouveau modeset=0')}\n"
        "update-initramfs -u"
    )


def _dkms(_step: GuestStep) -> str:
    return (
        f"{_APT}"
        'if ! [ -e "$R/lib/modules/$(uname -r)/build/Makefile" ]; then\n'
        '    apt --no-install-recommends install "linux-headers-$(uname -r)"\nfi\n'
        'dkms autoinstall -k "$(uname -r)"'
    )


def _load(step: GuestStep) -> str:
    names = _names(step).split(" ")
    return "\n".join(f"modprobe {each}" for each in names)


_BODIES = {
    Do.DPKG_REPAIR: _repair,
    Do.APT_UPDATE: _update,
    Do.SOURCES_ADD: _sources,
    Do.REMOVE: _remove,
    Do.KERNEL: _install,
    Do.KERNEL_CLOUD_OFF: _cloud_off,
    Do.NOUVEAU_OFF: _nouveau_off,
    Do.DRIVER: _install,
    Do.DKMS_BUILD: _dkms,
    Do.FIRMWARE: _install,
    Do.MODULE_LOAD: _load,
}
