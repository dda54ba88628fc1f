#!/usr/bin/env python3
"""The doctor over a journal export of 200 MB, against ``grep -cE`` with the same patterns.

Wall seconds of whole processes, in turn, the median of each. Exit code 1 if the doctor takes more
than 3 times what grep takes, more than 150 MB, or says nothing of its progress. The journal is
generated: what services of a PVE host write all day, many boots of its kernel, a few faults.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence

HERE = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
HOSTPCI = os.path.join(HERE, "hostpci")
TIMES_GREP = 3.0
TELLS_AFTER_S = 3
MEMORY_BUDGET_KIB = 150 * 1000 * 1000 // 1024
# {n}: any number, {h}: any eight hexadecimal digits
ORDINARY = (
    "pvestatd[{n}]: status update time ({n}.{n} seconds)",
    "pveproxy[{n}]: worker {n} started",
    "pveproxy[{n}]: worker {n} finished",
    "pvedaemon[{n}]: <root@pam> successful auth for user 'root@pam'",
    "pvedaemon[{n}]: <root@pam> starting task UPID:pve1:{h}:{h}:{h}:vncproxy:100:root@pam:",
    "pvescheduler[{n}]: INFO: Finished Backup of VM {n} (00:01:{n})",
    "pmxcfs[{n}]: [status] notice: received log",
    "pmxcfs[{n}]: [dcdb] notice: data verification successful",
    "corosync[{n}]:   [KNET  ] link: host: 2 link: 0 is down",
    "corosync[{n}]:   [TOTEM ] Retransmit List: {h}",
    "systemd[1]: Started user@0.service - User Manager for UID 0.",
    "systemd[1]: session-{n}.scope: Deactivated successfully.",
    "systemd[1]: Failed to start apt-daily.service - Daily apt download activities.",
    "systemd[1]: pve-daily-update.service: Main process exited, code=exited, status={n}/n/a",
    "sshd[{n}]: Failed password for invalid user admin from 192.0.2.7 port {n} ssh2",
    "sshd[{n}]: Connection closed by 192.0.2.9 port {n} [preauth]",
    "sshd[{n}]: pam_unix(sshd:session): session opened for user root(uid=0) by (uid=0)",
    "CRON[{n}]: (root) CMD (command -v debian-sa1 > /dev/null && debian-sa1 1 1)",
    "CRON[{n}]: pam_unix(cron:session): session closed for user root",
    "smartd[{n}]: Device: /dev/sda [SAT], SMART Usage Attribute: 194 Temperature_Celsius {n}",
    "postfix/qmgr[{n}]: {h}: from=<root@pve1.example>, size={n}, nrcpt=1 (queue active)",
    "postfix/smtp[{n}]: connect to mx.example[192.0.2.25]:25: Connection timed out",
    "chronyd[{n}]: Selected source 192.0.2.123 (2.debian.pool.ntp.org)",
    "kernel: vmbr0: port 2(tap100i0) entered blocking state",
    "kernel: tap100i0: entered promiscuous mode",
    "kernel: fwbr100i0: port 1(fwln100i0) entered disabled state",
    'kernel: audit: type=1400 audit({n}.{n}:{n}): apparmor="DENIED" operation="mount" pid={n}',
    "kernel: EXT4-fs (dm-{n}): mounted filesystem {h} r/w with ordered data mode.",
    "kernel: perf: interrupt took too long ({n} > {n}), lowering max_sample_rate to {n}",
    "nvidia-persistenced[{n}]: Started ({n})",
    'dockerd[{n}]: time="{n}" level=error msg="Handler for GET /v1 returned error: not found"',
    'kubelet[{n}]: E{n} pod_workers.go:{n}] "Error syncing pod, skipping" err="failed to start"',
)
BOOT = (
    "kernel: Linux version 6.8.12-{n}-pve (build@proxmox) #1 SMP PREEMPT_DYNAMIC PMX",
    "kernel: Command line: BOOT_IMAGE=/boot/vmlinuz-6.8.12-{n}-pve root=/dev/mapper/pve-root ro",
    "kernel: BIOS-e820: [mem 0x00000000{h}-0x00000000{h}] usable",
    "kernel: ACPI: DMAR 0x00000000{h} 000088 (v02 INTEL  EDK2     00000002      01000013)",
    "kernel: pci 0000:00:1f.0: [8086:7a04] type 00 class 0x060100 conventional PCI endpoint",
    "kernel: pci 0000:01:00.0: [10de:2204] type 00 class 0x030000 PCIe Legacy Endpoint",
    "kernel: pci 0000:01:00.0: BAR 1 [mem 0x{h}-0x{h} 64bit pref]",
    "kernel: pci 0000:01:00.0: Adding to iommu group {n}",
    "kernel: DMAR: Host address width 39",
    "kernel: DMAR-IR: Enabled IRQ remapping in x2apic mode",
    "kernel: pcieport 0000:00:1c.0: AER: enabled with IRQ {n}",
    "kernel: nvme nvme0: {n}/0/0 default/read/poll queues",
    "kernel: usb 1-{n}: New USB device found, idVendor=046d, idProduct=c52b, bcdDevice=12.11",
)
FAULTY = (
    "kernel: pcieport 0000:00:1c.0: AER: Corrected error message received from 0000:01:00.0",
    "kernel: pcieport 0000:00:1c.0:    [ 0] RxErr                  (First)",
    "kernel: vfio-pci 0000:01:00.0: vfio_ecap_init: hiding ecap 0x1e@0x258",
    "kernel: vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up",
)


def journal(size: int, dice: random.Random) -> Iterator[bytes]:
    """Blocks of lines until there are ``size`` bytes: what repeats is never quite the same."""
    written, second = 0, 0
    while written < size:
        day, second = 1 + second // 86_400 % 28, second + 600
        at = f"Nov {day:2d} {second // 3600 % 24:02d}:{second // 60 % 60:02d}"
        texts = [dice.choice(ORDINARY) for _ in range(5000)]
        texts[2000:2000] = (dice.choice(BOOT) for _ in range(150))
        texts[4000:4000] = (dice.choice(FAULTY) for _ in range(2))
        rows = (
            f"{at}:{number % 60:02d} pve1 {_filled(text, dice)}"
            for number, text in enumerate(texts)
        )
        block = ("\n".join(rows) + "\n").encode()
        written += len(block)
        yield block


def _filled(text: str, dice: random.Random) -> str:
    number = dice.randrange(100_000)
    return text.replace("{n}", str(number)).replace("{h}", f"{number * 40_503:08x}")


def write_journal(path: str, size: int) -> None:
    with open(path, "wb") as stream:
        stream.writelines(journal(size, random.Random(7)))  # noqa: S311  (no secret)


def patterns() -> str:
    """The alternation of all patterns that the doctor knows."""
    sys.path.insert(0, os.path.join(HERE, "src"))
    from hostpci.diagnose.knowledge import load

    return "|".join(dict.fromkeys(sign.pattern for sign in load().signs()))


def measure(argv: Sequence[str], stdin: str | None = None) -> tuple[float, int, str]:
    """Run once; return (wall seconds, peak resident KiB with children, standard error)."""
    # not to /dev/null: GNU grep would stop at the first match, and measure nothing
    with (
        tempfile.TemporaryFile() as told,
        tempfile.TemporaryFile() as said,
        open(stdin or os.devnull, "rb") as given,
    ):
        started = time.monotonic()
        process = subprocess.Popen(
            argv, stdin=given, stdout=said, stderr=told,
            env={**os.environ, "LC_ALL": "C.UTF-8"},
        )  # fmt: skip
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        told.seek(0)
        return wall_s, usage.ru_maxrss, told.read().decode("utf-8", "replace")


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=200)
    args = parser.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="hostpci-bench-") as folder:
        log, pattern_file = os.path.join(folder, "journal"), os.path.join(folder, "patterns")
        write_journal(log, args.megabytes * 1_000_000)
        with open(pattern_file, "w", encoding="utf-8") as stream:
            stream.write(patterns() + "\n")
        # In the C locale, where grep is by far the fastest
        grep = ("/usr/bin/env", "LC_ALL=C", "grep", "-cE", "-f", pattern_file, log)
        doctor = (HOSTPCI, "doctor", "--log")
        return report(
            args.rounds,
            {
                "grep -cE": lambda: measure(grep),
                "doctor --log FILE": lambda: measure((*doctor, log)),
                "doctor --log -": lambda: measure((*doctor, "-"), stdin=log),
            },
        )


def report(rounds: int, cases: dict[str, Callable[[], tuple[float, int, str]]]) -> int:
    """Print one row a command; return 1 if a budget is broken."""
    measured: dict[str, list[tuple[float, int, str]]] = {name: [] for name in cases}
    for _ in range(rounds):
        for name, run in cases.items():
            measured[name].append(run())
    base_s = statistics.median(each[0] for each in measured["grep -cE"])
    broken = 0
    print(f"{'command':<18} {'median wall s':>13} {'ratio':>6} {'budget':>6} {'RSS MB':>7}")
    for name, runs in measured.items():
        wall_s, peak_kib = statistics.median(each[0] for each in runs), max(e[1] for e in runs)
        is_ours = name.startswith("doctor")
        is_quiet = is_ours and wall_s > TELLS_AFTER_S and not all(each[2] for each in runs)
        is_over = is_ours and (wall_s > TIMES_GREP * base_s or peak_kib > MEMORY_BUDGET_KIB)
        budget = f"{TIMES_GREP:.1f}" if is_ours else ""
        verdict = "  no progress shown" * is_quiet + "  OVER BUDGET" * is_over
        row = f"{name:<18} {wall_s:>13.2f} {wall_s / base_s:>6.2f} {budget:>6}"
        print(f"{row} {peak_kib * 1024 / 1e6:>7.0f}{verdict}")
        broken |= is_over or is_quiet
    return int(broken)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
