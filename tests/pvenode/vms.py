"""Virtual machines [qemu-server PVE/API2/Qemu.pm, PVE/QemuServer.pm; pve-guest-common]."""

from __future__ import annotations

import json
import re
import time
from typing import Any

from hostpci.pve import hostpci
from hostpci.pve.schema import split_list

from .errors import Refusal, bad_parameter
from .node import QEMU, Call, Node, config_text, digest, new_uuid, on
from .schema import properties, typed

_LOOKS_UNTIL_CLEANUP = 2
_VM = "/nodes/{node}/qemu/{vmid}"
_CPU = {"affinity", "cores", "cpu", "cpulimit", "cpuunits", "numa", "smp", "sockets", "vcpus"}
_MEMORY = {"memory", "balloon", "shares", "allow-ksm"}
_HARDWARE = {
    "acpi", "hotplug", "kvm", "machine", "scsihw", "smbios1", "tablet", "vga", "watchdog", "audio0",
    "ivshmem", "rng0", "amd-sev", "intel-tdx",
}  # fmt: skip
_OPTIONS = {
    "agent", "autostart", "bios", "description", "keyboard", "localtime", "migrate_downtime",
    "migrate_speed", "name", "onboot", "ostype", "protection", "reboot", "spice_enhancements",
    "startdate", "startup", "tdf", "template", "vmgenid", "tags",
}  # fmt: skip
_DISK = {"boot", "bootdisk", "vmstatestorage"}
_CLOUDINIT = {
    "cicustom", "cipassword", "citype", "ciupgrade", "ciuser", "nameserver", "searchdomain",
    "sshkeys",
}  # fmt: skip
_DRIVE = re.compile(r"(?:(?:ide|sata|scsi|virtio)\d+|efidisk0|tpmstate0)")
_NOT_OPTIONS = {
    "node", "vmid", "digest", "delete", "revert", "force", "skiplock", "background_delay",
    "archive", "bwlimit", "pool", "start", "storage", "unique", "live-restore", "ha-managed",
    "import-working-storage",
}  # fmt: skip
_ROOT_USER = "root@pam"
# Changed on a running machine without a restart, of those that are used here
_HOTPLUGS = {
    "name",
    "onboot",
    "description",
    "protection",
    "tags",
    "agent",
    "hookscript",
    "startup",
}


def option_names(node: Node) -> dict[str, Any]:
    known = properties(node.version, "PUT", f"{_VM}/config")
    return {key: each for key, each in known.items() if key not in _NOT_OPTIONS}


def modify_perm(node: Node, call: Call, vmid: str, keys: list[str]) -> None:
    """check_vm_modify_config_perm."""
    if call.who == _ROOT_USER:
        return
    path, require = f"/vms/{vmid}", node.access.require
    for key in keys:
        if _DRIVE.fullmatch(key) or re.fullmatch(r"(?:unused|serial|usb|hostpci|virtiofs)\d+", key):
            continue
        if key in {"cdrom", "tags"}:
            continue
        if key in _CPU or re.fullmatch(r"numa\d+", key):
            require(call.who, path, "VM.Config.CPU")
        elif key in _MEMORY:
            require(call.who, path, "VM.Config.Memory")
        elif key in _HARDWARE:
            require(call.who, path, "VM.Config.HWType")
        elif key in _OPTIONS:
            require(call.who, path, "VM.Config.Options")
            if key == "startup":
                require(call.who, "/", "Sys.Modify")
        elif key == "freeze":
            require(call.who, path, "VM.PowerMgmt")
        elif key in _DISK:
            require(call.who, path, "VM.Config.Disk")
        elif re.fullmatch(r"net\d+", key):
            require(call.who, path, "VM.Config.Network")
        elif key in _CLOUDINIT or re.fullmatch(r"ipconfig\d+", key):
            require(call.who, path, "VM.Config.Cloudinit", "VM.Config.Network", any_=True)
        else:
            raise Refusal(f"only root can set '{key}' config\n")


