"""What lint says of a value, a configuration, a file of mappings, and when it ends with 3."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hostpci.checks.lint import lint_mappings, lint_value
from hostpci.checks.lintvm import at_next_start, lint_config
from hostpci.cli.main import main
from hostpci.facts.look import Look
from hostpci.facts.pci import read_inventory
from hostpci.facts.pveview import read_pve_view
from hostpci.host.capture import CaptureRoot
from hostpci.model.finding import Finding, Level, Outcome
from hostpci.pve.hostpci import PVE8, PVE9
from hostpci.pve.mapping import parse_mappings
from hostpci.pve.start import HostView
from hostpci.pve.vmconfig import parse_vm_config

from ..hosts import GUIDE_HOST, RecordedHost

MAP = "id=10de:2d04,iommugroup=8,node=pve1,path=0000:01:00,subsystem-id=10b0:205e"


def view(mappings: str = "", roms: tuple[str, ...] = ()) -> HostView:
    """The guide's host as a node of PVE."""
    host = RecordedHost().with_file("/etc/pve/mapping/pci.cfg", mappings)
    host.with_link("/etc/pve/local", "nodes/pve1")
    for name in roms:
        host.with_file(f"/usr/share/kvm/{name}", "ROM")
    look = Look(CaptureRoot(host.data))
    return read_pve_view(look, read_inventory(look, host.runner()))


def wrong(findings: list[Finding]) -> list[tuple[str, str]]:
    return [(each.code, each.subject) for each in findings if each.outcome is not Outcome.HOLDS]


def of_value(text: str, *, pve: int = PVE9, host: HostView | None = None) -> list[str]:
    return [code for code, _ in wrong(list(lint_value(text, pve=pve, host=host)))]


def of_config(text: str, *, pve: int = PVE9, host: HostView | None = None) -> list[tuple[str, str]]:
    return wrong(list(lint_config(parse_vm_config(text, pve=pve), pve=pve, host=host)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("01:00,pcie=1,x-vga=1", []),
        ("mapping=gpu", []),
        ("01:00,pcie=1,driver=keep", []),
        ("0A:00", ["lint-value"]),
        ("01:00.0,mapping=gpu", ["lint-host-and-mapping"]),
        ("pcie=1", ["lint-no-host"]),
        ("01:00,romfile=/root/a.rom", ["lint-romfile-absolute"]),
        ("01:00,romfile=../a.rom", ["lint-romfile-outside"]),
        ("01:00,romfile= a.rom", ["lint-romfile-blank"]),
        ("01:00.0;01:00.1,mdev=nvidia-63", ["lint-mdev-several"]),
        ("01:00.0;01:00.1,romfile=a.rom", ["lint-first-only"]),
    ],
)
def test_what_a_value_says_by_itself(text: str, expected: list[str]) -> None:
    assert of_value(text) == expected


def test_a_key_of_pve_9_is_no_misspelt_one_of_pve_8() -> None:
    assert of_value("01:00,driver=keep", pve=PVE8) == ["lint-newer-key"]
    assert of_value("01:00,drivr=keep", pve=PVE8) == ["lint-value"]
    assert of_config("hostpci0: 01:00,driver=keep\n", pve=PVE8) == [("lint-newer-key", "1")]


def test_a_value_on_a_host() -> None:
    (taken, starts) = lint_value("01:00,pcie=1", pve=PVE9, host=view())
    assert (taken.level, starts.outcome) == (Level.PASS, Outcome.HOLDS)
    assert starts.evidence == ("0000:01:00.0, 0000:01:00.1",)
    (_, fails) = lint_value("09:00", pve=PVE9, host=view())
    assert fails.params["reason"] == "no PCI device found for '09:00'"
    assert of_value("01:00,mdev=x", host=view()) == ["lint-start"]
    assert of_value("mapping=gpu0", host=view(f"gpu0\n\tmap {MAP}\n")) == []
    assert of_value("mapping=gpu0", host=view(f"gpu0\n\tmap {MAP.replace('=8', '=9')}\n")) == [
        "lint-start"
    ]
    # whether a function offers mediated devices is not read, so nothing is said of it
    assert of_value("mapping=gpu0", host=view(f"gpu0\n\tmdev 1\n\tmap {MAP}\n")) == []


