"""What is not a machine: versions, users, hardware, mappings, storages, tasks, the cluster."""

from __future__ import annotations

import json
import re
from typing import Any

from hostpci.pve.formats import FORMATS
from hostpci.pve.schema import parse_property_string, split_list

from .errors import Refusal, bad_parameter, denied
from .node import VERSIONS, Call, Node, digest, on
from .schema import properties
from .vms import summary

_PCI = "/nodes/{node}/hardware/pci"
_MAPPING = "/cluster/mapping/pci"
_CHANGED = "detected modified configuration - file changed by other user? Try again.\n"
_HIDDEN_CLASSES = "05;06;0b"


@on("GET", "/version")
def version(node: Node, call: Call) -> Any:
    text = VERSIONS[node.version]
    return {"version": text, "release": text.rpartition(".")[0], "repoid": "deadbeefcafe0123"}


@on("GET", "/nodes/{node}/version")
def node_version(node: Node, call: Call) -> Any:
    return version(node, call)


@on("POST", "/access/ticket")
def login(node: Node, call: Call) -> Any:
    user = node.state["users"].get(call["username"])
    if user is None or user.get("password") != call["password"] or not user.get("enable", 1):
        raise Refusal("authentication failure\n", status=401)
    return {"username": call["username"], "ticket": f"PVE:{call['username']}:TICKET",
            "CSRFPreventionToken": "CSRF"}  # fmt: skip


@on("GET", "/access/permissions")
def permissions(node: Node, call: Call) -> Any:
    who = call.get("userid", call.who)
    if who != call.who and not node.access.has(call.who, "/access", "Sys.Audit"):
        if who.partition("!")[0] != call.who:
            raise denied("/access, Sys.Audit")
    if "path" in call.params:
        held = node.access.flags(who, call["path"])
        return {call["path"]: held} if held else {}
    return node.access.effective(who)


@on("GET", "/access/users/{userid}/token")
def tokens(node: Node, call: Call) -> Any:
    begin = f"{call['userid']}!"
    return [
        {"tokenid": name.removeprefix(begin), "privsep": each.get("privsep", 1),
         "expire": each.get("expire", 0)}
        for name, each in node.state["tokens"].items() if name.startswith(begin)
    ]  # fmt: skip


@on("GET", "/nodes")
def nodes(node: Node, call: Call) -> Any:
    return [
        {"id": f"node/{each['name']}", "node": each["name"], "ssl_fingerprint": "AA:BB",
         "status": each.get("status", "unknown" if each.get("online", 1) else "offline"),
         "type": "node"}
        for each in node.state["nodes"]
    ]  # fmt: skip


@on("GET", "/nodes/{node}")
def node_index(node: Node, call: Call) -> Any:
    """PVE::API2::Nodes: the list of its folders, in the order of that version."""
    from .schema import paths

    names = {p.split("/")[3] for p in paths(node.version) if p.startswith("/nodes/{node}/")}
    hidden = {"execute", "vncwebsocket"}
    last = ["sdn"] if node.version <= 8 else []
    return [{"name": each} for each in [*sorted(names - hidden - set(last)), *last]]


