"""QEMU's arguments: what a card becomes in the guest, by machine, firmware and version."""

from __future__ import annotations

import pytest

from hostpci.pve.hostpci import PVE8, PVE9
from hostpci.pve.mapping import HostDevice, parse_mappings
from hostpci.pve.showcmd import HostView, StartError, arguments, hostpci_arguments

CARD = ("0000:01:00.0", "0000:01:00.1")
HOST = HostView(
    devices={
        each: HostDevice(address=each, identity="10de:2d04", iommu_group=12)
        for each in (*CARD, "0000:00:02.0")
    },
    mappings=parse_mappings(
        "gpu\n\tlive-migration-capable\n"
        "\tmap node=pve,path=0000:01:00.0,id=10de:2d04,iommugroup=12\n"
    ),
    node="pve",
)
UEFI = {"machine": "q35", "bios": "ovmf", "ostype": "l26", "cpu": "host", "memory": "8192"}


def devices(config: dict[str, str], *, pve: int = PVE9) -> list[str]:
    return list(hostpci_arguments(config, HOST, vmid=7, pve=pve).devices)


def words(option: str, config: dict[str, str], *, pve: int = PVE9, qemu: str = "") -> list[str]:
    made = arguments(config, HOST, vmid=7, pve=pve, qemu=qemu)
    return [each[1] for each in made if each[0] == option]


@pytest.mark.parametrize("pve", [PVE8, PVE9])
def test_a_slot_becomes_one_device_of_several_functions(pve: int) -> None:
    assert devices({**UEFI, "hostpci0": "01:00,pcie=1"}, pve=pve) == [
        "vfio-pci,host=0000:01:00.0,id=hostpci0.0,bus=ich9-pcie-port-1,addr=0x0.0,multifunction=on",
        "vfio-pci,host=0000:01:00.1,id=hostpci0.1,bus=ich9-pcie-port-1,addr=0x0.1",
    ]


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"hostpci0": "01:00.0"}, "id=hostpci0,bus=pci.0,addr=0x10"),
        ({"hostpci3": "01:00.0"}, "id=hostpci3,bus=pci.0,addr=0x1c"),
        ({"hostpci4": "01:00.0"}, "id=hostpci4,bus=pci.2,addr=0xd"),
        ({"hostpci15": "01:00.0"}, "id=hostpci15,bus=pci.2,addr=0x18"),
        (
            {"hostpci1": "01:00.0,pcie=1,x-vga=1", "machine": "q35"},
            "id=hostpci1,bus=ich9-pcie-port-2,addr=0x0,x-vga=on",
        ),
        (
            {**UEFI, "hostpci0": "01:00.0,x-vga=1,romfile=a.rom,rombar=0,device-id=0x1234",
             "boot": "order=scsi0;hostpci0"},
            ("id=hostpci0,bus=pci.0,addr=0x10,rombar=0,romfile=/usr/share/kvm/a.rom,bootindex=101"
            ",x-pci-device-id=0x1234"),
        ),
        (
            {"hostpci4": "01:00.0,pcie=1", "machine": "q35", "ostype": "win7"},
            "id=hostpci4,bus=pcie.0,addr=0x9",
        ),
        ({"hostpci0": "00:02.0,legacy-igd=1", "vga": "none"}, "id=hostpci0,bus=pci.0,addr=0x2"),
    ],
)  # fmt: skip
def test_one_function_and_its_place(config: dict[str, str], expected: str) -> None:
    (device,) = devices(config)
    assert device.partition(",id=")[2] == expected.removeprefix("id=")


def test_from_the_fifth_on_a_device_brings_its_own_port() -> None:
    port, device = devices({**UEFI, "hostpci12": "01:00.0,pcie=1"})
    assert port == (
        "pcie-root-port,id=ich9-pcie-port-13,addr=11.0,x-speed=16,x-width=32,multifunction=on"
        ",bus=pcie.0,port=13,chassis=13"
    )
    assert "bus=ich9-pcie-port-13,addr=0x0" in device


def test_mappings_and_mediated_devices() -> None:
    (device,) = devices({"hostpci0": "mapping=gpu"})
    assert device.startswith("vfio-pci,host=0000:01:00.0,enable-migration=on,id=hostpci0,")
    (device,) = devices({"hostpci2": "01:00.1,mdev=nvidia-63"})
    assert "sysfsdev=/sys/bus/mdev/devices/00000002-0000-0000-0000-000000000007" in device


def test_the_primary_card_takes_the_display_and_hides_kvm() -> None:
    made = arguments({**UEFI, "hostpci0": "01:00,pcie=1,x-vga=1"}, HOST)
    assert ("-vga", "none") in made
    assert ("-nographic",) in made
    assert ("-cpu", "host,kvm=off,+kvm_pv_eoi,+kvm_pv_unhalt") in made
    kept = words("-device", {**UEFI, "hostpci0": "01:00,pcie=1,x-vga=1", "vga": "std"})
    assert kept[-1] == "VGA,id=vga,bus=pcie.0,addr=0x1"


