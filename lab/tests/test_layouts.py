from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest

from lab import bootdisk, esp, images, tables
from lab.errors import UsageError
from lab.firmware import Firmware
from lab.layouts import layout
from lab.machine import Boot, qemu_arguments

WITH_ESP = bootdisk.Layout(
    sectors=1 << 18, disk_id=uuid.UUID(int=1), root_partition_id=uuid.UUID(int=2),
    esp_sectors=1 << 17,
)  # fmt: skip


@pytest.fixture(autouse=True)
def _own_cache(lab_cache: Path) -> None:
    (lab_cache / "ssh").mkdir(parents=True)
    (lab_cache / "ssh/id_ed25519").write_text("")
    (lab_cache / "ssh/id_ed25519.pub").write_text("key")


def test_every_host_has_an_image() -> None:
    for host in tables.hosts().values():
        assert images.Image.named(host.release, host.layout).disk.name


def test_images_that_differ_are_different_artefacts() -> None:
    names = ("plain", "lvm", "systemd-boot", "grub-on-esp")
    paths = {images.Image.named("debian12", name).disk.path for name in names}
    assert len(paths) == len(names)


def test_an_image_does_not_depend_on_where_the_checkout_is() -> None:
    checkout = str(Path(images.__file__).parent)
    for name in ("plain", "lvm", "systemd-boot", "grub-on-esp"):
        assert checkout not in images.Image.named("debian12", name).disk.recipe


def test_an_unknown_layout_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        layout("nonesuch")
    assert "systemd-boot" in caught.value.hint


def test_what_a_layout_installs_is_there() -> None:
    for name in ("systemd-boot", "grub-on-esp"):
        for source, _ in layout(name).files:
            assert source.is_file()


def test_a_uefi_host_gets_both_flash_chips_and_writes_to_one() -> None:
    host = tables.host("sdboot-debian12")
    boot = Boot(
        host=host, cards=host.cards, disk=Path("disk"), disk_format="qcow2", accelerator="tcg",
        firmware=Firmware(code=Path("code.fd"), variables=Path("vars.fd")),
    )  # fmt: skip
    words = qemu_arguments(boot, port=2222, sockets=Path("s"), run_dir=Path("r"))
    chips = [word for word in words if word.startswith("if=pflash")]
    assert [("readonly=on" in each, each.rpartition("=")[2]) for each in chips] == [
        (True, "code.fd"), (False, "vars.fd"),
    ]  # fmt: skip


@pytest.mark.skipif(shutil.which("mformat") is None, reason="mtools is not installed")
def test_what_is_written_to_an_esp_is_read_from_it(tmp_path: Path) -> None:
    tree, back = tmp_path / "tree", tmp_path / "back"
    (tree / "loader/entries").mkdir(parents=True)
    (tree / "loader/entries/a long name.conf").write_text("title\n")
    (tree / "vmlinuz").write_bytes(b"\0" * 70_000)
    disk = tmp_path / "disk"
    bootdisk.write(disk, WITH_ESP, boot_img=b"", core_img=b"")
    esp.write(disk, WITH_ESP, "12AB-34CD", tree)
    for sector in (0, 6):
        at = (WITH_ESP.esp_start_sector + sector) * bootdisk.SECTOR_BYTES
        boot_sector = disk.read_bytes()[at : at + 512]
        assert boot_sector[446:] == bytes(64) + b"\x55\xaa"
    back.mkdir()
    esp.read(disk, WITH_ESP, back)
    assert (back / "loader/entries/a long name.conf").read_text() == "title\n"
    assert (back / "vmlinuz").read_bytes() == bytes(70_000)
    assert not (back / "esp").exists()


def test_an_esp_lies_between_the_core_and_the_root(tmp_path: Path) -> None:
    plain = bootdisk.Layout(
        sectors=1 << 18, disk_id=uuid.UUID(int=1), root_partition_id=uuid.UUID(int=2)
    )
    assert plain.root_start_sector == WITH_ESP.esp_start_sector
    assert WITH_ESP.root_start_sector - WITH_ESP.esp_start_sector == WITH_ESP.esp_sectors
    disk = tmp_path / "disk"
    bootdisk.write(disk, WITH_ESP, boot_img=b"", core_img=b"")
    table = disk.read_bytes()[1024 : 1024 + 3 * 128]
    firsts = [int.from_bytes(table[at + 32 : at + 40], "little") for at in (0, 128, 256)]
    assert firsts == [2048, WITH_ESP.esp_start_sector, WITH_ESP.root_start_sector]