def hostpci_perm(node: Node, call: Call, vmid: str, key: str, value: str) -> None:
    """check_hostpci_perm: an entry that is raw, before or after, is root's alone."""
    if call.who == _ROOT_USER:
        return
    device = hostpci.parse_values(value, pve=node.version)
    if device.get("host"):
        raise Refusal(f"only root can set '{key}' config for non-mapped devices\n")
    if not device.get("mapping"):
        raise Refusal("either 'host' or 'mapping' must be set.\n")
    node.access.require(call.who, f"/mapping/pci/{device['mapping']}", "Mapping.Use")
    node.access.require(call.who, f"/vms/{vmid}", "VM.Config.HWType")
    if device.get("romfile"):
        raise bad_parameter(**{key: "only root@pam can set 'romfile' option"})


def _early_checks(node: Node, call: Call, given: dict[str, str]) -> None:
    if "hookscript" in given:
        known = [
            f"{name}:{each['name']}"
            for name, storage in node.state["storages"].items()
            for each in storage["files"]
        ]
        path = node.snippet(given["hookscript"])
        if given["hookscript"] not in known and not (path and path.is_file()):
            raise bad_parameter(hookscript=f"script '{given['hookscript']}' does not exist\n")
    for key, value in given.items():
        if key.startswith("net") and "bridge=" in value and call.who != _ROOT_USER:
            bridge = re.search(r"bridge=([^,]+)", value)
            where = f"/sdn/zones/localnetwork/{bridge[1] if bridge else ''}"
            node.access.require(call.who, where, "SDN.Use", any_=True)


@on("GET", "/nodes/{node}/qemu")
def listed(node: Node, call: Call) -> Any:
    return [
        summary(node, vmid, vm)
        for vmid, vm in node.state["vms"].items()
        if vm.get("node", node.name) in {call["node"], node.name}
        and node.access.has(call.who, f"/vms/{vmid}", "VM.Audit")
    ]


def summary(node: Node, vmid: str, vm: dict[str, Any]) -> dict[str, Any]:
    config = vm["config"]
    memory = int(re.sub(r"\D.*", "", str(config.get("memory", "512"))) or 512)
    found = {
        "vmid": int(vmid), "name": config.get("name", f"VM {vmid}"), "cpu": 0,
        "cpus": int(config.get("sockets", 1)) * int(config.get("cores", 1)), "disk": 0,
        "maxdisk": 0, "maxmem": memory << 20, "mem": 0, "netin": 0, "netout": 0,
        "status": vm.get("status", "stopped"), "uptime": 0,
    }  # fmt: skip
    if node.version > 8:
        found["memhost"] = 0
    if config.get("template"):
        found["template"] = 1
    if vm.get("status") == "running":
        found |= {"uptime": 1, "pid": vm.get("pid", 4321)}
    if config.get("lock"):
        found["lock"] = config["lock"]
    return found


@on("POST", "/nodes/{node}/qemu")
def create(node: Node, call: Call) -> Any:
    vmid = str(call["vmid"])
    given = {key: value for key, value in call.params.items() if key not in _NOT_OPTIONS}
    if not node.access.has(call.who, f"/vms/{vmid}", "VM.Allocate"):
        raise Refusal("Permission check failed\n", status=403)
    _storage_perm(node, call, vmid, given)
    modify_perm(node, call, vmid, list(given))
    for key, value in given.items():
        if re.fullmatch(r"hostpci\d+", key):
            hostpci_perm(node, call, vmid, key, value)
    _early_checks(node, call, given)
    if vmid in node.state["vms"]:
        at = node.state["vms"][vmid].get("node", node.name)
        raise Refusal(f"unable to create VM {vmid} - VM {vmid} already exists on node '{at}'\n")

    def work() -> list[str]:
        vm = node.add_vm(int(vmid), given)
        lines = _make_disks(node, vmid, vm["config"])
        config = vm["config"]
        now = int(time.time())
        config["meta"] = f"creation-qemu={QEMU[node.version]},ctime={now}"
        config.setdefault("boot", _boot_order(config))
        config.setdefault("smbios1", f"uuid={new_uuid()}")
        config.setdefault("vmgenid", new_uuid())
        for key in [each for each in config if each.startswith("net")]:
            config[key] = _with_mac(config[key], vmid)
        if call.is_set("start"):
            lines += _start(node, vmid)
        return lines

    return node.task("qmcreate", vmid, call.who, work, call)


