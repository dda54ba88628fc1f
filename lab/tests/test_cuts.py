from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

from lab import nightly, tables
from lab.cuts import Cut, Reservoir
from lab.machine import Boot, Machine
from lab.scenario import scenarios


def test_a_reservoir_keeps_as_many_as_wanted_and_not_only_the_first(tmp_path: Path) -> None:
    kept = Reservoir(wanted=5, random=random.Random(1))  # noqa: S311
    for number in range(200):
        place = kept.place()
        if place is not None:
            folder = tmp_path / "cuts" / str(number)
            folder.mkdir(parents=True)
            (folder / "disk").touch()
            kept.put(place, Cut(operation="x", disk=folder / "disk", at_s=float(number)))
    moments = [cut.at_s for cut in kept.cuts]
    assert len(moments) == 5
    assert moments == sorted(moments)
    assert max(moments) > 20
    assert {cut.disk.parent for cut in kept.cuts} == set((tmp_path / "cuts").iterdir())


def test_the_nightly_set_has_every_scenario_that_demands_something() -> None:
    found = {each.scenario: each.hosts for each in nightly.runs(cuts=30)}
    assert found.keys() == scenarios().keys() - {"record"}
    for name, hosts in found.items():
        assert set(hosts) <= tables.hosts().keys()
        assert set(hosts) >= set(scenarios()[name].hosts)


def test_a_disk_copied_as_after_a_cut_is_of_one_moment_and_its_writer_goes_on(
    tmp_path: Path,
) -> None:
    # A writer that keeps two halves of a file equal, but for the moment between its two writes.
    script = (
        "import os, sys; f = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT); n = 0\n"
        "while True:\n n += 1; os.pwrite(f, b'%020d' % n, 0); os.pwrite(f, b'%020d' % n, 1 << 20)"
    )
    disk = tmp_path / "disk"
    writer = subprocess.Popen([sys.executable, "-c", script, str(disk)])
    try:
        while not (disk.exists() and disk.stat().st_size > 1 << 20):
            time.sleep(0.01)
        boot = Boot(
            host=tables.host("guide-debian12"), cards=(), disk=disk, disk_format="raw",
            accelerator="tcg",
        )  # fmt: skip
        machine = Machine(boot, tmp_path, tmp_path, None, writer, [])  # type: ignore[arg-type]
        seen = []
        for number in range(10):
            folder = tmp_path / str(number)
            folder.mkdir()
            content = machine.disk_as_after_a_cut(folder).read_bytes()
            first, second = int(content[:20]), int(content[1 << 20 :])
            assert first - second in (0, 1)
            seen.append(first)
            time.sleep(0.02)
        assert len(set(seen)) > 1
    finally:
        writer.kill()
        writer.wait()
