"""Reads a whole host into one value."""

from __future__ import annotations

from ..host.root import Root
from ..host.runner import Runner
from ..model.claim import Claims
from ..model.facts import Facts
from .claims import read_claims
from .guests import read_guests
from .images import read_images, read_rules
from .loader import read_loader
from .look import Look
from .network import read_network
from .options import read_options
from .pci import read_inventory
from .settings import GRUB_DROPIN, read_settings
from .state import read_state
from .system import read_cpu, read_iommu, read_kernel, read_platform
from .usage import read_other_inputs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model.journal import History


def collect(
    root: Root,
    runner: Runner,
    *,
    with_claims: bool = True,
    history: Callable[[], History] | None = None,
) -> Facts:
    """Everything that checks and plans rest on. Raises CorruptError for unreadable claims.

    Without claims nothing is compared with what we would write, so our files may hold anything.
    ``history`` reads the journal: it is asked whose words are in a line that everybody edits.
    """
    look = Look(root)
    settings = read_settings(look)
    return Facts(
        platform=read_platform(look, runner),
        inventory=read_inventory(look, runner),
        iommu=read_iommu(look),
        cpu=read_cpu(look),
        kernel=read_kernel(look),
        loader=read_loader(look, runner, history),
        images=read_images(look, runner),
        rules=read_rules(look, strict=with_claims),
        grub_dropin=look.own_text(GRUB_DROPIN) if with_claims else look.raw(GRUB_DROPIN),
        settings=settings,
        options=read_options(look, settings, strict=with_claims),
        claims=read_claims(root) if with_claims else Claims(text=None, claims=()),
        network=read_network(look),
        state=read_state(look),
        guests=read_guests(look),
        other_inputs=read_other_inputs(look),
        unmeasured=look.gaps,
    )