@pytest.mark.parametrize(
    ("config", "pve", "flags"),
    [
        (UEFI, PVE9, "pflash0=pflash0,pflash1=drive-efidisk0,hpet=off,type=q35+pve0"),
        (UEFI, PVE8, "type=q35+pve1"),
        ({"vga": "none"}, PVE9, "smm=off,type=pc+pve0"),
        ({"machine": "pc-q35-9.2+pve1"}, PVE9, "type=pc-q35-9.2+pve1"),
        ({"machine": "pc-q35-10.0+pve1"}, PVE9, "type=pc-q35-10.0+pve0"),
        ({"machine": "pc-q35-10.0+pve1", "net0": "virtio"}, PVE9, "type=pc-q35-10.0+pve1"),
        ({"ostype": "win11", "meta": "creation-qemu=9.2.0"}, PVE9,
         "hpet=off,type=pc-i440fx-9.2+pve0"),
        ({"kvm": "0"}, PVE9, "accel=tcg,type=pc+pve0"),
    ],
)  # fmt: skip
def test_machine_flags(config: dict[str, str], pve: int, flags: str) -> None:
    assert words("-machine", config, pve=pve) == [flags]


@pytest.mark.parametrize(
    ("config", "cpu"),
    [
        ({}, "kvm64,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+lahf_lm,+sep"),
        ({"kvm": "0"}, "qemu64"),
        ({"cpu": "x86-64-v2-AES"}, ("qemu64,+aes,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,+pni,+popcnt"
         ",+sse4.1,+sse4.2,+ssse3")),
        ({"cpu": "EPYC,flags=-pcid,phys-bits=host"},
         "EPYC,enforce,+kvm_pv_eoi,+kvm_pv_unhalt,-pcid,vendor=AuthenticAMD,host-phys-bits=true"),
        ({"cpu": "host,guest-phys-bits=39"},
         "host,+kvm_pv_eoi,+kvm_pv_unhalt,guest-phys-bits=39"),
        ({"cpu": "max,level=30", "machine": "pc-q35-10.0"},
         "max,level=30,enforce,+kvm_pv_eoi,+kvm_pv_unhalt"),
        ({"cpu": "host", "machine": "pc-q35-10.0", "kvm": "0"}, "host,-vmx-mbec"),
        ({"ostype": "win11", "kvm": "0", "cpu": "EPYC-Turin"},
         "EPYC-Turin,-cet-ibt,-cet-ss,vendor=AuthenticAMD"),
    ],
)  # fmt: skip
def test_processor(config: dict[str, str], cpu: str) -> None:
    assert words("-cpu", config) == [cpu]


def test_what_qemu_11_has_is_taken_from_machines_of_its_own_alone() -> None:
    """qemu-server CPUConfig.pm (get_pve_cpu_flags), and its cfg2cmd test startdate-win11."""
    [new] = words("-cpu", {"ostype": "win11"}, qemu="11.0.2")
    assert new.startswith("kvm64,-cet-ibt,-cet-ss,enforce,hv_ipi,")
    [old] = words("-cpu", {"ostype": "win11", "cpu": "host"}, qemu="10.1.2")
    assert old.startswith("host,hv_ipi,")
    assert "mbec" not in old


def test_a_machine_of_the_newest_revision_is_not_too_new() -> None:
    """windows_get_pinned_machine_version gives such ones to new VMs."""
    assert words("-machine", {"machine": "pc-q35-11.0+pve2"}) == ["type=pc-q35-11.0+pve0"]


def test_a_processor_of_another_architecture() -> None:
    with pytest.raises(StartError, match="CPU model 'cortex-a57' does not exist for configured"):
        arguments({"cpu": "cortex-a57"}, HOST)


@pytest.mark.parametrize(
    ("config", "device"),
    [
        ({"vga": "virtio,memory=64"}, "virtio-vga,id=vga,max_hostmem=67108864,bus=pci.0,addr=0x2"),
        ({"vga": "qxl"}, "qxl-vga,id=vga,max_outputs=4,bus=pci.0,addr=0x2"),
        ({"ostype": "win10"}, "VGA,id=vga,bus=pci.0,addr=0x2,edid=off"),
    ],
)
def test_display(config: dict[str, str], device: str) -> None:
    assert words("-device", config)[-1] == device


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"machine": "pc-q35-99.0"}, "too old to run machine type 'pc-q35-99.0+pve0'"),
        ({"machine": "pc-q35-9.2+pve7"}, "max feature level for 9.2 is pve1"),
        ({"machine": "pc,viommu=intel"}, "set the machine type to q35"),
        ({"machine": "q35,aw-bits=39"}, "no vIOMMU is configured"),
        ({"hugepages": "2"}, "numa needs to be enabled"),
    ],
)
def test_what_keeps_a_machine_from_starting(config: dict[str, str], said: str) -> None:
    with pytest.raises(StartError, match=said.replace("+", r"\+")):
        arguments(config, HOST)
