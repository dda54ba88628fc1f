"""``hostpci verify [ADDRESS]``: prove the claims with the kernel's own VFIO interface."""

from __future__ import annotations

import os
import sys

from ...diagnose.pointers import with_faults
from ...errors import Exit, NotPermittedError, UsageError
from ...executor.verify import verify
from ...model.address import parse_slot
from ...model.claim import Claim
from ...model.codec import document
from ...model.facts import Facts
from ...model.proof import Proofs
from ...render.proof import render_proof
from ..context import Context


def run(context: Context) -> int:
    if context.is_live and os.geteuid() != 0:
        raise NotPermittedError("needs-root", verb=sys.argv[1] if sys.argv[1:] else "verify")
    facts = context.facts()
    proofs = Proofs(
        proofs=tuple(
            verify(facts, claim, is_live=context.is_live, reset_test=context.args.reset_test)
            for claim in _claims(context, facts)
        )
    )
    if context.args.json:
        shown = with_faults(document("hostpci.proofs/1", proofs))
        context.json({**shown, "proven": proofs.proven})
    else:
        for proof in proofs.proofs:
            context.prose(render_proof(proof, context.catalog))
    return Exit.OK if proofs.proven else Exit.FINDINGS


def _claims(context: Context, facts: Facts) -> tuple[Claim, ...]:
    if not context.args.address:
        if not facts.claims.claims:
            raise UsageError("nothing-claimed")
        return facts.claims.claims
    slot = parse_slot(context.args.address)
    claim = facts.claims.of_slot(slot)
    if claim is None:
        raise UsageError("not-claimed", slot=slot)
    return (claim,)
