"""Reads a whole host into one value."""

from __future__ import annotations

from ..host.root import Root
from ..host.runner import Runner
from ..model.facts import Facts
from .claims import read_claims
from .images import read_images, read_rules
from .look import Look
from .pci import read_inventory
from .settings import GRUB_DROPIN, read_settings
from .system import read_cpu, read_iommu, read_kernel, read_loader, read_platform


def collect(root: Root, runner: Runner) -> Facts:
    """Everything that checks and plans rest on. Raises CorruptError for unreadable claims."""
    look = Look(root)
    return Facts(
        platform=read_platform(look, runner),
        inventory=read_inventory(look),
        iommu=read_iommu(look),
        cpu=read_cpu(look),
        kernel=read_kernel(look),
        loader=read_loader(look),
        images=read_images(look, runner),
        rules=read_rules(look),
        grub_dropin=look.raw(GRUB_DROPIN),
        settings=read_settings(look),
        claims=read_claims(root),
        unmeasured=look.gaps,
    )
