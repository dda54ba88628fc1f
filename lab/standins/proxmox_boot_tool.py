#!/usr/bin/python3
"""A stand-in for Proxmox VE's proxmox-boot-tool: written from recordings of what the real one says.

The lab's images are Debian's, and the real tool is part of Proxmox VE. Messages, exit statuses,
files and their contents follow the recorded transcripts of 8.1.0 and 9.2.0 (replayed by
lab/tests/test_boot_tool.py). What the transcripts do not show: which of two streams a message
goes to, and that files on an ESP are written in place, which is the harsher choice in a power cut.

Paths lie below $PBT_ROOT (empty on a host), programs are found in PATH: so a test can run it.
"""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

ROOT = os.environ.get("PBT_ROOT", "")
ESP_LIST = "/etc/kernel/proxmox-boot-uuids"
CMDLINE = "/etc/kernel/cmdline"
PIN, NEXT_BOOT_PIN = "/etc/kernel/proxmox-boot-pin", "/etc/kernel/next-boot-pin"
MANUAL = "/etc/kernel/proxmox-boot-manual-kernels"
GRUB_PIN = "/etc/default/grub.d/proxmox-kernel-pin.cfg"
UPSTREAM_HOOK = "/etc/initramfs/post-update.d/systemd-boot"
GENERATOR_MASK = "/etc/systemd/system-generators/systemd-gpt-auto-generator"
ESP_TYPE = "c12a7328-f81f-11d2-ba4b-00a0c93ec93b"
SMALLEST_ESP_BYTES = 256 << 20
KERNELS_ON_ESP = "EFI/proxmox"
# Set for everything that already runs in a mount namespace of its own.
NAMESPACED = "PBT_NAMESPACED"

USAGE = """USAGE: proxmox-boot-tool <commands> [ARGS]

  proxmox-boot-tool init <partition> [grub]
  proxmox-boot-tool reinit
  proxmox-boot-tool clean [--dry-run]
  proxmox-boot-tool refresh [--hook <name>]
  proxmox-boot-tool kernel <add|remove|pin> <kernel-version> [--next-boot]
  proxmox-boot-tool kernel unpin [--next-boot]
  proxmox-boot-tool kernel list
  proxmox-boot-tool status [--quiet]
"""


class FailedError(Exception):
    """Ends the program with a message and status 1 (or another)."""

    def __init__(self, text: str, status: int = 1) -> None:
        super().__init__(text)
        self.status = status


def at(path: str) -> str:
    return ROOT + path


def say(text: str) -> None:
    print(text, flush=True)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def read(path: str) -> str | None:
    try:
        with open(at(path), encoding="utf-8", errors="surrogateescape", newline="") as stream:
            return stream.read()
    except FileNotFoundError:
        return None


def write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        stream.write(text)


def run(*argv: str, quiet: bool = False) -> bool:
    """Run a program, its output among ours; says whether it succeeded."""
    target = subprocess.DEVNULL if quiet else None
    return subprocess.run(argv, check=False, stdout=target, stderr=target).returncode == 0


def output(*argv: str) -> str:
    done = subprocess.run(argv, check=False, stdout=subprocess.PIPE, text=True)
    return done.stdout.strip()


def release() -> str:
    """The version whose behaviour this is: Debian 12 carries 8, Debian 13 carries 9."""
    named = os.environ.get("PBT_VERSION")
    return named or ("8.1.0" if 'VERSION_ID="12"' in (read("/etc/os-release") or "") else "9.2.0")


def is_uefi() -> bool:
    return os.path.isdir(at("/sys/firmware/efi"))


def enter_namespace(program: str, argv: list[str]) -> None:
    """Start again where mounts are nobody else's, unless that has happened."""
    if NAMESPACED in os.environ:
        return
    say(f"Re-executing '{program}' in new private mount namespace..")
    os.environ[NAMESPACED] = "1"
    words = ["unshare", "--mount", "--propagation", "private", sys.executable, __file__, *argv]
    os.execvp(words[0], words)  # noqa: S606  # an argument list, no shell


# ---- kernels ------------------------------------------------------------------------------


def installed() -> list[str]:
    names = os.listdir(at("/boot"))
    return sorted(name[len("vmlinuz-") :] for name in names if name.startswith("vmlinuz-"))


def order(version: str) -> list[tuple[int, str]]:
    return [
        (int(each), "") if each.isdigit() else (-1, each) for each in re.split(r"[.-]", version)
    ]


def word_of(path: str) -> str:
    return (read(path) or "").strip()


