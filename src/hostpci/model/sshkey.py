"""Public keys of ssh, told apart from what people give by mistake: the private half."""

from __future__ import annotations

import base64
import binascii

from .vmcreate import SshKeys

_KINDS = (
    "ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
)  # fmt: skip
_MAX_BYTES = 64 << 10
_LENGTH_BYTES = 4


def public_keys(content: bytes) -> SshKeys:
    """Nothing of what is no public key is repeated: it may be secret."""
    if len(content) > _MAX_BYTES:
        return SshKeys(problem="too-large")
    text = content.decode("utf-8", "replace")
    if "PRIVATE KEY" in text or "PuTTY-User-Key-File" in text:
        return SshKeys(problem="private")
    lines = [line.strip() for line in text.splitlines()]
    lines = [line for line in lines if line and not line.startswith("#")]
    if not lines:
        return SshKeys(problem="empty")
    if not all(line.isprintable() and _is_key(line) for line in lines):
        return SshKeys(problem="no-key")
    return SshKeys(text="\n".join(lines))


def _is_key(line: str) -> bool:
    """The blob repeats the kind, after its length [RFC 4253 6.6]: a cut line does not match."""
    kind, _, rest = line.partition(" ")
    blob = rest.split(" ", 1)[0]
    if kind not in _KINDS:
        return False
    try:
        raw = base64.b64decode(blob, validate=True)
    except (binascii.Error, ValueError):
        return False
    return _is_whole(raw, kind.encode())


def _is_whole(raw: bytes, kind: bytes) -> bool:
    fields, at = [], 0
    while at + _LENGTH_BYTES <= len(raw):
        size = int.from_bytes(raw[at : at + _LENGTH_BYTES])
        fields.append(raw[at + _LENGTH_BYTES : at + _LENGTH_BYTES + size])
        at += _LENGTH_BYTES + size
    return at == len(raw) and len(fields) > 1 and fields[0] == kind