def _with_mac(text: str, vmid: str) -> str:
    model, _, rest = text.partition(",")
    if "=" in model:
        return text
    return ",".join(filter(None, (f"{model}=BC:24:11:00:00:{int(vmid) % 256:02X}", rest)))


def _boot_order(config: dict[str, Any]) -> str:
    disks = [key for key in sorted(config) if re.fullmatch(r"(?:scsi|virtio|sata|ide)\d+", key)]
    first = [each for each in disks if "media=cdrom" not in config[each]][:1]
    rest = [each for each in disks if "media=cdrom" in config[each]]
    nets = [key for key in sorted(config) if re.fullmatch(r"net\d+", key)]
    order = ";".join([*first, *rest, *nets])
    return f"order={order}" if order else " "


def _storage_perm(node: Node, call: Call, vmid: str, given: dict[str, str]) -> None:
    for key, value in given.items():
        if not _DRIVE.fullmatch(key):
            continue
        storage = value.removeprefix("file=").partition(":")[0]
        if re.match(r"(?:file=)?[^,:]+:\d", value):
            if storage not in node.state["storages"]:
                raise Refusal(f"storage '{storage}' does not exist\n")
            node.access.require(call.who, f"/storage/{storage}", "Datastore.AllocateSpace")
        if call.who != _ROOT_USER and value.startswith("/"):
            raise Refusal(
                "Permission check failed (Only root can pass arbitrary paths.)\n", status=403
            )


def _make_disks(node: Node, vmid: str, config: dict[str, Any]) -> list[str]:
    """``local-lvm:32`` becomes a new volume, with the size PVE gives it."""
    lines = []
    for key in [each for each in config if _DRIVE.fullmatch(each)]:
        match = re.match(r"(?:file=)?([^,:]+):(\d+|cloudinit)(?:,(.*))?$", str(config[key]))
        if match is None:
            continue
        storage, size, rest = match[1], match[2], match[3] or ""
        number = len(
            [f for f in node.state["storages"][storage]["files"] if f"vm-{vmid}-" in f["name"]]
        )
        name = f"vm-{vmid}-cloudinit" if size == "cloudinit" else f"vm-{vmid}-disk-{number}"
        kept = [part for part in rest.split(",") if part and not part.startswith("import-from=")]
        source = re.search(r"import-from=([^,]+)", rest)
        if key == "efidisk0":
            kept.append("size=4M" if "efitype=4m" in kept else "size=528K")
        elif size == "cloudinit":
            kept = ["media=cdrom"]
        else:
            kept.append(f"size={'3584M' if source else f'{size}G'}")
        node.state["storages"][storage]["files"].append({"name": name, "vmid": int(vmid)})
        config[key] = ",".join([f"{storage}:{name}", *kept])
        lines.append(f"{key}: successfully created disk '{config[key]}'")
    return lines


@on("DELETE", _VM)
def destroy(node: Node, call: Call) -> Any:
    vmid = str(call["vmid"])
    _skiplock_perm(call)
    vm = node.vm(vmid, call["node"])
    if str(vm["config"].get("protection", "0")) == "1":
        raise Refusal(f"can't remove VM {vmid} - protection mode enabled\n")
    if f"vm:{vmid}" in node.state["ha"] and not call.is_set("purge"):
        raise Refusal(
            f"unable to remove VM {vmid} - used in HA resources and purge parameter not set.\n"
        )
    if vm.get("status") == "running":
        raise Refusal(f"VM {vmid} is running - destroy failed\n")

    def work() -> list[str]:
        check_lock(vm)
        del node.state["vms"][vmid]
        return []

    return node.task("qmdestroy", vmid, call.who, work, call)