def manual() -> list[str]:
    return (read(MANUAL) or "").split()


def automatic(new: str = "") -> list[str]:
    """The running and a newly installed kernel, the two latest, the latest of the series before."""
    there = sorted(installed(), key=order, reverse=True)
    latest_of_series: dict[str, str] = {}
    for each in there:
        latest_of_series.setdefault(".".join(each.split(".")[:2]), each)
    previous = list(latest_of_series.values())[1:2]
    running = os.environ.get("PBT_RUNNING", os.uname().release)
    wanted = {running, new, *there[:2], *previous}
    return sorted(wanted & set(there))


def kept(new: str = "") -> list[str]:
    extra = {*manual(), word_of(PIN), word_of(NEXT_BOOT_PIN)} & set(installed())
    return sorted({*automatic(new), *extra})


# ---- ESPs ---------------------------------------------------------------------------------


def device_of(uuid: str) -> str:
    return f"/dev/disk/by-uuid/{uuid}"


def listed() -> list[str]:
    return [line for line in (read(ESP_LIST) or "").splitlines() if line]


def usable() -> Iterator[str]:
    """The listed ESPs that are there, with a warning about each that is not."""
    for uuid in listed():
        if not re.fullmatch(r"[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}", uuid):
            warn(f"WARN: {uuid} read from {ESP_LIST} does not look like a VFAT-UUID - skipping")
        elif not os.path.exists(at(device_of(uuid))):
            warn(f"WARN: {device_of(uuid)} does not exist - clean '{ESP_LIST}'! - skipping")
        else:
            yield uuid


@contextmanager
def mounted(device: str, uuid: str) -> Iterator[str | None]:
    point = f"/var/tmp/espmounts/{uuid}"  # noqa: S108  # as recorded
    os.makedirs(at(point), exist_ok=True)
    options = ["-o", "umask=0077"] if release() >= "9" else []
    if not run("mount", *options, "-t", "vfat", at(device), at(point)):
        warn(f"WARN: mount of {device} failed - skipping")
        yield None
        return
    try:
        yield at(point)
    finally:
        run("umount", at(point))
        os.rmdir(at(point))


# ---- refresh ------------------------------------------------------------------------------


def command_line() -> str:
    """What entries get as options: the first line, or what the running kernel was given."""
    text = read(CMDLINE)
    if text is None:
        warn(f"No {CMDLINE} found - falling back to /proc/cmdline")
        words = (read("/proc/cmdline") or "").strip().split(" ")
        return " ".join(each for each in words if not each.startswith("initrd="))
    first = text.split("\n", 1)[0]
    if "root=" not in first:
        raise FailedError(f"No root= parameter in {CMDLINE} found!")
    return first


def copy(source: str, folder: str) -> None:
    target = os.path.join(folder, os.path.basename(source))
    # A FAT file system keeps times to two seconds.
    if not os.path.exists(target) or os.path.getmtime(source) > os.path.getmtime(target) + 2:
        shutil.copy2(source, target)


def copy_kernels(folder: str, new: str, line: str) -> Iterator[str]:
    """Copy every kept kernel with its initrd below `folder`, saying `line` about each."""
    for version in kept(new):
        image, initrd = at(f"/boot/vmlinuz-{version}"), at(f"/boot/initrd.img-{version}")
        if not os.path.exists(initrd):
            warn(f"No initrd-image /boot/initrd.img-{version} found - skipping")
            continue
        warn(f"\t{line} {version}")
        place = folder.format(version=version)
        os.makedirs(place, exist_ok=True)
        copy(image, place)
        copy(initrd, place)
        yield version


def update_systemd_boot(esp: str, device: str, options: str, new: str) -> None:
    loader = f"{esp}/loader/loader.conf"
    if not os.path.exists(loader):
        warn(f"{device} contains no loader.conf - skipping")
        return
    warn(f"Copying and configuring kernels on {device}")
    os.makedirs(f"{esp}/loader/entries", exist_ok=True)
    folder = f"{esp}/{KERNELS_ON_ESP}/{{version}}"
    for version in copy_kernels(folder, new, "Copying kernel and creating boot-entry for"):
        below = f"/{KERNELS_ON_ESP}/{version}"
        write(
            f"{esp}/loader/entries/proxmox-{version}.conf",
            f"title    Proxmox Virtual Environment\nversion  {version}\noptions  {options}\n"
            f"linux    {below}/vmlinuz-{version}\ninitrd   {below}/initrd.img-{version}\n",
        )
    for version in sorted(set(versions_of_systemd_boot(esp)) - set(kept(new))):
        warn(f"\tRemoving old version {version}")
        shutil.rmtree(f"{esp}/{KERNELS_ON_ESP}/{version}")
        entry = f"{esp}/loader/entries/proxmox-{version}.conf"
        if os.path.exists(entry):
            os.unlink(entry)
    pinned = word_of(NEXT_BOOT_PIN) or word_of(PIN)
    default = f"proxmox-{pinned}.conf" if pinned else "proxmox-*"
    set_default(loader, default)


