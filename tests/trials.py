"""Hosts on which a trial boot can be tried: a whole grub.cfg, systemd, and a clock to turn."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hostpci.cli.context import Context
from hostpci.cli.watch import Senses, Watcher
from hostpci.errors import Exit
from hostpci.executor.apply import Machine
from hostpci.host.files import HostFiles
from hostpci.host.runner import RefusingRunner
from hostpci.i18n import Catalog
from hostpci.model.proof import Proofs
from hostpci.planner.trial import Seen

from .hosts import RecordedHost

RELEASE = "6.1.0-56-amd64"
UUID = "00000000-0000-0000-0000-000000000001"
WORDS = (f"root=UUID={UUID}", "ro", "console=ttyS0", "quiet")
FIRST_BOOT, SECOND_BOOT, THIRD_BOOT, FOURTH_BOOT = ("one", "two", "three", "four")
BOOT_ID = "/proc/sys/kernel/random/boot_id"

# What update-grub of Debian 12 writes, but for parts that have nothing to do with entries
# ruff: noqa: E501
GRUB_CONFIG = f"""\
if [ "${{next_entry}}" ] ; then
   set default="${{next_entry}}"
   set next_entry=
   save_env next_entry
   set boot_once=true
else
   set default="0"
fi
menuentry 'Debian GNU/Linux' --class debian --class gnu-linux $menuentry_id_option 'gnulinux-simple-{UUID}' {{
	load_video
	insmod gzio
	if [ x$grub_platform = xxen ]; then insmod xzio; insmod lzopio; fi
	insmod part_gpt
	insmod ext2
	search --no-floppy --fs-uuid --set=root {UUID}
	echo	'Loading Linux {RELEASE} ...'
	linux	/boot/vmlinuz-{RELEASE} {" ".join(WORDS)}
	echo	'Loading initial ramdisk ...'
	initrd	/boot/initrd.img-{RELEASE}
}}
submenu 'Advanced options for Debian GNU/Linux' $menuentry_id_option 'gnulinux-advanced-{UUID}' {{
	menuentry 'Debian GNU/Linux, with Linux {RELEASE} (recovery mode)' --class debian $menuentry_id_option 'gnulinux-{RELEASE}-recovery-{UUID}' {{
		linux	/boot/vmlinuz-{RELEASE} root=UUID={UUID} ro single console=ttyS0
		initrd	/boot/initrd.img-{RELEASE}
	}}
}}
if [ -f  ${{config_directory}}/custom.cfg ]; then
  source ${{config_directory}}/custom.cfg
elif [ -z "${{config_directory}}" -a -f  $prefix/custom.cfg ]; then
  source $prefix/custom.cfg
fi
"""


def trial_host() -> RecordedHost:
    """The guide's host with what a trial looks at."""
    host = RecordedHost().with_only("0000:01:00")
    host.with_file("/boot/grub/grub.cfg", GRUB_CONFIG)
    host.with_file("/usr/lib/systemd/systemd", "")
    host.with_file("/etc/systemd/system/keep.conf", "").without("/proc/net/tcp")
    return host.with_file(BOOT_ID, f"{FIRST_BOOT}\n")


def boot(tree: Path, boot_id: str) -> None:
    """/run is memory. Replaced, not written into: the file may be shared with other trees."""
    shutil.rmtree(f"{tree}/run", ignore_errors=True)
    path = Path(f"{tree}{BOOT_ID}")
    path.unlink()
    path.write_text(f"{boot_id}\n")


@dataclass
class Words:
    """What argparse would give."""

    root: str
    json: bool = False
    yes: bool = True
    host: str | None = None


@dataclass
class Boot:
    """One boot of a tree, with a clock that the watcher turns by waiting."""

    tree: Path
    boot_id: str
    words: tuple[str, ...] = WORDS
    failing: tuple[str, ...] = ()
    proofs: Proofs | None = None
    at_s: float = 5.0
    until_s: float = 10_000.0
    rebooted: bool = False
    before_wait: Callable[[], object] = lambda: None
    asked: list[Any] = field(default_factory=list)

    def watch(self) -> Exit:
        """Begin this boot, and run its watcher to its end."""
        boot(self.tree, self.boot_id)
        return self.go_on()

    def go_on(self) -> Exit:
        """Run the watcher in a boot that has begun."""
        words: Any = Words(root=str(self.tree))
        context = Context(words, Catalog("en"))
        machine = Machine(
            files=HostFiles(str(self.tree)), runner=RefusingRunner(), is_live=False,
            boot_id=self.boot_id,
        )  # fmt: skip
        senses = Senses(
            seen=lambda: Seen(boot_id=self.boot_id, since_boot_s=self.at_s, words=self.words),
            unhealthy=self._unhealthy,
            prove=lambda: self.proofs,
            find_watchdog=lambda: None,
            wait=self._wait,
            reboot=self._reboot,
        )
        return Watcher(context, machine, senses).run()

    def _unhealthy(self, wanted: Any) -> tuple[str, ...]:
        self.asked.append(wanted)
        return self.failing

    def _wait(self, seconds: float) -> bool:
        self.before_wait()
        self.at_s += seconds
        return self.at_s > self.until_s

    def _reboot(self) -> None:
        self.rebooted = True