def check_lock(vm: dict[str, Any]) -> None:
    if vm["config"].get("lock"):
        raise Refusal(f"VM is locked ({vm['config']['lock']})\n")


def _skiplock_perm(call: Call) -> None:
    if call.is_set("skiplock") and call.who != _ROOT_USER:
        raise bad_parameter(skiplock="Only root may use this option.")


def shown(node: Node, values: dict[str, Any]) -> dict[str, Any]:
    known = option_names(node)
    return {key: typed(known.get(key, {}), str(value)) for key, value in values.items()}


@on("GET", f"{_VM}/config")
def config_get(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])
    if "snapshot" in call.params:
        if call["snapshot"] not in vm["snapshots"]:
            raise Refusal(f"snapshot '{call['snapshot']}' does not exist\n")
        values = dict(vm["snapshots"][call["snapshot"]])
    else:
        values = dict(vm["config"])
        if not call.is_set("current"):
            values |= vm["pending"]
            values = {key: each for key, each in values.items() if key not in vm["delete"]}
    if "cipassword" in values:
        values["cipassword"] = "**********"
    found = shown(node, values)
    if "snaptime" in found:
        found["snaptime"] = int(found["snaptime"])
    return {**found, "digest": digest(config_text(vm))}


@on("GET", f"{_VM}/pending")
def pending(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])
    values = shown(node, {k: v for k, v in vm["config"].items() if k not in {"parent", "lock"}})
    values["digest"] = digest(config_text(vm))
    found = []
    for key, value in values.items():
        item = {"key": key, "value": value}
        if key in vm["pending"]:
            item["pending"] = shown(node, vm["pending"])[key]
        if key in vm["delete"]:
            item["delete"] = 1
        found.append(item)
    fresh = [key for key in vm["pending"] if key not in vm["config"]]
    found += [{"key": key, "pending": shown(node, vm["pending"])[key]} for key in fresh]
    return found


@on("PUT", f"{_VM}/config")
def config_set(node: Node, call: Call) -> Any:
    worker = _update(node, call)
    call.printed.extend(worker())
    return None


@on("POST", f"{_VM}/config")
def config_set_async(node: Node, call: Call) -> Any:
    return node.task("qmconfig", call["vmid"], call.who, _update(node, call), call)


def _update(node: Node, call: Call) -> Any:
    """update_vm_api: everything that is checked before the worker, and the worker."""
    vmid = str(call["vmid"])
    outside = _NOT_OPTIONS - {"start", "pool"}
    given = {key: value for key, value in call.params.items() if key not in outside}
    _skiplock_perm(call)
    removed, reverted = split_list(call.get("delete", "")), split_list(call.get("revert", ""))
    if not (given or removed or reverted):
        raise Refusal("no options specified\n")
    known = option_names(node)
    for key in reverted:
        if key not in known:
            raise bad_parameter(revert=f"unknown option '{key}'")
        if key in given:
            raise bad_parameter(
                delete=f"you can't use '-{key}' and '-revert {key}' at the same time"
            )
    for key in removed:
        if key in given:
            raise bad_parameter(
                delete=f"you can't use '-{key}' and -delete {key}' at the same time"
            )
        if key in reverted:
            raise bad_parameter(
                revert=f"you can't use '-delete {key}' and '-revert {key}' at the same time"
            )
        if key not in known:
            raise bad_parameter(delete=f"unknown option '{key}'")
    for key, value in given.items():
        if value.endswith("\n") and _has_properties(known[key]):
            raise Refusal(f"unable to parse value of '{key}' - property contains a line feed\n")
    _early_checks(node, call, given)
    modify_perm(node, call, vmid, removed)
    modify_perm(node, call, vmid, list(given))
    _storage_perm(node, call, vmid, given)
    vm = node.vm(vmid, call["node"])
    if call.get("digest") and call["digest"] != digest(config_text(vm)):
        raise Refusal("checksum mismatch (file change by other user?)\n")
    if not call.is_set("skiplock"):
        check_lock(vm)
    words = {key: v for key, v in call.params.items() if key not in {"node", "vmid", "digest"}}
    said = " ".join(f"-{key} {words[key]}" for key in sorted(words))

    def work() -> list[str]:
        vm.pop("raw", None)
        lines = [f"update VM {vmid}: {said}"]
        for key in reverted:
            vm["pending"].pop(key, None)
            vm["delete"] = [each for each in vm["delete"] if each != key]
        for key in removed:
            lines += _delete(node, call, vm, key)
        for key, value in given.items():
            _set(node, call, vm, key, value)
        lines += _apply(node, vm, vmid)
        return lines

    return work


