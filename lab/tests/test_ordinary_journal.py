from __future__ import annotations

import re
import tarfile
from pathlib import Path

from lab import container
from lab.scenarios import ordinary_journal


def test_every_way_to_use_a_server_is_one_that_its_script_has() -> None:
    script = (ordinary_journal._SERVER / "load.sh").read_text(encoding="utf-8")
    known = set(re.findall(r"^(\w+)\(\) \{$", script, re.MULTILINE)) - {"again", "disk"}
    in_host = ordinary_journal._IN_HOST.split()
    assert set(in_host) == known
    assert set(ordinary_journal._IN_CONTAINER.split()) < known


def test_a_container_starts_what_was_put_into_it(tmp_path: Path) -> None:
    tree, folder = tmp_path / "tree", tmp_path / "folder"
    (tree / "etc/systemd/system").mkdir(parents=True)
    (tree / "var/log").mkdir(parents=True)
    (tree / "root").mkdir()
    folder.mkdir()
    with tarfile.open(tmp_path / "root.tar", "w") as tar:
        tar.add(tree, arcname=".")
    script = tmp_path / "some.sh"
    script.write_text("true\n", encoding="utf-8")
    root = container._unpack(
        tmp_path / "root.tar", {"root/some.sh": script}, "bash /root/some.sh", folder
    )
    assert (root / "root/some.sh").read_text(encoding="utf-8") == "true\n"
    wanted = root / "etc/systemd/system/default.target.wants/lab.service"
    assert "ExecStart=/bin/bash -c 'bash /root/some.sh'\n" in wanted.read_text(encoding="utf-8")
    assert (root / "var/log/journal").is_dir()