def test_a_rom_that_is_not_there() -> None:
    assert of_value("01:00,romfile=a.rom", host=view()) == []  # not looked at: nothing is said
    assert of_value("01:00,romfile=a.rom", host=view(roms=("a.rom",))) == []
    assert of_value("01:00,romfile=b.rom", host=view(roms=("a.rom",))) == ["lint-romfile-missing"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("machine: q35\nhostpci0: 01:00,pcie=1\n", []),
        (" hostpci0: 01:00\n", [("lint-no-option", "1")]),
        ("hostpci16: 01:00\n", [("lint-index", "1")]),
        ("hostpci0: 01:00, pcie=1\n", [("lint-dropped", "1")]),
        ("gpu: 1\n", [("lint-unknown-key", "1")]),
        ("[x]\nhostpci0: 01:00\n", [("lint-section", "1")]),
        ("[snap]\nhostpci0: 0A:00\n", [("lint-dropped", "[snap] 2")]),
        ("delete: net0\n", [("lint-dropped", "1")]),
        ("hostpci0: 01:00\nhostpci0: 02:00\n", [("lint-replaced", "1")]),
        ("bios: uefi\n", [("lint-api", "bios")]),
        ("smp: 2\n", [("lint-old-name", "smp")]),
        ("hostpci0: 01:00,pcie=1\n", [("lint-pcie", "hostpci0")]),
        ("bios: ovmf\nhostpci0: 01:00,x-vga=1\n",
         [("lint-primary-ovmf", "hostpci0"), ("lint-primary-console", "hostpci0")]),
        ("vga: std\nhostpci0: 01:00,x-vga=1\n", [("lint-primary-vga", "hostpci0")]),
        ("vga: none\nhostpci0: 00:02,legacy-igd=1\n", []),
        ("machine: q35\nhostpci0: 00:02.0,legacy-igd=1\n",
         [("lint-legacy-igd", "hostpci0"), ("lint-legacy-igd", "hostpci0")]),
        ("hostpci0: 01:00\nhostpci1: 0000:01:00.1\n", [("lint-twice", "hostpci1")]),
        ("hostpci0: 01:00.0\nhostpci1: 01:00.1\n", []),
        ("hostpci0: 01:00,pcie=1\n[PENDING]\nmachine: q35\n", []),
        ("hostpci0: 01:00,pcie=1\n[PENDING]\ndelete: hostpci0\n", []),
    ],
)  # fmt: skip
def test_what_a_configuration_loses_or_fails_on(text: str, expected: list[tuple[str, str]]) -> None:
    assert of_config(text) == expected


def test_what_is_pending_comes_before_the_start() -> None:
    config = parse_vm_config("cores: 2\nvga: none\n[PENDING]\ndelete: vga,!usb0\ncores: 4\n")
    assert at_next_start(config) == {"cores": 4}


def test_a_configuration_on_a_host() -> None:
    good = "machine: q35\nbios: ovmf\nvga: none\nhostpci0: 01:00,pcie=1\n"
    assert of_config(good, host=view()) == []
    assert of_config(good.replace("01:00", "09:00"), host=view()) == [
        ("lint-start", "hostpci0"), ("lint-start", "VM 100"),
    ]  # fmt: skip
    assert of_config(good + "hugepages: 2\n", host=view()) == [("lint-start", "VM 100")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"gpu\n\tmap {MAP}\n", []),
        ("gpu\n\tmap x\n", [("lint-mapping-dropped", "")] * 2 + [("lint-mapping-lost", "gpu")]),
        ("gpu\n\tmap id=10de:2d04,node=pve1,path=0000:01:00\n",
         [("lint-mapping-incomplete", "gpu"), ("lint-mapping-hardware", "gpu")]),
        (f"gpu\n\tmap {MAP.replace('10de', '10DE')}\n",
         [("lint-mapping-case", "gpu"), ("lint-mapping-hardware", "gpu")]),
        (f"gpu\n\tmap {MAP.replace('01:00', '01:00x0')}\n",
         [("lint-mapping-path", "gpu"), ("lint-mapping-hardware", "gpu")]),
        (f"gpu\n\tmap {MAP.replace('pve1', 'pve2').replace('=8', '=9')}\n", []),
    ],
)  # fmt: skip
def test_mappings_on_a_node(text: str, expected: list[tuple[str, str]]) -> None:
    assert wrong(list(lint_mappings(parse_mappings(text), view()))) == expected