def set_default(loader: str, default: str) -> None:
    with open(loader, encoding="utf-8") as stream:
        old = stream.read()
    new = re.sub(r"(?m)^default .*$", lambda _: f"default {default}", old)
    if new != old:
        write(loader, new)


def update_grub_esp(esp: str, device: str, new: str) -> None:
    if not os.path.isdir(f"{esp}/grub"):
        warn(f"{device} contains no grub directory - skipping")
        return
    warn(f"Copying and configuring kernels on {device}")
    for _ in copy_kernels(esp, new, "Copying kernel"):
        pass
    for version in sorted(set(versions_of_grub(esp)) - set(kept(new))):
        warn(f"\tRemoving old version {version}")
        for name in (f"vmlinuz-{version}", f"initrd.img-{version}"):
            if os.path.exists(f"{esp}/{name}"):
                os.unlink(f"{esp}/{name}")
    set_grub_default()
    # update-grub writes /boot/grub/grub.cfg about the kernels in /boot: for a while, the ESP's.
    run("mount", "--bind", esp, at("/boot"))
    run("update-grub")
    run("umount", at("/boot"))


def set_grub_default() -> None:
    pinned = word_of(NEXT_BOOT_PIN) or word_of(PIN)
    if not pinned:
        if os.path.exists(at(GRUB_PIN)):
            os.unlink(at(GRUB_PIN))
        return
    root = output("grub-probe", "--target=fs_uuid", at("/"))
    entry = f"gnulinux-advanced-{root}>gnulinux-{pinned}-advanced-{root}"
    os.makedirs(os.path.dirname(at(GRUB_PIN)), exist_ok=True)
    write(at(GRUB_PIN), f'GRUB_DEFAULT="{entry}"\n')


def zz_hook(new: str = "") -> None:
    """What the kernel hook zz-proxmox-boot does."""
    if run("systemd-detect-virt", "--container", "--quiet", quiet=True):
        return
    enter_namespace("/etc/kernel/postinst.d/zz-proxmox-boot", ["--zz", new])
    if not os.path.exists(at(ESP_LIST)):
        warn(f"No {ESP_LIST} found, skipping ESP sync.")
        warn_about_grub_package()
    else:
        update_esps(command_line(), new)
        if os.path.exists(at(UPSTREAM_HOOK)):
            warn(f"\tDisabling upstream hook {UPSTREAM_HOOK}")
            # run-parts passes over names with a dot.
            os.rename(at(UPSTREAM_HOOK), at(UPSTREAM_HOOK + ".disabled"))
    if release() >= "9" and is_uefi() and not os.path.lexists(at(GENERATOR_MASK)):
        say(
            "masking the systemd-gpt-auto-generator systemd generator unit to avoid problems"
            " with the ESP and updates in certain setups."
        )
        os.makedirs(os.path.dirname(at(GENERATOR_MASK)), exist_ok=True)
        os.symlink("/dev/null", at(GENERATOR_MASK))


def update_esps(options: str, new: str) -> None:
    # As recorded (a GRUB ESP before a systemd-boot one): after one ESP with Proxmox's GRUB all
    # later ones count as such.
    with_grub = not is_uefi()
    for uuid in usable():
        device = device_of(uuid)
        with mounted(device, uuid) as esp:
            if esp is None:
                continue
            with_grub = with_grub or os.path.exists(f"{esp}/{KERNELS_ON_ESP}/grubx64.efi")
            if with_grub:
                update_grub_esp(esp, device, new)
            else:
                update_systemd_boot(esp, device, options, new)


def warn_about_grub_package() -> None:
    package = "grub-efi-amd64"
    if is_uefi() and "installed" not in output(
        "dpkg-query", "-W", "-f=${db:Status-Status}", package
    ):
        warn(f"System booted in EFI-mode but '{package}' meta-package not installed!")
        warn(f"Install '{package}' to get updates.")


def refresh(words: list[str]) -> None:
    only = words[1] if len(words) == 2 and words[0] == "--hook" else ""
    for name in ("proxmox-auto-removal", "zz-proxmox-boot"):
        if only in ("", name):
            say(f"Running hook script '{name}'..")
            if name.startswith("zz"):
                zz_hook()


