"""What runs in a guest runs here: the real scripts in a real /bin/sh, on a scratch root directory,
with stubs in the place of the programs that would change a machine."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest

from hostpci.guest.course import Course
from hostpci.guest.facts import parse_facts
from hostpci.guest.longrun import LongRun
from hostpci.guest.power import Power
from hostpci.guest.shell import GuestError
from hostpci.guest.steps import script_of
from hostpci.guest.tables import load_tables, probe_script
from hostpci.model.guest import Do, GuestFacts, GuestStep, Verdict

from ..pve_stub import Clock
from ..scratch_guest import ScratchGuest

pytestmark = pytest.mark.processes


@pytest.fixture
def guest(tmp_path: Path) -> ScratchGuest:
    return ScratchGuest(tmp_path)


class Booting(Power):
    """Restarts a scratch guest: nouveau is gone if it is kept away, and nvidia loads if it can."""

    def __init__(self, guest: ScratchGuest) -> None:
        self._guest = guest
        self.orders: list[str] = []

    def restart(self) -> None:
        self.orders.append("restart")
        self._guest.put("proc/sys/kernel/random/boot_id", f"boot-{len(self.orders) + 1}\n")
        nouveau = self._guest.tree / "sys/module/nouveau"
        if nouveau.exists() and (self._guest.tree / "etc/modprobe.d/hostpci-nouveau.conf").exists():
            nouveau.rmdir()
            (self._guest.tree / "sys/bus/pci/devices/0000:01:00.0/driver").unlink()
        if (self._guest.state / "has-module").exists():
            self._guest.run("modprobe nvidia", timeout_s=10)

    def stop_and_start(self) -> None:
        self.restart()


def soon(_seconds: float) -> None:
    """A scratch guest is fast; it is only given time to start a program."""
    time.sleep(0.05)


def course(guest: ScratchGuest, power: Power | None = None) -> Course:
    return Course(guest, load_tables(), power=power, root=str(guest.tree), sleep=soon)


def look(guest: ScratchGuest) -> GuestFacts:
    return parse_facts(guest.run(probe_script(), timeout_s=60).out)


def nouveau_has_the_card(guest: ScratchGuest) -> None:
    (guest.tree / "sys/module/nouveau").mkdir(parents=True)
    (guest.tree / "sys/bus/pci/drivers/nouveau").mkdir(parents=True)
    driver = guest.tree / "sys/bus/pci/devices/0000:01:00.0/driver"
    driver.symlink_to("../../drivers/nouveau")


# the probe


def test_the_probe_says_what_the_guest_is(guest: ScratchGuest) -> None:
    nouveau_has_the_card(guest)
    guest.say("fetched", "")
    found = look(guest)
    assert (found.distribution, found.version) == ("ubuntu", "24.04")
    assert found.kernel == "6.8.0-146-generic"
    assert found.user == 0
    assert [(each.identity, each.driver) for each in found.cards] == [("10de:2d04", "nouveau")]
    assert "nouveau" in found.loaded
    assert found.has_route is True
    assert found.has_names is True
    assert found.trust.enforced is False
    assert found.cloud_init == "done"
    assert found.is_installed("linux-image-virtual")
    assert {each.name for each in found.offers} >= {"nvidia-driver-580-open"}
    assert found.sources[0].is_fetched


def test_the_probe_reads_secure_boot_from_the_firmware(guest: ScratchGuest) -> None:
    vars_ = "sys/firmware/efi/efivars"
    (guest.tree / vars_).mkdir(parents=True)
    assert look(guest).trust.enforced is None
    variable = guest.tree / f"{vars_}/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    variable.write_bytes(b"\x06\x00\x00\x00\x01")
    assert look(guest).trust.enforced is True
    mok = guest.tree / f"{vars_}/MokSBStateRT-605dab50-e046-4300-abb6-3dd810dd8b23"
    mok.write_bytes(b"\x06\x00\x00\x00\x01")  # shim checks nothing
    assert look(guest).trust.enforced is False


def test_the_probe_names_who_holds_the_lock_of_apt(guest: ScratchGuest) -> None:
    guest.put("var/lib/dpkg/lock-frontend", "")
    inode = (guest.tree / "var/lib/dpkg/lock-frontend").stat().st_ino
    guest.put("proc/locks", f"1: POSIX  ADVISORY  WRITE 4711 fe:01:{inode} 0 EOF\n")
    guest.put("proc/4711/comm", "unattended-upgr\n")
    assert look(guest).locks == ("/var/lib/dpkg/lock-frontend (unattended-upgr[4711])",)


def test_a_fact_cannot_be_forged_by_a_name_with_a_line_end(guest: ScratchGuest) -> None:
    guest.put("etc/os-release", 'ID=ubuntu\nPRETTY_NAME="x\ty"\n')
    guest.put("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\nend\nuser\t1\n")
    found = look(guest)
    assert found.user == 0
    assert found.name == "x y"


def test_the_probe_runs_on_this_very_machine_and_changes_nothing(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    script = f"R='{tmp_path}'\n{probe_script()}"
    done = subprocess.run(
        ["/bin/sh"], input=script, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0
    assert parse_facts(done.stdout).cards == ()
    assert sorted(tmp_path.rglob("*")) == before


# the whole way


def test_from_nothing_to_a_card_that_works_without_a_restart(guest: ScratchGuest) -> None:
    result = course(guest).run()
    assert result.decision.verdict is Verdict.WORKING
    assert [each.do for each in result.done] == [Do.APT_UPDATE, Do.DRIVER, Do.MODULE_LOAD]
    assert any("install nvidia-driver-580-open linux-modules" in each for each in guest.calls)
    assert guest.calls[-2:] == ["modprobe nvidia", "modprobe nvidia-uvm"]


def test_the_second_run_does_nothing(guest: ScratchGuest) -> None:
    course(guest).run()
    before = guest.calls
    result = course(guest).run()
    assert result.decision.verdict is Verdict.WORKING
    assert result.done == ()
    assert guest.calls == before


def test_with_nouveau_there_is_one_restart(guest: ScratchGuest) -> None:
    nouveau_has_the_card(guest)
    power = Booting(guest)
    result = course(guest, power).run()
    assert result.decision.verdict is Verdict.WORKING
    assert power.orders == ["restart"]
    text = (guest.tree / "etc/modprobe.d/hostpci-nouveau.conf").read_text()
    assert "blacklist nouveau\noptions nouveau modeset=0\n" in text
    assert "update-initramfs -u" in guest.calls


def test_proven_twice_means_a_stop_and_a_start_in_between(guest: ScratchGuest) -> None:
    power = Booting(guest)
    course(guest, power).run()
    first, second = course(guest, power).prove_twice()
    assert first.proven
    assert second.proven
    assert power.orders == ["restart"]
    assert second.versions["card 0000:01:00.0"] == "NVIDIA GeForce RTX 5060 Ti, driver 580.1"


def test_a_card_that_does_not_come_back_fails_the_second_proof(guest: ScratchGuest) -> None:
    course(guest).run()

    class Dead(Booting):
        def restart(self) -> None:
            (guest.tree / "dev/nvidiactl").unlink()
            (guest.state / "has-module").unlink()
            super().restart()

    first, second = course(guest, Dead(guest)).prove_twice()
    assert first.proven
    assert not second.proven


def test_a_failed_step_says_what_the_guest_said(guest: ScratchGuest) -> None:
    guest.say("broken", "E: Unable to correct problems, you have held broken packages.")
    with pytest.raises(GuestError) as caught:
        course(guest).run()
    assert caught.value.code == "guest-step-failed"
    assert caught.value.params["step"] == "driver"
    assert "held broken packages" in str(caught.value.params["said"])


def test_a_run_that_failed_goes_on_where_it_stopped(guest: ScratchGuest) -> None:
    guest.say("broken", "E: no space left")
    with pytest.raises(GuestError):
        course(guest).run()
    (guest.state / "broken").unlink()
    result = course(guest).run()
    assert result.decision.verdict is Verdict.WORKING
    assert [each.do for each in result.done] == [Do.DRIVER, Do.MODULE_LOAD]


def test_a_module_that_is_refused_is_a_question_for_a_person(guest: ScratchGuest) -> None:
    guest.say("refuses-module", "")
    guest.say("dmesg", "Loading of module with unavailable key is rejected\n")
    (guest.stubs / "modinfo").write_text("#!/bin/sh\necho 'DKMS module signing key GPL'\n")
    vars_ = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
    guest.put(vars_, "")
    (guest.tree / vars_).write_bytes(b"\x06\x00\x00\x00\x01")
    result = course(guest, Booting(guest)).run()
    assert result.decision.verdict is Verdict.PERSON
    assert [each.code for each in result.decision.findings][-1] == "guest-mok"


# single steps


def test_sources_are_added_in_a_file_of_their_own(guest: ScratchGuest) -> None:
    stanza = "Types: deb\nURIs: http://a.example/debian\nSuites: trixie\nComponents: non-free"
    (guest.tree / "etc/apt/sources.list.d").mkdir(parents=True)
    step = GuestStep(do=Do.SOURCES_ADD, words=(stanza, stanza.replace("trixie", "trixie-updates")))
    run = LongRun(guest, root=str(guest.tree), sleep=soon)
    assert run.run(script_of(step), timeout_s=30).code == 0
    text = (guest.tree / "etc/apt/sources.list.d/hostpci-trixie.sources").read_text()
    assert text.count("Types: deb") == 2
    assert "\n\nTypes: deb" in text


def test_the_last_kernel_is_not_removed(guest: ScratchGuest) -> None:
    step = GuestStep(do=Do.KERNEL_CLOUD_OFF, words=("linux-image-cloud-amd64",))
    ended = LongRun(guest, root=str(guest.tree), sleep=soon).run(script_of(step), timeout_s=30)
    assert ended.code != 0
    assert "no other kernel" in ended.tail
    assert guest.calls == []


def test_what_a_long_step_says_arrives_whole(guest: ScratchGuest) -> None:
    heard: list[str] = []
    run = LongRun(
        guest, root=str(guest.tree), sleep=soon, progress=lambda line, _: heard.append(line)
    )
    script = (
        'i=0; while [ $i -lt 3000 ]; do echo "line $i of a long step"; i=$((i + 1)); done; exit 7'
    )
    ended = run.run(script, timeout_s=60)
    assert ended.code == 7
    assert ended.tail.rstrip().endswith("line 2999 of a long step")
    assert heard


def test_a_step_that_vanishes_is_no_success(guest: ScratchGuest) -> None:
    clock = Clock()
    run = LongRun(guest, root=str(guest.tree), now=clock.now, sleep=clock.sleep)
    with pytest.raises(GuestError) as caught:
        run.run('rm -r "$R/run/hostpci"', timeout_s=300)
    assert caught.value.code == "guest-step-lost"


@pytest.mark.parametrize("word", ["x; reboot", "$(reboot)", "a'b", "-o=x", "a b", "", "x\ny"])
@pytest.mark.parametrize("do", [Do.DRIVER, Do.REMOVE, Do.MODULE_LOAD, Do.KERNEL_CLOUD_OFF])
def test_a_name_that_is_none_never_becomes_a_script(do: Do, word: str) -> None:
    with pytest.raises(GuestError):
        script_of(GuestStep(do=do, words=(word,)))


def test_a_source_that_is_none_never_becomes_a_script() -> None:
    with pytest.raises(GuestError):
        script_of(GuestStep(do=Do.SOURCES_ADD, words=("Types: deb\nHOSTPCI\nreboot\n",)))
    with pytest.raises(GuestError):
        script_of(GuestStep(do=Do.DRIVER, words=("x",), suite="x'; reboot; '"))
