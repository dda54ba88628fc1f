"""The main job on the other maker's IOMMU."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "the main job on an Intel board (VT-d)"
HOSTS = ("intel-debian12",)


def run(lab: Lab) -> None:
    """Debian's kernel leaves VT-d off until it is told otherwise, so hostpci has one more thing
    to write; what exactly is its business, that it works and goes away again is ours."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    lab.check(
        condition=host.iommu_group_of("01:00.0") is not None, text="the card is in an IOMMU group"
    )
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    steps.undo_reboot_compare(lab, host)