@on("GET", "/nodes/{node}/status")
def status(node: Node, call: Call) -> Any:
    total = node.state["memory_bytes"]
    release = node.state.get("kernel", "6.8.12-9-pve" if node.version <= 8 else "6.17.2-1-pve")
    return {
        "boot-info": node.state["boot"], "cpu": 0, "idle": 0, "wait": 0, "uptime": 60,
        "cpuinfo": {"cpus": 8, "cores": 8, "sockets": 1, "model": "Test CPU", "mhz": "3000",
                    "flags": "", "hvm": "1", "user_hz": 100},
        "current-kernel": {"sysname": "Linux", "release": release, "version": "#1",
                           "machine": "x86_64"},
        "ksm": {"shared": 0}, "kversion": f"Linux {release}", "loadavg": ["0", "0", "0"],
        "memory": {"total": total, "used": total // 4, "free": total - total // 4,
                   "available": total - total // 4},
        "pveversion": f"pve-manager/{VERSIONS[node.version]}/deadbeefcafe0123",
        "rootfs": {"total": 1, "used": 0, "free": 1, "avail": 1},
        "swap": {"total": 0, "used": 0, "free": 0},
    }  # fmt: skip


# hardware


@on("GET", "/nodes/{node}/hardware")
def hardware(node: Node, call: Call) -> Any:
    return [{"type": "pci"}, {"type": "usb"}]


@on("GET", _PCI)
def pci(node: Node, call: Call) -> Any:
    blacklist = split_list(call.get("pci-class-blacklist", _HIDDEN_CLASSES))
    verbose = call.get("verbose", "1") != "0"
    wanted = ("class", "device", "id", "iommugroup", "mdev", "nvidia", "vendor")
    found = []
    for device in node.state["devices"]:
        if any(device["class"].removeprefix("0x").startswith(each) for each in blacklist):
            continue
        keys = [k for k in device if k != "mdev_types"] if verbose else wanted
        found.append({key: device[key] for key in keys if key in device})
    return found


@on("GET", f"{_PCI}/{{pci-id-or-mapping}}")
def pci_index(node: Node, call: Call) -> Any:
    return [{"method": "mdev"}]


@on("GET", f"{_PCI}/{{pci-id-or-mapping}}/mdev")
def mdevs(node: Node, call: Call) -> Any:
    name = call["pci-id-or-mapping"]
    if re.fullmatch(r"(?:[0-9a-f]{4,}:)?[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]", name) is None:
        section = node.state["mappings"].get(name)
        if section is None:
            return []
        entries = [parse_entry(each) for each in section["map"]]
        here = [each for each in entries if each["node"] == node.name]
        name = str(here[0]["path"]).split(";")[0] if here else ""
    device = device_at(node, name)
    types = (device or {}).get("mdev_types", {})
    return [
        {
            "type": each,
            "available": free,
            "description": f"desc of {each}\n",
            "name": f"{each} name",
        }
        for each, free in types.items()
    ]


def device_at(node: Node, address: str) -> dict[str, Any] | None:
    whole = address if address.count(":") > 1 else f"0000:{address}"
    return next((each for each in node.state["devices"] if each["id"] == whole), None)


# mappings


def mapping_text(node: Node) -> str:
    """/etc/pve/mapping/pci.cfg, in the order in which they were made."""
    parts = []
    for name, section in node.state["mappings"].items():
        lines = [name]
        first = "description" in section and [f"\tdescription {section['description']}"]
        lines += first or []
        lines += [f"\tmap {each}" for each in section["map"]]
        lines += [
            f"\t{key} {section[key]}"
            for key in ("live-migration-capable", "mdev")
            if key in section
        ]
        parts.append("\n".join(lines) + "\n\n")
    return "".join(parts)


def parse_entry(text: str) -> dict[str, Any]:
    known = properties(9, "POST", _MAPPING)["map"]["items"]["format"]
    return parse_property_string(known, text, formats=FORMATS)


def _may_see(node: Node, call: Call, name: str) -> bool:
    path = f"/mapping/pci/{name}"
    kinds = ("Mapping.Modify", "Mapping.Use", "Mapping.Audit")
    return node.access.has(call.who, path, *kinds, any_=True)


@on("GET", _MAPPING)
def mappings(node: Node, call: Call) -> Any:
    mark = digest(mapping_text(node))
    found = []
    for name, section in node.state["mappings"].items():
        if _may_see(node, call, name):
            item = {"id": name, "type": "pci", "digest": mark, **_shown(section)}
            if "check-node" in call.params:
                item["checks"] = _checks(node, name, section, call["check-node"])
            found.append(item)
    return found


def _shown(section: dict[str, Any]) -> dict[str, Any]:
    numbers = {"mdev", "live-migration-capable"}
    return {key: int(value) if key in numbers else value for key, value in section.items()}


def _checks(node: Node, name: str, section: dict[str, Any], at: str) -> list[dict[str, str]]:
    entries = [parse_entry(each) for each in section["map"]]
    here = [each for each in entries if each["node"] == at]
    if not here:
        return [{"severity": "warning", "message": f"No mapping for node {at}."}]
    wrong = [why_invalid(node, name, each, section) for each in here]
    return [
        {"severity": "error", "message": f"Invalid configuration: {each}\n"}
        for each in wrong
        if each
    ]


def why_invalid(node: Node, name: str, entry: dict[str, Any], section: dict[str, Any]) -> str:
    """assert_valid [pve-guest-common PVE/Mapping/PCI.pm]."""
    for index, path in enumerate(str(entry.get("path", "")).split(";")):
        address = path if re.search(r"\.[a-f0-9]$", path) else f"{path}.0"
        device = device_at(node, address)
        if device is None:
            return f"pci device '{address}' not found"
        expected = {"id": f"{device['vendor']}:{device['device']}".replace("0x", "")}
        if device.get("iommugroup", -1) != -1:
            expected["iommugroup"] = str(device["iommugroup"])
        if device.get("subsystem_vendor"):
            pair = f"{device['subsystem_vendor']}:{device['subsystem_device']}"
            expected["subsystem-id"] = pair.replace("0x", "")
        keys = ("id", "iommugroup", "subsystem-id")
        configured = {key: str(entry[key]) for key in keys if key in entry}
        if section.get("mdev") and str(section["mdev"]) == "1":
            configured["mdev"] = "1"
        if device.get("mdev") and configured.get("mdev"):
            expected["mdev"] = "1"
        for key in sorted({*expected, *configured}):
            if key == "iommugroup" and index > 0:
                continue
            if key not in configured:
                return f"missing expected property '{key}' for device '{address}'"
            if key not in expected:
                return f"unexpected property '{key}' configured for device '{address}'"
            if expected[key] != configured[key]:
                return f"'{key}' does not match for '{name}' ({expected[key]} != {configured[key]})"
    return ""


@on("GET", f"{_MAPPING}/{{id}}")
def mapping(node: Node, call: Call) -> Any:
    section = node.state["mappings"].get(call["id"])
    if section is None:
        raise Refusal(f"mapping '{call['id']}' not found\n")
    return {"type": "pci", "digest": digest(mapping_text(node)), **_shown(section)}


_KEYS = ("description", "map", "mdev", "live-migration-capable")


@on("POST", _MAPPING)
def mapping_create(node: Node, call: Call) -> Any:
    if call["id"] in node.state["mappings"]:
        raise Refusal(f"create hardware mapping failed: pci ID '{call['id']}' already defined\n")
    section = {key: call[key] for key in _KEYS if key in call.params}
    node.state["mappings"][call["id"]] = section


@on("PUT", f"{_MAPPING}/{{id}}")
def mapping_update(node: Node, call: Call) -> Any:
    failed = "update hardware mapping failed:"
    if call.get("digest") and call["digest"] != digest(mapping_text(node)):
        raise Refusal(f"{failed} {_CHANGED}")
    section = node.state["mappings"].get(call["id"])
    if section is None:
        raise Refusal(f"{failed} pci ID '{call['id']}' does not exist\n")
    if "map" not in call.params:
        raise Refusal(f"{failed} missing value for required option 'map'\n")
    fresh = dict(section)
    for key in split_list(call.get("delete", "")):
        if key not in _KEYS:
            raise Refusal(f"{failed} no such option '{key}'\n")
        if key == "map":
            raise Refusal(f"{failed} unable to delete required option '{key}'\n")
        fresh.pop(key, None)
    fresh |= {key: call[key] for key in _KEYS if key in call.params}
    node.state["mappings"][call["id"]] = fresh


@on("DELETE", f"{_MAPPING}/{{id}}")
def mapping_delete(node: Node, call: Call) -> Any:
    node.state["mappings"].pop(call["id"], None)


# tasks


def _task(node: Node, call: Call) -> dict[str, Any]:
    found = next((each for each in node.state["tasks"] if each["upid"] == call["upid"]), None)
    if re.fullmatch(r"UPID:(?:[^:\s/]+:){4}[^:\s/]+:[^:\s/]*:[^:\s/]+:", call["upid"]) is None:
        raise bad_parameter(upid=f"unable to parse worker upid '{call['upid']}'\n")
    if found is None:
        raise Refusal("no such task\n")
    if found["user"] != call.who:
        node.access.require(call.who, f"/nodes/{call['node']}", "Sys.Audit")
    return dict(found)


@on("GET", "/nodes/{node}/tasks")
def tasks(node: Node, call: Call) -> Any:
    audit = node.access.has(call.who, f"/nodes/{call['node']}", "Sys.Audit")
    found = [
        each for each in node.state["tasks"]
        if (audit or each["user"] == call.who)
        and call["node"] in {each["node"], "localhost"}
        and str(call.get("vmid", each["id"])) == each["id"]
        and int(call.get("since", 0)) <= each["starttime"]
        and call.get("typefilter", each["type"]) == each["type"]
    ]  # fmt: skip
    call.params["_total"] = len(found)
    begin, limit = int(call.get("start", 0)), int(call.get("limit", 50))
    hidden = {"log", "polls"}
    return [
        {key: each[key] for key in each if key not in hidden}
        for each in found[begin : begin + limit]
    ]


@on("GET", "/nodes/{node}/tasks/{upid}")
def task_index(node: Node, call: Call) -> Any:
    return [{"name": "log"}, {"name": "status"}]


@on("DELETE", "/nodes/{node}/tasks/{upid}")
def task_stop(node: Node, call: Call) -> Any:
    if _task(node, call)["user"] != call.who:
        node.access.require(call.who, f"/nodes/{call['node']}", "Sys.Modify")


@on("GET", "/nodes/{node}/tasks/{upid}/status")
def task_status(node: Node, call: Call) -> Any:
    task = _task(node, call)
    kept = next(each for each in node.state["tasks"] if each["upid"] == task["upid"])
    keys = ("upid", "node", "pid", "pstart", "starttime", "type", "id", "user")
    found = {key: task[key] for key in keys}
    if task["polls"] > 0:
        kept["polls"] -= 1
        return {**found, "status": "running"}
    return {**found, "status": "stopped", "exitstatus": task["status"]}


@on("GET", "/nodes/{node}/tasks/{upid}/log")
def task_log(node: Node, call: Call) -> Any:
    lines = _task(node, call)["log"]
    begin, limit = int(call.get("start", 0)), int(call.get("limit", 50))
    page = lines[begin : begin + limit] if limit else lines[begin:]
    call.params["_total"] = len(lines)
    if not lines:
        return [{"n": 1, "t": "no content"}]
    return [{"n": begin + n + 1, "t": text} for n, text in enumerate(page)]


# storages, containers, the cluster


@on("GET", "/nodes/{node}/storage")
def storages(node: Node, call: Call) -> Any:
    kinds = ("Datastore.Audit", "Datastore.AllocateSpace")
    return [
        {"storage": name, "type": each["type"], "content": each["content"], "active": 1,
         "enabled": 1, "shared": 0, "avail": each.get("avail", 1 << 40), "total": 1 << 41,
         "used": 1 << 40}
        for name, each in node.state["storages"].items()
        if node.access.has(call.who, f"/storage/{name}", *kinds, any_=True)
    ]  # fmt: skip


@on("GET", "/nodes/{node}/storage/{storage}/content")
def content(node: Node, call: Call) -> Any:
    storage = node.state["storages"].get(call["storage"])
    if storage is None:
        raise Refusal(f"storage '{call['storage']}' does not exist\n")
    wanted = call.get("content")
    return [
        {"volid": f"{call['storage']}:{each['name']}", "content": each.get("content", "images"),
         "format": "raw", "size": 1 << 30, **({"vmid": each["vmid"]} if "vmid" in each else {})}
        for each in storage["files"]
        if wanted in {None, each.get("content", "images")}
        and call["node"] in each.get("nodes", [call["node"]])
    ]  # fmt: skip


@on("GET", "/storage")
def storage_configs(node: Node, call: Call) -> Any:
    kinds = ("Datastore.Audit", "Datastore.AllocateSpace")
    return [
        _storage_shown(node, name)
        for name in node.state["storages"]
        if node.access.has(call.who, f"/storage/{name}", *kinds, any_=True)
    ]


@on("GET", "/storage/{storage}")
def storage_config(node: Node, call: Call) -> Any:
    if call["storage"] not in node.state["storages"]:
        raise Refusal(f"storage '{call['storage']}' does not exist\n")
    return _storage_shown(node, call["storage"])


def _storage_shown(node: Node, name: str) -> dict[str, Any]:
    storage = node.state["storages"][name]
    keys = ("type", "content", "path", "content-dirs", "shared")
    return {"storage": name, **{key: storage[key] for key in keys if key in storage}}


@on("GET", "/nodes/{node}/network")
def network(node: Node, call: Call) -> Any:
    listed = node.state.get("bridges", ["vmbr0"])
    if call.get("type") != "any_bridge":
        raise AssertionError("the fake node lists bridges only")
    return [{"iface": each, "type": "bridge", "active": 1} for each in listed]


@on("GET", "/nodes/{node}/lxc")
def containers(node: Node, call: Call) -> Any:
    return [
        {"vmid": int(vmid), "name": each.get("hostname", f"CT{vmid}"), "status": "stopped"}
        for vmid, each in node.state["containers"].items()
        if node.access.has(call.who, f"/vms/{vmid}", "VM.Audit")
    ]


@on("GET", "/nodes/{node}/lxc/{vmid}/config")
def container(node: Node, call: Call) -> Any:
    found = node.state["containers"].get(str(call["vmid"]))
    if found is None:
        path = f"nodes/{node.name}/lxc/{call['vmid']}.conf"
        raise Refusal(f"Configuration file '{path}' does not exist\n")
    return {**found, "digest": digest(json.dumps(found))}


@on("GET", "/cluster/status")
def cluster_status(node: Node, call: Call) -> Any:
    found = [
        {"id": f"node/{each['name']}", "name": each["name"], "type": "node", "nodeid": n,
         "online": each.get("online", 1), "local": int(each["name"] == node.name), "level": "",
         "ip": "192.0.2.1"}
        for n, each in enumerate(node.state["nodes"])
    ]  # fmt: skip
    if node.state["cluster"]:
        found.append({"id": "cluster", "name": node.state["cluster"], "type": "cluster",
                      "nodes": len(found), "quorate": node.state["quorate"],
                      "version": 1})  # fmt: skip
    return found


@on("GET", "/cluster/resources")
def resources(node: Node, call: Call) -> Any:
    found: list[dict[str, Any]] = []
    if call.get("type") in {None, "vm"}:
        for vmid, vm in node.state["vms"].items():
            if node.access.has(call.who, f"/vms/{vmid}", "VM.Audit"):
                found.append(_resource(node, vmid, vm))
    if call.get("type") in {None, "node"}:
        found += [
            {"id": f"node/{each['name']}", "node": each["name"], "type": "node", "status": "online"}
            for each in node.state["nodes"]
        ]
    return found


def _resource(node: Node, vmid: str, vm: dict[str, Any]) -> dict[str, Any]:
    of_vm = summary(node, vmid, vm)
    keys = ("cpu", "disk", "maxdisk", "maxmem", "mem", "memhost", "name", "netin", "netout",
            "status", "uptime", "vmid", "lock")  # fmt: skip
    found = {key: of_vm[key] for key in keys if key in of_vm}
    return {
        **found, "id": f"qemu/{vmid}", "type": "qemu", "node": vm.get("node", node.name),
        "maxcpu": of_vm["cpus"], "diskread": 0, "diskwrite": 0,
        # what pvestatd spreads over the cluster
        "template": of_vm.get("template", 0) if node.state.get("statd", 1) else 0,
    }  # fmt: skip


@on("GET", "/cluster/nextid")
def nextid(node: Node, call: Call) -> Any:
    taken = {*node.state["vms"], *node.state["containers"]}
    if "vmid" in call.params:
        if str(call["vmid"]) in taken:
            raise bad_parameter(vmid=f"VM {call['vmid']} already exists")
        return str(call["vmid"])
    return next(str(n) for n in range(100, 1_000_000) if str(n) not in taken)


@on("GET", "/cluster/ha/resources")
def ha(node: Node, call: Call) -> Any:
    return [{"sid": sid, "type": "vm", **each} for sid, each in node.state["ha"].items()]
