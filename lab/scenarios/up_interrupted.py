"""`up` is killed in every stage, and the power goes once: the same command goes on each time."""

from __future__ import annotations

from lab.errors import ScenarioFailedError
from lab.guest import TOOL, Guest
from lab.scenario import Lab
from lab.scenarios import _up as up

DESCRIPTION = "hostpci up killed in every stage, and once by a power cut: resumed, done, one undo"
HOSTS = ("node-debian12",)

_STAGES = 9
_POWER_CUT_IN = 8


def run(lab: Lab) -> None:
    """Without a reboot of its own, so that the power cut is the only one."""
    host, before = up.node(lab)
    for number in range(1, _STAGES + 1):
        _kill_in(lab, host, number)
        if number == _POWER_CUT_IN:
            host.kill()
            host = lab.boot(durable_disk=True)
            host.push_tool()
    host.hostpci([*up.UP, "--now"], timeout_s=up.LONG_S)
    up.demand_works(lab, host)
    up.undo_all(lab, host, before)


def _kill_in(lab: Lab, host: Guest, number: int) -> None:
    """Start it, and SIGKILL a moment after it has said that the stage begins."""
    delay_s = lab.random.uniform(0.2, 3)
    words = " ".join((*TOOL, *up.UP, "--now"))
    script = (
        f"setsid {words} > /run/up.log 2>&1 < /dev/null & pid=$!;"
        f" until grep -q '^Stage {number} of' /run/up.log; do"
        " kill -0 $pid 2> /dev/null || exit 9; sleep 0.2; done;"
        f" sleep {delay_s:.2f}; kill -KILL $pid 2> /dev/null || true; wait $pid || true"
    )
    with lab.step(f"killed {delay_s:.1f} s into stage {number}"):
        done = host.shell(script, check=False, timeout_s=up.LONG_S)
    if done.rc != 0:
        log = host.read_file("/run/up.log").decode(errors="replace")
        raise ScenarioFailedError(f"it ended before stage {number}:\n{log[-3000:]}")