# the verb


def lint(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, dict[str, Any]]:
    code = main(["lint", "--json", *words])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return code, document


def test_a_value_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = lint(capsys, "--value=01:00,pcie=on", "--pve=8")
    assert code == 0
    assert document["schema"] == "hostpci.lint-value/1"
    assert {key: document[key] for key in ("valid", "error", "parsed", "warnings")} == {
        "valid": True, "error": None, "parsed": {"host": "01:00", "pcie": 1}, "warnings": [],
    }  # fmt: skip
    code, document = lint(capsys, "--value=01:00,pcie=x", "--pve=9")
    said = "format error\npcie: type check ('boolean') failed - got 'x'\n"
    assert (code, document["valid"], document["parsed"]) == (3, False, None)
    assert document["error"] == said
    assert document["warnings"] == [f"vm 100 - unable to parse value of 'hostpci0' - {said}"]


@pytest.mark.parametrize("value", ["-1", "--json", "--", "", "=1", "01:00.0, pcie=1"])
def test_a_value_is_taken_as_it_stands(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, document = lint(capsys, "--pve=9", "--value", value)
    said = lint_value(value, pve=PVE9)
    assert document["valid"] is (next(said).outcome is Outcome.HOLDS)
    assert code == 3


def test_files_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "213.conf"
    config.write_bytes(b"name: a\nfoo: \xff\n")
    code, document = lint(capsys, f"--config={config}")
    assert (code, document["config"]) == (3, {"name": "a"})
    assert document["warnings"] == [
        "vm 213 - unable to parse value of 'foo' - unknown setting 'foo'\n"
    ]
    mapping = tmp_path / "pci.cfg"
    mapping.write_text(f"gpu\n\tmap {MAP}\n\tmdev\n")
    code, document = lint(capsys, f"--mapping={mapping}")
    assert (code, document["warnings"], document["order"]) == (0, [], {"gpu": 1})
    assert document["ids"] == {"gpu": {"type": "pci", "map": [MAP], "mdev": 1}}
    assert document["rewritten"] == f"gpu\n\tmap {MAP}\n\tmdev 1\n\n"


def test_a_capture_is_a_host_to_start_on(capsys: pytest.CaptureFixture[str]) -> None:
    code, document = lint(capsys, "--value=05:00", f"--host={GUIDE_HOST}")
    assert (code, document["valid"]) == (3, True)
    assert document["findings"][-1]["params"] == {"reason": "no PCI device found for '05:00'"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say one thing to look at"),
        (["--value=x", "--config=y"], "say one thing to look at"),
        (["--value=01:00", "--pve=10"], "not for '10'"),
        (["--config=/nowhere"], "/nowhere could not be read"),
        (["--config=/dev/zero"], "/dev/zero could not be read"),
    ],
)
def test_wrong_words(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lint", "--lang=en", *words]) == 2
    assert said in capsys.readouterr().err


def test_a_file_that_is_none_of_pves_is_not_read_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "huge.conf"
    with path.open("wb") as stream:
        stream.truncate(5 << 20)
    assert main(["lint", "--lang=en", f"--config={path}"]) == 2
    assert "larger than 4 MiB" in capsys.readouterr().err


@pytest.mark.parametrize(("language", "last"), [("en", "PVE takes it"), ("zh_CN", "PVE 会原样")])
def test_a_person_reads_findings_and_a_last_word(
    language: str, last: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lint", "--value=01:00", f"--lang={language}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("= ")
    assert lines[2].startswith("PASS: hostpci: ")
    assert lines[-1].startswith(last)


def test_what_a_file_says_cannot_drive_a_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "100.conf"
    path.write_text("\033[2Jx\n")
    assert main(["lint", f"--config={path}", "--lang=en"]) == 3
    assert "\033[2J" not in capsys.readouterr().out