# ---- the other verbs ----------------------------------------------------------------------


def versions_of_systemd_boot(esp: str) -> list[str]:
    folder = f"{esp}/{KERNELS_ON_ESP}"
    names = os.listdir(folder) if os.path.isdir(folder) else []
    return sorted(name for name in names if os.path.isdir(f"{folder}/{name}"))


def versions_of_grub(esp: str) -> list[str]:
    return sorted(
        each[len("vmlinuz-") :] for each in os.listdir(esp) if each.startswith("vmlinuz-")
    )


def status(words: list[str]) -> None:
    quiet = "--quiet" in words
    if not quiet:
        enter_namespace("/usr/sbin/proxmox-boot-tool", ["status", *words])
    if not os.path.exists(at(ESP_LIST)):
        raise FailedError("" if quiet else f"E: {ESP_LIST} does not exist.", 2)
    if quiet:
        return
    say(f"System currently booted with {'uefi' if is_uefi() else 'legacy bios'}")
    for uuid in usable():
        with mounted(device_of(uuid), uuid) as esp:
            if esp is not None:
                say(f"{uuid} is configured with: {', '.join(loaders_of(esp))}")


def loaders_of(esp: str) -> Iterator[str]:
    if os.path.exists(f"{esp}/loader/loader.conf"):
        yield f"uefi (versions: {', '.join(versions_of_systemd_boot(esp))})"
    if os.path.isdir(f"{esp}/grub"):
        yield f"grub (versions: {', '.join(versions_of_grub(esp))})"


def partition(device: str) -> dict[str, str]:
    """What lsblk says of a partition that is fit to be an ESP."""
    if not os.path.exists(at(device)):
        raise FailedError(f"E: '{device}' does not exist!")
    is_block = stat.S_ISBLK(os.stat(at(device)).st_mode)
    if not is_block and not (ROOT and device.startswith("/dev/")):
        raise FailedError(f"E: '{device}' is not a block device!")
    columns = "UUID,SIZE,FSTYPE,PARTTYPE,PKNAME,MOUNTPOINT"
    line = output("lsblk", "--bytes", "--pairs", "-o", columns, at(device))
    say(line)
    found = dict(re.findall(r'(\w+)="([^"]*)"', line))
    if found["PARTTYPE"] != ESP_TYPE:
        raise FailedError(f"E: '{device}' has wrong partition type (!= {ESP_TYPE}).")
    if found["FSTYPE"] != "vfat":
        raise FailedError(f"E: '{device}' has wrong filesystem (!= vfat).")
    if int(found["SIZE"]) < SMALLEST_ESP_BYTES:
        raise FailedError(f"E: '{device}' is too small (<256M).")
    return found


def init(words: list[str]) -> None:
    enter_namespace("/usr/sbin/proxmox-boot-tool", ["init", *words])
    device = words[0]
    found = partition(device)
    with_grub = words[1:] == ["grub"] or not is_uefi()
    say(f"Mounting '{device}' on '/var/tmp/espmounts/{found['UUID']}'.")
    with mounted(device, found["UUID"]) as esp:
        if esp is None:
            raise FailedError(f"E: '{device}' cannot be mounted")
        install_loader(esp, f"/dev/{found['PKNAME']}", with_grub=with_grub)
        say(f"Unmounting '{device}'.")
    say(f"Adding '{device}' to list of synced ESPs..")
    uuids = sorted({*listed(), found["UUID"]})
    write(at(ESP_LIST), "\n".join(uuids) + "\n")
    say("Refreshing kernels and initrds..")
    refresh([])


def install_loader(esp: str, disk: str, *, with_grub: bool) -> None:
    if not with_grub:
        say("Installing systemd-boot..")
        run("bootctl", "--path", esp, "install")
        say("Configuring systemd-boot..")
        os.makedirs(f"{esp}/{KERNELS_ON_ESP}", exist_ok=True)
        write(f"{esp}/loader/loader.conf", "timeout 3\ndefault proxmox-*\n")
        return
    common = ["grub-install.real", "--boot-directory", esp, "--target"]
    if not is_uefi():
        say("Installing grub i386-pc target..")
        run(*common, "i386-pc", "--no-floppy", "--bootloader-id=proxmox", disk)
        return
    efi = [*common, "x86_64-efi", "--no-floppy", "--efi-directory", esp]
    say("Installing grub x86_64 target..")
    run(*efi, "--bootloader-id", "proxmox", disk)
    say("Installing grub x86_64 target (removable)..")
    run(*efi, "--removable", "--bootloader-id", "proxmox", disk)


