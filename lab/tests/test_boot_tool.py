"""The stand-in for proxmox-boot-tool does and says, step for step, what was recorded of the real.

Each section of a transcript is replayed in a world prepared as its title says; every command's
output and status, and every file content that the transcript shows, must be the recorded one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from lab.tests.boot_tool_world import CMDLINE, KERNELS, World

_REPOSITORY = Path(__file__).resolve().parents[2]
RECORDINGS = Path(os.environ.get("HOSTPCI_SHARED", _REPOSITORY.parent / "shared")) / "data"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason=f"the recordings are not in {RECORDINGS}"
)

Prepare = Callable[[World], object]


@dataclass(kw_only=True)
class Step:
    """One recorded command, and what the transcript shows after it."""

    command: str
    output: list[str] = field(default_factory=list)
    status: int = -1
    after: list[str] = field(default_factory=list)


def sections(path: Path) -> Iterator[tuple[str, list[Step]]]:
    text = path.read_text(encoding="utf-8", errors="replace")
    for section in text.split("##### ")[1:]:
        title, *lines = section.splitlines()
        steps: list[Step] = []
        for line in lines:
            status = re.fullmatch(r"\[rc=(\d+)\]", line)
            if line.startswith("$ "):
                steps.append(Step(command=line[2:]))
            elif not steps:
                continue
            elif status:
                steps[-1].status = int(status[1])
            elif steps[-1].status < 0:
                steps[-1].output.append(line)
            else:
                steps[-1].after.append(line)
        yield title[0], steps


def cmdline(text: str) -> Prepare:
    return lambda world: world.write("etc/kernel/cmdline", text)


def _nothing(_world: World) -> None:
    pass


def _third_and_bad_esp(world: World) -> None:
    world.write("etc/kernel/proxmox-boot-uuids", "AAAA-1111\nBBBB-2222\nCCCC-3333\ngarbage\n")


def _fresh_grub(world: World) -> None:
    world.remove("etc/kernel/cmdline")
    world.write("grub-uuid", "1234\n")
    world.write(
        "etc/default/grub",
        'GRUB_DEFAULT=0\nGRUB_CMDLINE_LINUX_DEFAULT="quiet intel_iommu=on"\n'
        'GRUB_CMDLINE_LINUX=""\n',
    )


def _amd(world: World) -> None:
    text = world.read("etc/default/grub")
    world.write("etc/default/grub", text.replace("intel_iommu", "amd_iommu"))


def _grub_esp(world: World) -> None:
    cmdline(f"{CMDLINE}\n")(world)
    world.write("grub-uuid", "")


def _bios(world: World) -> None:
    world.uefi(there=False)
    world.empty_esp("loop1")
    for path in ("proxmox-boot-uuids", "proxmox-boot-pin"):
        world.remove(f"etc/kernel/{path}")


def _mixed(world: World) -> None:
    cmdline(f"{CMDLINE}\n")(world)
    world.write("esp/loop1/EFI/proxmox/grubx64.efi", "x\n")
    world.write("esp/loop2/loader/loader.conf", "timeout 3\ndefault proxmox-*\n")
    (world.folder / "esp/loop2/EFI/proxmox").mkdir(parents=True)
    world.write("etc/kernel/proxmox-boot-uuids", "AAAA-1111\nBBBB-2222\n")


def _no_container_no_initrd(world: World) -> None:
    world.remove("container")
    world.remove("boot/initrd.img-6.14.11-1-pve")


def _small(world: World) -> None:
    world.describe("loop2", size=1000, kind="vfat")


def _no_cmdline(world: World) -> None:
    world.remove("etc/kernel/cmdline")


# What was done to the recorded host before each command of a section; nothing where not named.
PREPARE: dict[tuple[str, int], Prepare] = {
    ("B", 0): cmdline(f"{CMDLINE}\n"),
    ("C", 0): cmdline(f"{CMDLINE} intel_iommu=on iommu=pt\n"),
    ("D", 0): cmdline(f"{CMDLINE}\nintel_iommu=on\n"),
    ("E", 0): cmdline(f"\n{CMDLINE}\n"),
    ("F", 0): cmdline("boot=zfs quiet\n"),
    ("G", 0): cmdline(f"# my cmdline root=fake\n{CMDLINE}\n"),
    ("H", 0): _no_cmdline,
    ("I", 0): cmdline(
        'root=ZFS=rpool/ROOT/pve-1   boot=zfs  vfio-pci.ids=10de:1f08,10de:10f9 "a b" * $HOME'
    ),
    ("I", 1): cmdline(f"{CMDLINE}\r\n"),
    ("I", 2): cmdline(f"{CMDLINE} \\\nintel_iommu=on\n"),
    ("J", 0): cmdline(f"{CMDLINE}\n"),
    ("K", 0): lambda world: world.add_kernel("6.5.13-6-pve"),
    ("L", 1): _third_and_bad_esp,
    ("M", 0): lambda world: world.write("container", ""),
    ("N", 0): _no_container_no_initrd,
    ("O", 1): lambda world: world.write("etc/passwd", ""),
    ("O", 2): lambda world: world.describe("loop2", size=1073741824, kind="ext4"),
    ("O", 3): _small,
    ("P", 0): _fresh_grub,
    ("Q", 0): _grub_esp,
    ("Q", 2): _amd,
    ("S", 0): _bios,
    ("S", 2): _no_cmdline,
    ("T", 0): lambda world: world.uefi(there=True),
    ("V", 0): _mixed,
}


def shown_differently(line: str) -> str:
    """An entry's options as the transcript shows them: some through `cat -A`."""
    return line.replace("\r", "^M")