def _has_properties(schema: Any) -> bool:
    name = schema.get("format")
    return isinstance(name, dict) or name == "pve-qm-hostpci"


def _delete(node: Node, call: Call, vm: dict[str, Any], key: str) -> list[str]:
    value = vm["config"].get(key, vm["pending"].get(key))
    if value is None:
        return [f"cannot delete '{key}' - not set in current configuration!"]
    if re.fullmatch(r"hostpci\d+", key):
        hostpci_perm(node, call, str(call["vmid"]), key, value)
    if _DRIVE.fullmatch(key):
        node.access.require(call.who, f"/vms/{call['vmid']}", "VM.Config.Disk")
    vm["pending"].pop(key, None)
    if key in vm["config"]:
        vm["delete"].append(key)
        if call.is_set("force"):
            vm.setdefault("forced", []).append(key)
    return []


def _set(node: Node, call: Call, vm: dict[str, Any], key: str, value: str) -> None:
    if re.fullmatch(r"hostpci\d+", key):
        if key in vm["config"]:
            hostpci_perm(node, call, str(call["vmid"]), key, vm["config"][key])
        hostpci_perm(node, call, str(call["vmid"]), key, value)
    if _DRIVE.fullmatch(key):
        node.access.require(call.who, f"/vms/{call['vmid']}", "VM.Config.Disk")
    vm["pending"][key] = value
    vm["delete"] = [each for each in vm["delete"] if each != key]


def _apply(node: Node, vm: dict[str, Any], vmid: str) -> list[str]:
    """What is pending takes effect, unless the machine runs and it is no hotplug."""
    lines = []
    runs = vm.get("status") == "running"
    for key in list(vm["delete"]):
        if not runs or key in _HOTPLUGS:
            vm["delete"].remove(key)
            old = vm["config"].pop(key, "")
            if key in vm.get("forced", []):
                _free(node, old)
            elif _DRIVE.fullmatch(key) and "cdrom" not in old and key != "tpmstate0":
                free = next(n for n in range(256) if f"unused{n}" not in vm["config"])
                vm["config"][f"unused{free}"] = old.partition(",")[0]
    vm.pop("forced", None)
    for key in list(vm["pending"]):
        if not runs or key in _HOTPLUGS:
            value = {key: vm["pending"].pop(key)}
            lines += _make_disks(node, vmid, value)
            if key.startswith("net"):
                value[key] = _with_mac(value[key], vmid)
            vm["config"] |= value
    return lines


def _free(node: Node, drive: str) -> None:
    """vmconfig_delete_or_detach_drive: with force the volume goes, too."""
    storage, _, name = drive.partition(",")[0].partition(":")
    files = node.state["storages"].get(storage, {}).get("files", [])
    files[:] = [each for each in files if each["name"] != name]


