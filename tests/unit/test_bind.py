"""Binding now and taking it back, from every state that a half-done bind can leave.

The real kernel does this in the lab; here a small stand-in for its sysfs rules holds still in
states that last microseconds there.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from hostpci.errors import EnvironmentFault, ToolError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import Journal
from hostpci.executor.undo import Undoer
from hostpci.host.files import HostFiles
from hostpci.host.runner import Completed, Runner
from hostpci.model.journal import RunState
from hostpci.model.pci import Identity
from hostpci.model.plan import BindStep, Plan

ADDRESS = "0000:01:00.1"
HOST_DRIVER = "snd_hda_intel"
IDS = {"vendor": "10de", "device": "22eb", "subsystem_vendor": "10b0", "subsystem_device": "205e"}
STEP = BindStep(code="bind-now", address=ADDRESS, identity=Identity(**IDS), from_driver=HOST_DRIVER)
FACTORY = (HOST_DRIVER, "(null)")


class Modprobe(Runner):
    fails = False

    def run(
        self,
        argv: Sequence[str],
        *,
        timeout_s: float,
        keep: Callable[[Iterable[str]], Iterable[str]] | None = None,
    ) -> Completed:
        if self.fails:
            raise EnvironmentFault("command-failed", command="modprobe", status=1, reason="no")
        return Completed(argv=tuple(argv), code=0, stdout="", stderr="")


class Kernel(HostFiles):
    """driver_override, unbind, bind and drivers_probe as drivers/base and drivers/pci do them."""

    vfio_probes = True
    host_driver_is_there = True
    dies_at = ""

    def write_attribute(self, path: str, value: str) -> None:
        if self.dies_at and self.dies_at in path:
            raise KeyboardInterrupt
        name = path.rpartition("/")[2]
        actions: dict[str, Callable[[], object]] = {
            "driver_override": lambda: self.override.write_text(value.strip() or "(null)"),
            "unbind": self.driver.unlink,
            "bind": lambda: self.attach(path.split("/")[-2]),
            "drivers_probe": self.probe,
        }
        actions[name]()

    @property
    def device(self) -> Path:
        return Path(self.base) / f"sys/bus/pci/devices/{ADDRESS}"

    @property
    def driver(self) -> Path:
        return self.device / "driver"

    @property
    def override(self) -> Path:
        return self.device / "driver_override"

    def probe(self) -> None:
        wanted = self.override.read_text().strip()
        if wanted == "(null)":
            if self.host_driver_is_there:
                self.attach(HOST_DRIVER)
        elif self.vfio_probes:
            self.attach(wanted)

    def attach(self, driver: str) -> None:
        if driver == HOST_DRIVER and not self.host_driver_is_there:
            raise EnvironmentFault("io-error", path=driver, reason="No such device")
        self.driver.symlink_to(f"../../drivers/{driver}")

    def state(self) -> tuple[str | None, str]:
        driver = os.readlink(self.driver).rpartition("/")[2] if self.driver.is_symlink() else None
        return driver, self.override.read_text().strip()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    kernel = Kernel(str(tmp_path))
    kernel.device.mkdir(parents=True)
    (tmp_path / "var/lib").mkdir(parents=True)
    for name, value in IDS.items():
        (kernel.device / name).write_text(f"0x{value}\n")
    kernel.override.write_text("(null)")
    kernel.attach(HOST_DRIVER)
    return kernel


def machine(kernel: Kernel, boot_id: str = "one") -> Machine:
    return Machine(files=kernel, runner=Modprobe(), is_live=True, boot_id=boot_id)


def apply(on: Machine) -> None:
    Executor(on).apply(Plan(steps=(STEP,)), "apply")


def undo(on: Machine) -> tuple[str, ...]:
    (run,) = Undoer(on).undo(Journal(on.files).history())
    assert run.state is RunState.UNDONE
    return run.kept


def test_a_bound_function_goes_back_to_the_driver_it_had(kernel: Kernel) -> None:
    apply(machine(kernel))
    assert kernel.state() == ("vfio-pci", "vfio-pci")
    assert undo(machine(kernel)) == ()
    assert kernel.state() == FACTORY


@pytest.mark.parametrize("moment", ["driver_override", "unbind", "drivers_probe"])
def test_a_bind_that_was_cut_off_anywhere_is_taken_back_whole(kernel: Kernel, moment: str) -> None:
    kernel.dies_at = moment
    with pytest.raises(KeyboardInterrupt):
        apply(machine(kernel))
    kernel.dies_at = ""
    assert undo(machine(kernel)) == ()
    assert kernel.state() == FACTORY


@pytest.mark.parametrize("moment", ["driver_override", "unbind", "drivers_probe"])
def test_a_bind_that_was_cut_off_anywhere_is_finished_by_the_next_apply(
    kernel: Kernel, moment: str
) -> None:
    kernel.dies_at = moment
    with pytest.raises(KeyboardInterrupt):
        apply(machine(kernel))
    kernel.dies_at = ""
    cut = Journal(kernel).interrupted()
    assert cut is not None
    Executor(machine(kernel)).finish(cut)
    assert kernel.state() == ("vfio-pci", "vfio-pci")


def test_a_function_that_vfio_did_not_take_goes_back(kernel: Kernel) -> None:
    kernel.vfio_probes = False
    with pytest.raises(ToolError, match="bind-failed"):
        apply(machine(kernel))
    assert undo(machine(kernel)) == ()
    assert kernel.state() == FACTORY


@pytest.mark.parametrize("moment", ["driver_override", "unbind", f"{HOST_DRIVER}/bind"])
def test_an_undo_that_was_cut_off_anywhere_is_finished_by_the_next(
    kernel: Kernel, moment: str
) -> None:
    apply(machine(kernel))
    kernel.dies_at = moment
    with pytest.raises(KeyboardInterrupt):
        undo(machine(kernel))
    kernel.dies_at = ""
    assert undo(machine(kernel)) == ()
    assert kernel.state() == FACTORY


def test_a_function_that_no_driver_takes_back_is_named(kernel: Kernel) -> None:
    apply(machine(kernel))
    kernel.host_driver_is_there = False
    assert undo(machine(kernel)) == (ADDRESS,)
    assert kernel.state() == (None, "(null)")


def test_what_another_boot_did_is_not_touched(kernel: Kernel) -> None:
    apply(machine(kernel))
    assert undo(machine(kernel, boot_id="two")) == ()
    assert kernel.state() == ("vfio-pci", "vfio-pci")


def test_a_bind_is_not_made_up_for_in_another_boot(kernel: Kernel) -> None:
    on = machine(kernel)
    assert isinstance(on.runner, Modprobe)
    on.runner.fails = True
    with pytest.raises(EnvironmentFault):
        apply(on)
    on.runner.fails = False
    cut = Journal(kernel).interrupted()
    assert cut is not None
    Executor(dataclasses.replace(on, boot_id="two")).finish(cut)
    assert kernel.state() == FACTORY
