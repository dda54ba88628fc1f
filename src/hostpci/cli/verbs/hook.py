"""``hostpci hook VMID PHASE``: called by Proxmox VE, through our hook script.

It fails closed: a machine whose card cannot be had does not start. It keeps out of the way of every
machine that is not meant: restored under another number, or without the card in its configuration.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ...errors import BusyError, ConflictError, Exit, RefusedError, ToolError, UsageError
from ...executor.apply import Machine, exclusive
from ...executor.bind import bind_to_vfio, driver_of, hand_back_to_any, identity_of
from ...executor.verify import verify
from ...model.claim import Claim
from ...model.facts import Facts
from ...model.guests import GuestKind
from ...model.hook import Phase
from ...model.knob import lent_to
from ...model.pci import VFIO
from ...planner.plan import why_not_now
from ..context import Context

# PVE waits for a hook script; a run of ours that holds the lock is over by then, or is stuck
_LOCK_S = 60.0
# QEMU is gone before post-stop, but its group may be let go of a moment later
_RELEASE_S = 30.0
_POLL_S = 0.5


def run(context: Context) -> int:
    vmid, phase = _asked(context)
    if phase not in (Phase.PRE_START, Phase.POST_STOP):
        return Exit.OK
    facts = context.facts()
    claims = tuple(each for each in facts.claims.claims if lent_to(each) == vmid)
    if not claims:
        context.tell("hook.not-ours", vmid=vmid)
        return Exit.OK
    machine = context.machine()
    with _locked(machine):
        if phase is Phase.PRE_START:
            return _take(context, machine, vmid, claims)
        return _give_back(context, machine, vmid, claims)


def _asked(context: Context) -> tuple[int, Phase]:
    text, phase = context.args.number, context.args.phase
    if not (text.isascii() and text.isdigit()) or phase not in [each.value for each in Phase]:
        raise UsageError("hook-words", text=f"{text} {phase}")
    return int(text), Phase(phase)


@contextmanager
def _locked(machine: Machine) -> Iterator[None]:
    """Our own runs are short; nobody is there who could try again."""
    deadline_s = time.monotonic() + _LOCK_S
    while True:
        try:
            with exclusive(machine):
                yield
                return
        except BusyError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_POLL_S)


def _take(context: Context, machine: Machine, vmid: int, claims: tuple[Claim, ...]) -> int:
    """Every card that the machine's configuration names, or none of them."""
    facts = context.facts()
    taken: list[str] = []
    try:
        for claim in claims:
            if not _is_wanted(facts, vmid, claim):
                context.tell("hook.not-in-config", vmid=vmid, slot=claim.slot)
                continue
            reason = why_not_now(facts, claim)
            if reason is not None:
                raise RefusedError(
                    "hook-cannot-take", slot=claim.slot, vmid=vmid, reason=reason.code
                )
            for each in claim.functions:
                _demand_identity(machine, claim, each.address)
                if driver_of(machine.files, each.address) != VFIO:
                    taken.append(each.address)
                    bind_to_vfio(machine.files, machine.runner, each.address)
            _demand_proof(context, vmid, claim)
    except ToolError:
        for address in taken:
            hand_back_to_any(machine.files, address)
        raise
    for address in taken:
        context.tell("hook.taken", address=address, vmid=vmid)
    return Exit.OK


def _is_wanted(facts: Facts, vmid: int, claim: Claim) -> bool:
    return any(
        guest.kind is GuestKind.VM
        and guest.number == vmid
        and any(place.startswith(claim.slot) for each in guest.devices for place in each.places)
        for guest in facts.guests
    )


def _demand_identity(machine: Machine, claim: Claim, address: str) -> None:
    wanted = next(each.identity for each in claim.functions if each.address == address)
    found = identity_of(machine.files, address)
    if found != wanted:
        raise ConflictError("hook-other-card", address=address, found=str(found or "-"))


def _demand_proof(context: Context, vmid: int, claim: Claim) -> None:
    proof = verify(context.facts(), claim, is_live=context.is_live, reset_test=False)
    if not proof.proven:
        failed = next(each for each in proof.steps if each.outcome != "holds")
        raise ConflictError(
            "hook-not-proven",
            slot=claim.slot,
            vmid=vmid,
            question=failed.code,
            answer=failed.answer,
        )


def _give_back(context: Context, machine: Machine, vmid: int, claims: tuple[Claim, ...]) -> int:
    for claim in claims:
        for each in claim.functions:
            if driver_of(machine.files, each.address) == VFIO:
                driver = _handed_back(machine, each.address)
                context.tell(
                    "hook.given-back", address=each.address, driver=driver or "-", vmid=vmid
                )
    return Exit.OK


def _handed_back(machine: Machine, address: str) -> str | None:
    deadline_s = time.monotonic() + _RELEASE_S
    while True:
        try:
            return hand_back_to_any(machine.files, address)
        except ConflictError:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(_POLL_S)
