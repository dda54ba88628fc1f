"""What is known of faults, one TOML file a family; ``diagnose.knowledge`` reads and checks them."""

from __future__ import annotations

from pkgutil import get_data

FAMILIES = (
    "iommu", "boot", "drivers", "addresses", "reset", "bars", "vm", "sriov", "guest", "harmless",
)  # fmt: skip


def text_of(name: str) -> str:
    """The text of one file, also from within an archive. Raises OSError if it is not there."""
    data = get_data(__name__, f"{name}.toml")
    return "" if data is None else data.decode("utf-8")