def entries(world: World, esp: str) -> list[str]:
    return [world.read(f"esp/{esp}/loader/entries/proxmox-{kernel}.conf") for kernel in KERNELS]


def demand_shown_files(world: World, step: Step) -> None:
    """What the transcript prints after a command: files, entries, loader.conf or the list."""
    contents: list[str] = []
    if (world.folder / "esp/loop1/loader/entries").is_dir():
        contents = "".join(entries(world, "loop1")).split("\n")
    shown = [shown_differently(each) for each in contents]
    for line in step.after:
        file = re.fullmatch(r"   (/\S+): (.*)", line)
        if file:
            text = world.read(file[1].replace("/./", "/").lstrip("/"))
            assert text.replace("\n", "|") == file[2], file[1]
        elif line.startswith(("title ", "version ", "options ", "linux ", "initrd ")):
            assert line.removesuffix("$") in shown
        elif line.startswith(("timeout ", "default ")):
            assert line in world.read("esp/loop1/loader/loader.conf").splitlines()
        elif re.fullmatch(r"[A-F]{4}-\d{4}", line) and step.command.endswith("clean"):
            assert line in world.read("etc/kernel/proxmox-boot-uuids").splitlines()


@pytest.mark.parametrize("version", ["8.1.0", "9.2.0"])
@pytest.mark.parametrize("part", ["main", "grub"])
def test_every_recorded_step_is_repeated(version: str, part: str, tmp_path: Path) -> None:
    world = World(tmp_path / "world", version)
    if part == "grub":
        cmdline("")(world)
    recording = RECORDINGS / f"proxmox-boot-tool-{version}-{part}.log"
    replayed = 0
    for section, steps in sections(recording):
        for number, step in enumerate(steps):
            PREPARE.get((section, number), _nothing)(world)
            output, status = world.run(step.command)
            assert (output.splitlines(), status) == (step.output, step.status), (section, number)
            demand_shown_files(world, step)
            replayed += 1
    assert replayed == recording.read_text(errors="replace").count("\n$ ") > 10


def test_an_interrupted_copy_is_made_again(tmp_path: Path) -> None:
    world = World(tmp_path / "world", "9.2.0")
    cmdline(f"{CMDLINE}\n")(world)
    world.run("proxmox-boot-tool init /dev/loop1")
    copy = f"esp/loop1/EFI/proxmox/{KERNELS[0]}/initrd.img-{KERNELS[0]}"
    (world.folder / copy).unlink()
    world.run("proxmox-boot-tool refresh")
    assert world.read(copy) == world.read(f"boot/initrd.img-{KERNELS[0]}")


def test_nothing_is_left_mounted(tmp_path: Path) -> None:
    world = World(tmp_path / "world", "9.2.0")
    cmdline(f"{CMDLINE}\n")(world)
    world.run("proxmox-boot-tool init /dev/loop1")
    assert not list((world.folder / "var/tmp/espmounts").iterdir())
