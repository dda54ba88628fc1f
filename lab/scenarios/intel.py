"""The main job on the other maker's IOMMU."""

from __future__ import annotations

from lab.scenario import Lab
from lab.scenarios import _steps as steps

DESCRIPTION = "the main job on an Intel board (VT-d)"
HOSTS = ("intel-debian12",)


def run(lab: Lab) -> None:
    """The same steps and demands as on the AMD board; Debian's kernel has VT-d on by default."""
    host = steps.factory_host(lab)
    steps.claim_apply_reboot(lab, host)
    host.confirm(steps.BOUND)
    lab.check(
        condition=host.iommu_group_of("01:00.0") is not None, text="the card is in an IOMMU group"
    )
    steps.verify_with_reset(lab, host)
    steps.nothing_to_do(lab, host)
    steps.undo_reboot_compare(lab, host)
