"""The fake node against what real PVE code answered: every status, reason and body.

What PVE itself makes up anew each time (numbers of processes, times, identifiers) is compared by
its form; lists that PVE takes from a Perl hash have no order.
"""

from __future__ import annotations

import http.client
import json
import re
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.pvenode.cluster import mapping_text
from tests.pvenode.node import Node, config_text, empty_state
from tests.pvenode.server import CERTIFICATES, Server
from tests.shared import WHY_SKIPPED, answers

ORACLE = answers("api-oracle")
HOST = answers("oracle-fake-host")
pytestmark = pytest.mark.skipif(not ORACLE or not HOST, reason=WHY_SKIPPED)

_AUTH = {
    "none": {},
    "root-token": {"Authorization": "PVEAPIToken=root@pam!all=s1"},
    "root-token-privsep": {"Authorization": "PVEAPIToken=root@pam!few=s2"},
    "alice-token": {"Authorization": "PVEAPIToken=alice@pve!all=s3"},
    "bad-token": {"Authorization": "PVEAPIToken=root@pam!all=wrong"},
    "root-ticket": {"Cookie": "PVEAuthCookie=PVE:root@pam:T", "CSRFPreventionToken": "CSRF"},
    "alice-ticket": {"Cookie": "PVEAuthCookie=PVE:alice@pve:T", "CSRFPreventionToken": "CSRF"},
    "bob-ticket": {"Cookie": "PVEAuthCookie=PVE:bob@pve:T", "CSRFPreventionToken": "CSRF"},
    "root-ticket-nocsrf": {"Cookie": "PVEAuthCookie=PVE:root@pam:T"},
}
_FORMS = (
    (re.compile(r"UPID:[^:\"]+(?::[0-9A-F]{8}){3}:"), "UPID:NODE:PID:PSTART:STARTTIME:"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<uuid>"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "<sha1>"),
    (re.compile(r"ctime=\d+"), "ctime=<time>"),
    (re.compile(r"(snaptime\"?: )\d{10}"), r"\g<1>0"),
    (re.compile(r"(\"(?:endtime|starttime|pid|pstart)\": )\d+"), r"\g<1>0"),
    (re.compile(r"\"AA:BB\""), '"<fingerprint>"'),
)  # fmt: skip


def node_of(version: int) -> Node:
    state = empty_state(version, f"pve{version}")
    listed = next(
        each for each in ORACLE[f"pve{version}"] if each["name"] == "pci list no blacklist"
    )
    types = {
        each["id"]: each["mdev_types"] for each in HOST["host"]["devices"] if "mdev_types" in each
    }
    state["devices"] = [
        {**each, **({"mdev_types": types[each["id"]]} if each["id"] in types else {})}
        for each in listed["body"]["data"]
    ]
    state["statd"] = 0
    state["users"] |= {"alice@pve": {"password": "a"}, "bob@pve": {"password": "b"}}
    state["tokens"] = {
        "root@pam!all": {"secret": "s1", "privsep": 0},
        "root@pam!few": {"secret": "s2", "privsep": 1},
        "alice@pve!all": {"secret": "s3", "privsep": 0},
    }
    state["acl"] = [
        {"path": "/nodes", "who": "alice@pve", "role": "PVEAuditor"},
        {"path": "/vms", "who": "alice@pve", "role": "PVEVMAdmin"},
        {"path": "/mapping/pci", "who": "alice@pve", "role": "PVEMappingUser"},
        {"path": "/vms", "who": "bob@pve", "role": "PVEVMAdmin"},
    ]
    return Node(state)


class Replay:
    """One recording from its first call to its last, against one node."""

    def __init__(self, version: int) -> None:
        self.name = f"pve{version}"
        self.node = node_of(version)
        self.server = Server(self.node)

    def ask(self, case: dict[str, Any]) -> dict[str, Any]:
        path = "/api2/json" + case["path"].replace("NODE", self.name)
        headers = dict(_AUTH[case["auth"]])
        text = json.dumps(case["params"] or {}).replace("{N}", self.name)
        params, body = json.loads(text), None
        if case["method"] in {"GET", "DELETE"}:
            path += f"?{urlencode(params, doseq=True)}" if params else ""
        elif case.get("json_body"):
            body, headers["Content-Type"] = json.dumps(params), "application/json"
        else:
            body = urlencode(params, doseq=True)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        context = ssl.create_default_context(cafile=str(CERTIFICATES / "server.crt"))
        link = http.client.HTTPSConnection(
            "127.0.0.1", self.server.port, context=context, timeout=20
        )
        link.request(case["method"], path, body=body, headers=headers)
        answer = link.getresponse()
        raw = answer.read()
        link.close()
        return {
            "status": answer.status, "reason": answer.reason,
            "content_type": answer.headers.get("Content-Type"),
            "body": json.loads(raw) if raw else "",
        }  # fmt: skip

    def spoil_the_file(self) -> None:
        """As whoever recorded this did, between two calls."""
        text = config_text(self.node.state["vms"].pop("200"))
        self.node.add_vm_text(200, text.replace("\n", "\nno: such setting\n", 1))

    def file(self, case: dict[str, Any]) -> str:
        if "mapping" in case["name"]:
            return mapping_text(self.node)
        return config_text(self.node.state["vms"]["200"])


def comparable(value: Any, node: str, *, keys_only: bool = False) -> Any:
    """What must be equal: forms for what is new each time, lists sorted, entries of maps too."""
    if keys_only:
        value = {"data_keys": sorted(value["data"])}
    text = json.dumps(value).replace(node, "NODE")
    for pattern, form in _FORMS:
        text = pattern.sub(form, text)
    return _sorted(json.loads(text))


def _sorted(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sorted(each) for key, each in value.items() if key != "total"}
    if isinstance(value, list):
        return sorted(
            (_sorted(each) for each in value), key=lambda each: json.dumps(each, sort_keys=True)
        )
    return ",".join(sorted(value.split(","))) if isinstance(value, str) and "=" in value else value


def differences(version: int) -> Iterator[str]:
    replay = Replay(version)
    with replay.server:
        for number, case in enumerate(ORACLE[f"pve{version}"]):
            wanted: Any = {
                key: case.get(key) for key in ("status", "reason", "content_type", "body")
            }
            if case["name"] == "config get with invalid line":
                replay.spoil_the_file()
            keys_only = "data_keys" in (case.get("body") or {})
            if "file" in case:
                found: Any = replay.file(case)
                wanted = case["file"]
                found, wanted = ("\n".join(sorted(each.split("\n\n"))) for each in (found, wanted))
            else:
                found = replay.ask(case)
                if keys_only:
                    found["body"] = {"data_keys": sorted(found["body"]["data"])}
            if "task" in case:
                wanted["task"] = case["task"]
                task = replay.node.state["tasks"][0]
                found["task"] = {
                    "type": task["type"],
                    "exitstatus": task["status"],
                    "log": task["log"],
                }
            left, right = (comparable(each, replay.name) for each in (found, wanted))
            if left != right:
                yield f"{number} {case['name']}\n   is     {left}\n   wanted {right}\n"


@pytest.mark.parametrize("version", [8, 9])
def test_every_recorded_answer_is_given(version: int) -> None:
    assert len(ORACLE[f"pve{version}"]) > 100
    assert list(differences(version)) == []
