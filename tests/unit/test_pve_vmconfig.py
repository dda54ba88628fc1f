"""A VM's configuration file: what PVE keeps, what it drops in which words, what it writes."""

from __future__ import annotations

import pytest

from hostpci.pve.hostpci import PVE8, PVE9
from hostpci.pve.schema import FormatError
from hostpci.pve.vmconfig import VmConfig, parse_vm_config, write_vm_config
from hostpci.pve.vmoptions import options

FILE = """\
# the GPU box%3A do not touch
#second line
agent: enabled=1,fstrim_cloned_disks=1
args: -cpu 'host,+foo'
balloon: 0
bios: ovmf
boot: order=scsi0;net0;hostpci0
cores: 8
cpu: host,hidden=1,flags=+aes;-pcid
efidisk0: local-lvm:vm-100-disk-0,efitype=4m,pre-enrolled-keys=1,size=4M
hostpci0: 0000:01:00,pcie=1,x-vga=1
ide2: none,media=cdrom
ipconfig0: ip=10.0.0.2/24,gw=10.0.0.1,ip6=auto
machine: q35
memory: 16384
meta: creation-qemu=9.0.2,ctime=1700000000
name: gpu.example.org
net0: virtio=BC:24:11:00:00:01,bridge=vmbr0,firewall=1,trunks=2-4;7
numa0: cpus=0-3,hostnodes=0,memory=16384,policy=bind
onboot: yes
ostype: l26
parent: before
scsi0: local-lvm:vm-100-disk-1,discard=on,iothread=1,size=64G,ssd=1
scsihw: virtio-scsi-single
serial0: socket
smbios1: uuid=3dd750ce-d910-44d0-9493-525c0be4e687
startup: order=2,up=30
tags: gpu;llm
usb0: host=046d:c52b
vga: none
vmgenid: 3dd750ce-d910-44d0-9493-525c0be4e687

[PENDING]
delete: usb0
memory: 32768

[before]
#as it was
hostpci0: mapping=gpu
snaptime: 1700000000
vmstate: local-lvm:vm-100-state-before

[special:fleecing]
fleecing-images: local-lvm:vm-100-fleece-0
"""


def dropped(text: str, pve: int = PVE9) -> list[str]:
    config = parse_vm_config(text, vmid=7, pve=pve)
    return [each.removeprefix("vm 7 - ") for each in config.warnings]


