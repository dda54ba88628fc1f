"""The doctor says of a capture, which is redacted, what it says of the host it was made on."""

from __future__ import annotations

import json
import re

import pytest

from hostpci.diagnose.engine import judge
from hostpci.diagnose.knowledge import Sign, load
from hostpci.diagnose.lines import messages
from hostpci.diagnose.scan import Scan
from hostpci.facts.capture import Maker, dump_capture
from hostpci.facts.collect import collect
from hostpci.facts.logs import journal_command, read_logs
from hostpci.facts.look import Look
from hostpci.facts.redact import Redactor
from hostpci.host.capture import CaptureRoot
from hostpci.host.root import Root
from hostpci.host.runner import ReplayRunner, Runner
from hostpci.model.journal import History

from .. import recorded_hosts
from ..recorded_hosts import BuiltHost

SIGNS = tuple({sign.pattern: sign for sign in load().signs()}.values())
# In the words of kernels, QEMU and drivers, beside the names and numbers of a host
JOURNAL = (
    (
        "kernel: DMAR: [DMA Read NO_PASID] Request device [01:00.0] fault addr 0x7f12345000 "
        "[fault reason 0x06] PTE Read access is not set"
    ),
    "kernel: vfio-pci 0000:01:00.0: not ready 65535ms after FLR; giving up",
    "kernel: vfio-pci 0000:01:00.0: BAR 1: can't reserve [mem 0x90000000-0x9fffffff 64bit pref]",
    (
        "kernel: vfio-pci 0000:01:00.0: Unable to change power state from D3cold to D0, device "
        "inaccessible"
    ),
    (
        "kernel: pcieport 0000:00:1c.0: AER: Uncorrectable (Fatal) error message received from "
        "0000:01:00.0"
    ),
    "kernel: vfio-pci 0000:01:00.0: vfio_ecap_init: hiding ecap 0x1e@0x258",
    "kernel: vfio_iommu_type1_attach_group: No interrupt remapping for device 0000:01:00.0",
    "kernel: NVRM: Xid (PCI:0000:01:00): 79, pid=1234, name=alice, GPU has fallen off the bus.",
    "kernel: NVRM: GPU 0000:01:00.0: RmInitAdapter failed! (0x62:0x65:2028)",
    "kernel: watchdog: BUG: soft lockup - CPU#3 stuck for 26s! [CPU 1/KVM:4242]",
    (
        "QEMU[77]: kvm: -device vfio-pci,host=0000:01:00.0: vfio 0000:01:00.0: failed to setup "
        "container for group 16: Failed to set group container: Operation not permitted"
    ),
    "pvedaemon[9]: start failed: no PCI device found for '0000:09:00.0'",
)


def _words(pattern: str) -> list[str]:
    """The whole words that a line must or may have, ``[Ff]ailed`` being one of them."""
    plain = re.sub(r"\[(.)(.)\](?=[a-z])", lambda found: found[2], pattern)
    plain = re.sub(r"\\x0a|\\[sd]|\[[^]]*\]", "0", plain)
    # next to anything but plain text it may be a part of a word only
    return re.findall(r"(?<![\w*+?})])[^\W\d_]{3,}(?![\w*+?{(])", plain)


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: f"{sign.code}: {sign.pattern[:40]}")
def test_redaction_knows_every_word_of_a_pattern(sign: Sign) -> None:
    """One that it does not would be replaced in a capture: add it to data/vocabulary.txt."""
    redactor, words = Redactor(), _words(sign.pattern)
    assert [redactor.text(word) for word in words] == words


def test_the_words_of_a_pattern_are_found() -> None:
    assert _words("[Ff]ailed to set (up )?iommu[0-9a-f]+ x+ zzyzx") == [
        "failed", "set", "zzyzx",
    ]  # fmt: skip
    assert Redactor().text("zzyzx") != "zzyzx"


def _codes(root: Root, runner: Runner) -> list[tuple[str, str, int]]:
    facts = collect(root, runner)
    scan = Scan(load(), is_part=True)
    for log in read_logs(Look(root), runner):
        scan.feed(messages(log.lines, source=log.source))
    return [(each.code, each.severity, each.score) for each in judge(scan, facts)]


@pytest.mark.parametrize("name", recorded_hosts.names())
def test_a_capture_has_the_diagnoses_of_its_host(name: str) -> None:
    host = BuiltHost(recorded_hosts.describe(name))
    lines = [f"[{number:5}.000000] {line}\n" for number, line in enumerate(JOURNAL, 100)]
    for boot in range(2):
        host.answer(list(journal_command(-boot)), "".join(lines))
    runner = ReplayRunner(host.commands)
    capture = json.loads(dump_capture(Maker(host.root, runner, History(runs=())).capture))
    before = _codes(host.root, runner)
    assert len(before) > 5
    assert _codes(CaptureRoot(capture), ReplayRunner(capture["commands"])) == before
    assert "alice" not in json.dumps(capture)
