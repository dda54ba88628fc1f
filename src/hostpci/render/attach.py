"""The check list of a machine for a person: each finding, and what would mend it, as a diff."""

from __future__ import annotations

from collections.abc import Iterator

from ..i18n import Catalog
from ..model.vm import Attachment, Proposal
from .findings import render_finding
from .plan import config_diff


def render_check_list(attachment: Attachment, catalog: Catalog) -> Iterator[tuple[str, str]]:
    yield catalog.text("attach.head", slot=attachment.slot, vmid=attachment.vmid), "HEAD"
    yield "", ""
    shown: set[str] = set()
    named: set[str] = set()
    for finding in attachment.findings:
        yield from render_finding(finding, catalog, named)
        for proposal in attachment.proposals:
            if finding.code in proposal.mends and proposal.fix not in shown:
                shown.add(proposal.fix)
                yield from _proposal(proposal, catalog)
    yield "", ""


def _proposal(proposal: Proposal, catalog: Catalog) -> Iterator[tuple[str, str]]:
    kind = "needed" if proposal.is_needed else "chosen" if proposal.is_chosen else "offered"
    yield f"      {catalog.text(f'attach.fix-{kind}', fix=proposal.fix)}", ""
    for line in config_diff(proposal.changes):
        yield f"         {line}", "PASS" if line.startswith("+") else ""
