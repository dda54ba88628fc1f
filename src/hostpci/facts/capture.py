"""Makes captures. What is in one is what the readers asked for, redacted, and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

from .. import __version__
from ..host.capture import SCHEMA
from ..host.recording import RecordingRoot
from ..host.root import Root
from ..host.runner import RecordingRunner, Runner
from ..model.codec import encode
from ..model.journal import History
from .collect import collect

# Names so common that replacing them would say nothing and break paths such as /etc/pve
_COMMON_NAMES = {"pve", "debian", "proxmox", "localhost", "host", "server", "root"}
_SECRET = re.compile(
    r"(?i)\b([\w.-]*(?:passw(?:or)?d|passphrase|secret|token|api_?key|psk|serial|key))"
    r"(\s*[=:]\s*)(?!ttyS|tty\d)(\"[^\"]*\"|'[^']*'|[^\s,\"']+)"
)
_PUBLIC_KEY = re.compile(r"\b(ssh-(?:rsa|ed25519|dss)|ecdsa-sha2-\S+) [A-Za-z0-9+/=]{16,}")
_PEM = re.compile(r"-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----", re.DOTALL)
_MAC = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
_MAC_IN_NAME = re.compile(r"\b(en|wl)x[0-9a-f]{12}\b")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")


class Redactor:
    """Replaces what identifies a host or opens a door; equal things get equal replacements."""

    def __init__(self, host_name: str) -> None:
        self._seen: dict[tuple[str, str], int] = {}
        short = host_name.partition(".")[0]
        names = [name for name in (host_name, short) if name and name not in _COMMON_NAMES]
        words = "|".join(re.escape(name) for name in names)
        self._name = re.compile(rf"(?<![\w.])(?:{words})(?![\w])") if names else None

    def _number(self, kind: str, found: str) -> int:
        return self._seen.setdefault((kind, found.lower()), len(self._seen) + 1)

    def text(self, text: str) -> str:
        text = _PEM.sub("REDACTED", text)
        text = _PUBLIC_KEY.sub(r"\1 REDACTED", text)
        text = _SECRET.sub(r"\1\2REDACTED", text)
        text = _MAC.sub(lambda m: f"02:00:00:00:00:{self._number('mac', m[0]) % 256:02x}", text)
        text = _MAC_IN_NAME.sub(lambda m: f"{m[1]}x{self._number('mac', m[0]):012x}", text)
        text = _UUID.sub(
            lambda m: f"00000000-0000-0000-0000-{self._number('uuid', m[0]):012x}", text
        )
        text = _IPV4.sub(lambda m: f"192.0.2.{self._number('ip', m[0]) % 256}", text)
        return self._name.sub("host", text) if self._name else text

    def value(self, value: Any) -> Any:  # noqa: ANN401  (JSON)
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {self.text(key): self.value(each) for key, each in value.items()}
        return value


def make_capture(root: Root, runner: Runner, history: History) -> dict[str, Any]:
    """Read everything once and return the redacted capture as JSON data."""
    recording, recorder = RecordingRoot(root), RecordingRunner(runner)
    collect(recording, recorder)
    try:
        host_name = root.read_text("/proc/sys/kernel/hostname").strip()
    except OSError:
        host_name = ""
    data = {**recording.data, "commands": recorder.commands, "history": encode(history)}
    _keep_interfaces_only(data["files"])
    return {"schema": SCHEMA, "version": __version__, **Redactor(host_name).value(data)}


def _keep_interfaces_only(files: dict[str, str]) -> None:
    """The route table is asked for default routes alone; gateways are nobody's business."""
    table = files.get("/proc/net/route")
    if table is not None:
        rows = [line.split()[:2] for line in table.splitlines()[1:]]
        kept = [f"{row[0]}\t00000000" for row in rows if row[1:] == ["00000000"]]
        files["/proc/net/route"] = "\n".join(["Iface\tDestination", *kept]) + "\n"


def dump_capture(capture: dict[str, Any]) -> str:
    return json.dumps(capture, indent=0, sort_keys=True, ensure_ascii=True) + "\n"