def reinit(_words: list[str]) -> None:
    enter_namespace("/usr/sbin/proxmox-boot-tool", ["reinit"])
    for uuid in usable():
        disk = output("lsblk", "--noheadings", "--paths", "-o", "PKNAME", at(device_of(uuid)))
        with mounted(device_of(uuid), uuid) as esp:
            if esp is not None:
                grub = os.path.isdir(f"{esp}/grub")
                install_loader(esp, disk, with_grub=grub)
    refresh([])


def clean(words: list[str]) -> None:
    there = []
    for uuid in listed():
        found = os.path.exists(at(device_of(uuid)))
        say(f"Checking whether ESP '{uuid}' exists.. {'Found!' if found else 'Not found!'}")
        if found:
            there.append(uuid)
    say("Sorting and removing duplicate ESPs..")
    if "--dry-run" not in words:
        write(at(ESP_LIST), "".join(f"{uuid}\n" for uuid in sorted(set(there))))


REFRESH_HINT = "Use the 'refresh' command to update the ESPs."


def kernel(words: list[str]) -> None:
    match words:
        case ["list"]:
            kernel_list()
        case ["add", version]:
            write(at(MANUAL), "".join(f"{each}\n" for each in sorted({*manual(), version})))
            say(f"Added kernel '{version}' to manual kernel list. {REFRESH_HINT}")
        case ["remove", version]:
            write(at(MANUAL), "".join(f"{each}\n" for each in manual() if each != version))
            say(f"Removed kernel '{version}' from manual kernel list. {REFRESH_HINT}")
        case ["pin", version, *rest]:
            pin(version, next_boot="--next-boot" in rest)
        case ["unpin", *rest]:
            unpin(next_boot="--next-boot" in rest)
        case _:
            raise FailedError("E: kernel: add, remove, list, pin or unpin\n\n" + USAGE)


def kernel_list() -> None:
    say("Manually selected kernels:\n" + ("\n".join(manual()) or "None."))
    say("\nAutomatically selected kernels:\n" + "\n".join(automatic()))
    if word_of(PIN):
        say(f"\nPinned kernel:\n{word_of(PIN)}")
    if word_of(NEXT_BOOT_PIN):
        say(f"\nKernel pinned on next-boot:\n{word_of(NEXT_BOOT_PIN)}")


def pin(version: str, *, next_boot: bool) -> None:
    if version not in installed():
        there = "\n".join(installed())
        raise FailedError(
            f"E: no kernel image found in /boot for '{version}', not setting default.\n\n"
            f"Possible Proxmox kernel versions are:\n{there}"
        )
    path = NEXT_BOOT_PIN if next_boot else PIN
    write(at(path), f"{version}\n")
    if os.path.exists(at(ESP_LIST)):
        say(f"Set kernel '{version}' in {path}. {REFRESH_HINT}")
    else:
        say(f"Setting '{version}' as grub default entry and running update-grub.")
        set_grub_default()
        run("update-grub")
    if next_boot:
        say("Pinned for next boot only.")


def unpin(*, next_boot: bool) -> None:
    pinned = word_of(NEXT_BOOT_PIN) if next_boot else word_of(PIN)
    for path in (NEXT_BOOT_PIN,) if next_boot else (NEXT_BOOT_PIN, PIN):
        if os.path.exists(at(path)):
            os.unlink(at(path))
        say(f"Removed {path}.")
    if os.path.exists(at(ESP_LIST)):
        say(f"Unpinned kernel '{pinned}'. {REFRESH_HINT}")
    else:
        say("Reset default grub entry and running update-grub.")
        set_grub_default()
        run("update-grub")


def dispatch(argv: list[str]) -> None:
    verbs = {
        "status": status, "refresh": refresh, "init": init, "reinit": reinit, "clean": clean,
        "kernel": kernel,
    }  # fmt: skip
    if not argv:
        say(USAGE)
    elif argv[0] == "--zz":
        zz_hook(argv[1] if len(argv) > 1 else "")
    elif argv[0] in verbs:
        verbs[argv[0]](argv[1:])
    else:
        raise FailedError(f"Invalid/unknown command '{argv[0]}'.\n\n{USAGE}")


def main() -> int:
    try:
        dispatch(sys.argv[1:])
    except FailedError as failure:
        if str(failure):
            warn(str(failure))
        return failure.status
    return 0


if __name__ == "__main__":
    sys.exit(main())