@on("PUT", f"{_VM}/resize")
def resize(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])

    def work() -> list[str]:
        check_lock(vm)
        vm["config"][call["disk"]] = re.sub(
            r"size=[^,]+", f"size={call['size']}", vm["config"][call["disk"]]
        )
        return []

    return node.task("resize", call["vmid"], call.who, work, call)


@on("GET", f"{_VM}/status/current")
def current(node: Node, call: Call) -> Any:
    vmid = str(call["vmid"])
    vm = node.vm(vmid, call["node"])
    _clean_up(node, vmid, vm)
    found = summary(node, vmid, vm)
    runs = vm.get("status") == "running"
    found |= {
        "qmpstatus": vm.get("qmpstatus", "running" if runs else "stopped"), "clipboard": None,
        "ha": {"managed": int(f"vm:{vmid}" in node.state["ha"])},
    }  # fmt: skip
    if str(vm["config"].get("agent", "0")).startswith(("1", "enabled=1")):
        found["agent"] = 1
    if runs:
        found["running-qemu"] = QEMU[node.version]
    return found


def _start(node: Node, vmid: str) -> list[str]:
    vm = node.vm(vmid)
    vm.pop("raw", None)
    if vm["config"].get("template"):
        raise Refusal("you can't start a vm if it's a template\n")
    check_lock(vm)
    if vm.get("status") == "running":
        raise Refusal(f"VM {vmid} already running\n")
    lines = _apply(node, vm, vmid)
    lines += node.hookscript(vmid, "pre-start")
    lines += node.run_hook("start", vmid)
    node.vm(vmid)["status"] = "running"
    return lines + node.hookscript(vmid, "post-start")


def _stop(node: Node, vmid: str) -> list[str]:
    vm = node.vm(vmid)
    if vm.get("status") != "running":
        return []
    lines = node.hookscript(vmid, "pre-stop")
    lines += node.run_hook("stop", vmid)
    node.vm(vmid)["status"] = "stopped"
    lines += node.hookscript(vmid, "post-stop")
    return lines + _apply(node, node.vm(vmid), vmid)


def _clean_up(node: Node, vmid: str, vm: dict[str, Any]) -> None:
    """After a reboot's task qmeventd starts the machine again, a moment later."""
    if vm.get("reboot_request"):
        vm["reboot_request"] -= 1
        if not vm["reboot_request"]:
            _start(node, vmid)


def _power(order: str, kind: str) -> None:
    @on("POST", f"{_VM}/status/{order}")
    def handle(node: Node, call: Call) -> Any:
        vmid = str(call["vmid"])
        _skiplock_perm(call)
        vm = node.vm(vmid, call["node"])

        def work() -> list[str]:
            if order == "start":
                return _start(node, vmid)
            if not call.is_set("skiplock"):
                check_lock(vm)
            if order == "reset":
                if vm.get("status") != "running":
                    raise Refusal(f"VM {vmid} not running\n")
                return []
            if order in {"shutdown", "reboot"} and vm.get("deaf") and not call.is_set("forceStop"):
                raise Refusal("VM quit/powerdown failed - got timeout\n")
            if order == "reboot":
                vm["reboot_request"] = _LOOKS_UNTIL_CLEANUP
            return _stop(node, vmid)

        if order == "reboot" and vm.get("status") != "running":
            raise Refusal(f"VM {vmid} not running\n")
        if f"vm:{vmid}" in node.state["ha"] and order in {"start", "stop"}:
            names = {"start": "hastart", "stop": "hastop"}
            return node.task(names[order], vmid, call.who, work, call)
        return node.task(kind, vmid, call.who, work, call)


for _order in ("start", "stop", "shutdown", "reboot", "reset"):
    _power(_order, f"qm{_order}")


