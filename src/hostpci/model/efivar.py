"""The EFI variables that tell systemd-boot what to boot (systemd's Boot Loader Interface)."""

from __future__ import annotations

DEFAULT = "LoaderEntryDefault"
ONE_SHOT = "LoaderEntryOneShot"
# What bootctl calls them; an empty word after it removes the variable
BOOTCTL_VERBS = {DEFAULT: "set-default", ONE_SHOT: "set-oneshot"}
_VENDOR = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
_ATTRIBUTE_BYTES = 4


def variable_path(name: str) -> str:
    return f"/sys/firmware/efi/efivars/{name}-{_VENDOR}"


def entry_named(content: bytes | None) -> str | None:
    """The entry that a variable names: UTF-16 after the attributes. None: there is no variable."""
    if content is None:
        return None
    return content[_ATTRIBUTE_BYTES:].decode("utf-16-le", "replace").rstrip("\0") or None


def bootctl_argv(name: str, entry: str | None) -> tuple[str, ...]:
    return ("bootctl", BOOTCTL_VERBS[name], entry or "")