@pytest.mark.parametrize("pve", [PVE8, PVE9])
def test_an_ordinary_file_is_read_whole(pve: int) -> None:
    config = parse_vm_config(FILE, pve=pve)
    assert config.warnings == ()
    assert config.main["description"] == " the GPU box: do not touch\nsecond line"
    assert (config.main["onboot"], config.main["cores"], config.main["memory"]) == (1, 8, "16384")
    assert config.pending == {"delete": "usb0", "memory": "32768"}
    assert config.snapshots["before"]["snaptime"] == 1700000000
    again = write_vm_config(config, pve=pve)
    assert parse_vm_config(again, pve=pve) == config
    assert again.startswith("# the GPU box%3A do not touch\n#second line\nagent: enabled=1,fs")
    assert "\nonboot: 1\n" in again
    assert again.index("[PENDING]") < again.index("[special:fleecing]") < again.index("[before]")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (" memory: 1", "unable to parse config:  memory: 1\n"),
        ("Memory: 1", "unable to parse config: Memory: 1\n"),
        ("hostpci16: 01:00", "unknown setting 'hostpci16'\n"),
        ("net32: virtio", "unknown setting 'net32'\n"),
        ("onboot: 2", "type check ('boolean') failed - got '2'\n"),
        ("cores: -1", "type check ('integer') failed - got '-1'\n"),
        ("cpulimit: 1e3", "type check ('number') failed - got '1e3'\n"),
        ("name: a_b", "value does not look like a valid DNS name\n"),
        ("name: a\rb", "property contains a line feed\n"),
        ("hotplug: disk,gpu", "invalid hotplug feature 'gpu'\n"),
        ("boot: order=scsi0;sata9", ("format error\norder: invalid format - invalid boot device"
         " 'sata9'\n\n")),
        ("boot: order=efidisk0", ("format error\norder: invalid format - invalid boot device"
         " 'efidisk0'\n\n")),
        ("bootdisk: net0", "invalid boot disk 'net0'\n"),
        ("startup: first", "unable to parse startup options\n"),
        ("tags: a;b c;ü", "invalid characters in tag\n"),
        ("affinity: 3-1", "unable to parse cpuset option\n"),
        ("hookscript: gpu.pl", "unable to parse volume ID 'gpu.pl'\n"),
        ("vmstatestorage: a_", "storage ID 'a_' contains illegal characters\n"),
        ("sshkeys: ssh rsa", "invalid urlencoded string: ssh rsa\n"),
        ("nameserver: 1.1.1.1 a_b", "value does not look like a valid address: a_b\n"),
        ("cpu: foo", "Built-in cputype 'foo' is not defined (missing 'custom-' prefix?)\n"),
        ("cpu: hidden=1", "CPU is missing cputype\n"),
        ("cpu: host,reported-model=kvm64",
         "Property 'reported-model' not allowed in VM-specific CPU config.\n"),
        ("net0: virtio=BC:24:11:00:00:01,e1000=BC:24:11:00:00:02",
         "key alias 'model' is already defined\n"),
        ("net0: virtio=BD:24:11:00:00:01", ("format error\nmacaddr: invalid format - value does not"
         " look like a valid unicast MAC address\n\n")),
        ("ipconfig0: gw=10.0.0.1", ("format error\nip: missing property - 'gw' requires this"
         " property\n")),
        ("ipconfig0: ip=10.0.0.1/33", ("format error\nip: invalid format - value does not look like"
         " a valid ipv4 network configuration\n\n")),
        ("memory: 8", "format error\ncurrent: value must have a minimum value of 16\n"),
        ("agent: fstrim_cloned_disks=1",
         "format error\nenabled: property is missing and it is not optional\n"),
        ("scsi0: local:100/a.raw,size=x", ("format error\nsize: invalid format - value does not"
         " look like a valid disk size: x\n\n")),
    ],
)  # fmt: skip
def test_what_pve_drops_and_how_it_says_so(line: str, message: str) -> None:
    key = line.partition(":")[0]
    prefix = (
        ""
        if message.startswith("unable to parse config")
        else (f"unable to parse value of '{key}' - ")
    )
    assert dropped(line + "\n") == [prefix + message]


@pytest.mark.parametrize(
    "line", ["bios: uefi", "scsihw: none", "lock: x", "serial0: nowhere", "cores: 0",
             "cpu: custom-mine", "ipconfig0: ip6=fd00::2/64,gw6=fd00::1", "hotplug: 1"],
)  # fmt: skip
def test_what_a_file_may_say_though_the_api_refuses_it(line: str) -> None:
    assert dropped(line) == []


def test_what_only_one_version_knows() -> None:
    assert dropped("allow-ksm: 1") == dropped("machine: q35,viommu=intel,aw-bits=48") == []
    assert dropped("allow-ksm: 1", PVE8) == [
        "unable to parse value of 'allow-ksm' - unknown setting 'allow-ksm'\n"
    ]
    assert len(dropped("machine: q35,viommu=intel,aw-bits=48", PVE8)) == 1
    assert len(dropped("cpu: host,guest-phys-bits=39", PVE8)) == 1
    assert len(dropped("hostpci0: 01:00,driver=keep", PVE8)) == 1
    assert "hostpci15" in options(PVE8)
    assert "unused255" in options(PVE9)


def test_the_cpu_that_a_version_allows() -> None:
    """qemu-server CPUConfig.pm of 8.4 and CPUFlags.pm of the newest 9."""
    refused = "unable to parse value of 'cpu' - VM-specific CPU flags must be a subset of: "
    of_8 = (
        "pcid, spec-ctrl, ibpb, ssbd, virt-ssbd, amd-ssbd, amd-no-ssb, pdpe1gb, md-clear, "
        "hv-tlbflush, hv-evmcs, aes\n"
    )
    of_9 = (
        "aes, amd-no-ssb, amd-ssbd, hv-evmcs, hv-tlbflush, ibpb, md-clear, nested-virt, pcid, "
        "pdpe1gb, spec-ctrl, ssbd, virt-ssbd\n"
    )
    assert dropped("cpu: host,flags=+nested-virt") == []
    assert dropped("cpu: host,flags=+nested-virt;-pcid", PVE8) == [refused + of_8]
    assert dropped("cpu: host,flags=+aes;-md-clear", PVE8) == []
    assert dropped("cpu: host,flags=+vmx") == [refused + of_9]
    for only_9 in ("host,level=30", "EPYC-Turin", "SierraForest-v3", "cortex-a57"):
        assert dropped(f"cpu: {only_9}") == []
        assert len(dropped(f"cpu: {only_9}", PVE8)) == 1