@on("GET", f"{_VM}/snapshot")
def snapshots(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])
    found = []
    for name, values in vm["snapshots"].items():
        item = {"name": name, "description": values.get("description", ""),
                "snaptime": int(values["snaptime"]), "vmstate": int("vmstate" in values),
                }  # fmt: skip
        if values.get("parent"):
            item["parent"] = values["parent"]
        found.append(item)
    here = {"name": "current", "description": "You are here!", "digest": digest(config_text(vm)),
            "running": int(vm.get("status") == "running")}  # fmt: skip
    if vm["config"].get("parent"):
        here["parent"] = vm["config"]["parent"]
    return [*found, here]


@on("POST", f"{_VM}/snapshot")
def snapshot(node: Node, call: Call) -> Any:
    vmid, name = str(call["vmid"]), call["snapname"]
    vm = node.vm(vmid, call["node"])
    if name in {"current", "pending"}:
        raise bad_parameter(snapname=f"unable to use snapshot name '{name}' (reserved name)")

    def work() -> list[str]:
        check_lock(vm)
        vm.pop("raw", None)
        if name in vm["snapshots"]:
            raise Refusal(f"snapshot name '{name}' already used\n")
        values = {key: each for key, each in vm["config"].items() if key != "lock"}
        values["snaptime"] = str(int(time.time()))
        if call.get("description"):
            values["description"] = call["description"]
        vm["snapshots"][name] = values
        vm["config"]["parent"] = name
        return []

    return node.task("qmsnapshot", vmid, call.who, work, call)


@on("DELETE", f"{_VM}/snapshot/{{snapname}}")
def snapshot_delete(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])

    def work() -> list[str]:
        if call["snapname"] not in vm["snapshots"]:
            raise Refusal(f"snapshot '{call['snapname']}' does not exist\n")
        parent = vm["snapshots"].pop(call["snapname"]).get("parent")
        for values in (vm["config"], *vm["snapshots"].values()):
            if values.get("parent") == call["snapname"]:
                values.pop("parent")
                values.update({"parent": parent} if parent else {})
        return []

    return node.task("qmdelsnapshot", call["vmid"], call.who, work, call)


@on("GET", f"{_VM}/snapshot/{{snapname}}/config")
def snapshot_config(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])
    if call["snapname"] not in vm["snapshots"]:
        raise Refusal(f"snapshot '{call['snapname']}' does not exist\n")
    return shown(node, vm["snapshots"][call["snapname"]])


@on("POST", f"{_VM}/template")
def template(node: Node, call: Call) -> Any:
    vmid = str(call["vmid"])
    vm = node.vm(vmid, call["node"])
    check_lock(vm)
    if vm["snapshots"]:
        raise Refusal("unable to create template, because VM contains snapshots\n")
    if vm["config"].get("template"):
        raise Refusal("you can't convert a template to a template\n")
    if vm.get("status") == "running":
        raise Refusal("you can't convert a VM to template if VM is running\n")

    def work() -> list[str]:
        vm["config"]["template"] = "1"
        return []

    return node.task("qmtemplate", vmid, call.who, work, call)


@on("GET", f"{_VM}/migrate")
def migrate_check(node: Node, call: Call) -> Any:
    vm = node.vm(call["vmid"], call["node"])
    local: list[str] = []
    mapped: list[str] = []
    for key in sorted(vm["config"]):
        if re.fullmatch(r"hostpci\d+", key):
            device = hostpci.parse_values(vm["config"][key], pve=node.version)
            (mapped if device.get("mapping") else local).append(key)
    found = {
        "running": int(vm.get("status") == "running"), "local_disks": [], "local_resources": local,
        "mapped-resources": mapped, "mapped-resource-info": {}, "not_allowed_nodes": {},
        "allowed_nodes": [],
    }  # fmt: skip
    if node.version > 8:
        found["has-dbus-vmstate"] = 1
    return found


@on("GET", _VM)
def vm_index(node: Node, call: Call) -> Any:
    return [{"subdir": each} for each in ("config", "pending", "status", "agent", "snapshot")]


def dumped(vm: dict[str, Any]) -> str:
    return json.dumps(vm)
