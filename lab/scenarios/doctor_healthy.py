"""A host on which nothing is wrong: the doctor says so, live and from a capture read elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

from lab import process
from lab.errors import ScenarioFailedError
from lab.guest import Guest
from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = (
    "the doctor finds nothing above info on a healthy host, as it comes and with the card bound"
)
HOSTS = ("guide-debian12", "guide-debian13", "intel-debian12")

_HOSTPCI = str(Path(__file__).parents[2] / "hostpci")
_IN_GUEST = "/run/hostpci-capture"
# What QEMU would write into the journal, and what it has to be called. Not alone: with this sign, a
# card of this generation is under suspicion too.
_PLANTED = "vfio: Unable to power on device, stuck in D3"
_PLANTED_CODE = "power-stuck-d3"


def run(lab: Lab) -> None:
    """Ask a factory host, and one that was claimed, rebooted, proven and reset."""
    host = steps.factory_host(lab)
    _nothing_is_wrong(lab, host, "as it comes")
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    steps.verify_with_reset(lab, host)
    _nothing_is_wrong(lab, host, "with the card bound")
    _a_fault_is_heard(lab, host)
    host.confirm(steps.BOUND)
    host.power_off()


def _nothing_is_wrong(lab: Lab, host: Guest, state: str) -> None:
    for way, severities in _answers(lab, host).items():
        alarms = {code: how for code, how in severities.items() if how != "info"}
        lab.check(
            condition=not alarms,
            text=f"{state}, {way}: nothing above info {sorted(alarms or severities)}",
        )


def _a_fault_is_heard(lab: Lab, host: Guest) -> None:
    """Silence proves something only of a doctor that hears."""
    host.shell(f"echo '{_PLANTED}' | systemd-cat -t QEMU; journalctl --sync")
    for way, severities in _answers(lab, host).items():
        above = [code for code, how in severities.items() if how != "info"]
        lab.check(condition=_PLANTED_CODE in above, text=f"a planted line, {way}: {above}")


def _answers(lab: Lab, host: Guest) -> dict[str, dict[str, str]]:
    """Codes and severities, asked of the host itself and of a capture of it read on this one."""
    live = steps.json_of(host, ["doctor"], expect=(steps.DONE,))
    host.shell(f"rm -f {_IN_GUEST}")
    host.hostpci(["capture", "-o", _IN_GUEST])
    capture = lab.folder("capture") / "host.json.gz"
    capture.write_bytes(host.read_file(_IN_GUEST))
    argv = [_HOSTPCI, "doctor", "--host", str(capture), "--json"]
    read = json.loads(process.run(argv, timeout_s=120).stdout)
    return {"live": _severities(live), "from a capture": _severities(read)}


def _severities(answer: object) -> dict[str, str]:
    if not isinstance(answer, dict) or not isinstance(answer.get("diagnoses"), list):
        raise ScenarioFailedError(f"hostpci doctor --json answers otherwise: {answer}")
    return {each["code"]: each["severity"] for each in answer["diagnoses"]}