def test_lines_of_a_section_that_is_not_known_are_lost_without_a_word() -> None:
    config = parse_vm_config("name: a\n[x]\nhostpci0: 01:00\n[ok]\nname: b\n")
    assert config.warnings == ("vm 100 - skipping unknown section: 'x'\n",)
    assert config.document() == {"name": "a", "snapshots": {"ok": {"name": "b"}}}


def test_the_name_of_a_special_section_is_taken_to_the_letter() -> None:
    config = parse_vm_config("[SPECIAL:fleecing]\nfoo: 1\n[special:Fleecing]\n")
    assert [each.removeprefix("vm 100 - ") for each in config.warnings] == [
        "unable to parse value of 'foo' - unknown setting 'foo'\n",
        "skipping unknown section: 'special:Fleecing'\n",
    ]


def test_what_is_written_is_checked_like_what_is_read() -> None:
    """Even the quotes around arguments are taken off then, though reading leaves them."""
    config = parse_vm_config('args: "-no-reboot"\n')
    assert config.main == {"args": '"-no-reboot"'}
    assert write_vm_config(config) == "args: -no-reboot\n"


def test_a_dropped_line_is_named() -> None:
    (lost,) = parse_vm_config("name: a\n\n[before]\r\nhostpci0: 0A:00\r\n").dropped
    assert (lost.line_number, lost.section, lost.key) == (4, "before", "hostpci0")
    assert lost.reason == "format error\nhost: value does not match the regex pattern\n"


def test_windows_line_ends_change_nothing_but_the_description() -> None:
    ends = parse_vm_config("#a\n#b\nname: x\n".replace("\n", "\r\n"))
    assert ends.document() == {"description": "a\r\nb", "name": "x"}


def test_cloud_init_notes_are_kept_while_there_is_a_cloud_init_drive() -> None:
    notes = "\n[special:cloudinit]\nname: x\n"
    drive = "ide2: local-lvm:vm-100-cloudinit,media=cdrom\n"
    assert write_vm_config(parse_vm_config(drive + notes)) == drive + notes
    assert write_vm_config(parse_vm_config("name: a\n" + notes)) == "name: a\n"


def test_notes_are_written_so_that_they_are_read_as_they_were() -> None:
    """encode_text of PVE 8 and 9 keeps the sign that its own code begins with, too."""
    config = parse_vm_config("#50%25 of %C3%A4%3A 100%\nname: a\n")
    assert config.main["description"] == "50% of ä: 100%"
    assert write_vm_config(config) == "#50%25 of %C3%A4%3A 100%25\nname: a\n"


@pytest.mark.parametrize("end", ["%C2%A0", "\u3000", "%E2%80%A8", "%0A \t", "\u0085"])
def test_white_space_of_any_script_ends_notes_and_is_taken_off(end: str) -> None:
    """The notes are text by then, and Perl's ``\\s`` is that of Unicode; but not its ``\\x1c``."""
    assert parse_vm_config(f"#a\u3000b{end}\n").main == {"description": "a\u3000b"}
    assert str(parse_vm_config(f"#a{end}%1C\n").main["description"]).endswith("\x1c")


def test_what_pve_tidies_when_it_writes() -> None:
    text = "cores: 2\nscsi0: local:100/a.raw\nsmp: 4\nunused0: local:100/a.raw\n"
    assert write_vm_config(parse_vm_config(text)) == "scsi0: local:100/a.raw\nsockets: 4\n"
    assert parse_vm_config("cdrom: none\n").main == {"ide2": "none"}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cdrom": "none", "ide2": "none"}, "option ide2 conflicts with cdrom\n"),
        ({"delete": "x"}, "propertry 'delete' is only allowed in [PENDING]\n"),
        ({"hostpci0": "x"}, ("unable to parse value of 'hostpci0' - format error\nhost: value does"
         " not match the regex pattern\n")),
    ],
)  # fmt: skip
def test_what_pve_would_not_write(values: dict[str, str], message: str) -> None:
    with pytest.raises(FormatError) as caught:
        write_vm_config(VmConfig(main=values))
    assert str(caught.value) == message
