"""A setting in a foreign file -> the knob of ours that has the same effect. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ..checks.knobs import against
from ..checks.leftovers import is_idle
from ..facts.loader import KERNEL_CMDLINE
from ..model.claim import Claim, Claims
from ..model.facts import Facts, Setting
from ..model.knob import Knob, Scope, knob_named, turned
from .commandline import is_read_by
from .knobstates import KNOB_OF_SETTING

_INITRAMFS_LIST = "/etc/initramfs-tools/modules"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The options after it (empty: as they were), or the code of why there is none."""

    claims: tuple[Claim, ...] = ()
    host_options: tuple[str, ...] = ()
    why_not: str = ""
    reason: str = "-"


def handover(
    facts: Facts, claims: tuple[Claim, ...], host_options: tuple[str, ...], setting: Setting
) -> Handover:
    """What takes the setting's place; nothing where it has no effect on this host."""
    if is_idle(facts, setting) or _is_never_read(facts, setting):
        return Handover()
    knob = knob_named(KNOB_OF_SETTING.get(setting.code, ""))
    if knob is None or setting.where.startswith(_INITRAMFS_LIST):
        return Handover(why_not="adopt-no-knob")
    facts = replace(facts, claims=replace(facts.claims, claims=claims, host_options=host_options))
    if knob.scope is Scope.HOST:
        return _to_host(facts, knob, setting)
    claim = _claim_for(facts.claims, setting, facts)
    if claim is None:
        return Handover(why_not="adopt-needs-claim")
    return _to_claim(facts, claim, knob, setting)


def _is_never_read(facts: Facts, setting: Setting) -> bool:
    """A word in the file of another loader: to take it over would turn on what was never on."""
    path = setting.where.partition(":")[0]
    is_of_loader = path == KERNEL_CMDLINE or path.startswith("/etc/default/grub")
    return is_of_loader and not is_read_by(facts.loader.loader, path)


def _to_host(facts: Facts, knob: Knob, setting: Setting) -> Handover:
    options = facts.claims.host_options
    present = _set_to(options, knob.name)
    if knob.name == "vfio-modules":
        wanted = _listed(knob.name, present, setting.value)
    elif knob.needs_value:
        wanted = f"{knob.name}={setting.value.partition('=')[2]}"
    else:
        wanted = knob.name
    if present and knob.name != "vfio-modules" and present != wanted:
        return Handover(why_not="adopt-set-otherwise", reason=present)
    found = _refusal(facts, wanted, "")
    return found or Handover(host_options=_with_option(options, knob.name, wanted))


def _to_claim(facts: Facts, claim: Claim, knob: Knob, setting: Setting) -> Handover:
    present = _set_to(claim.options, knob.name)
    wanted = _listed(knob.name, present, setting.value) if knob.takes else knob.name
    found = _refusal(facts, wanted, claim.slot)
    if found:
        return found
    changed = replace(claim, options=_with_option(claim.options, knob.name, wanted))
    return Handover(
        claims=tuple(changed if each is claim else each for each in facts.claims.claims)
    )


def _refusal(facts: Facts, option: str, slot: str) -> Handover | None:
    codes = [each.code for each in against(facts, turned(option, slot)) if each.blocks]
    return Handover(why_not="adopt-refused", reason=codes[0]) if codes else None


def _set_to(options: tuple[str, ...], name: str) -> str:
    return next((each for each in options if each.partition("=")[0] == name), "")


def _listed(name: str, present: str, value: str) -> str:
    """One more value of a list; a knob that is set without one means all of them already."""
    if present == name:
        return present
    values = [*filter(None, present.partition("=")[2].split(",")), value]
    return f"{name}={','.join(dict.fromkeys(values))}"


def _with_option(options: tuple[str, ...], name: str, wanted: str) -> tuple[str, ...]:
    present = _set_to(options, name)
    if not present:
        return (*options, wanted)
    return tuple(wanted if each == present else each for each in options)


def _claim_for(claims: Claims, setting: Setting, facts: Facts) -> Claim | None:
    """The claim that a setting is about; of the driver's family the first, where no claim says."""
    for claim in claims.claims:
        if _is_about(claim, setting, facts):
            return claim
    if setting.code == "blacklist" and setting.value.startswith("nv"):
        return next((each for each in claims.claims if _has_nvidia(each)), None)
    return None


def _has_nvidia(claim: Claim) -> bool:
    return any(each.identity.vendor == "10de" for each in claim.functions)


def _is_about(claim: Claim, setting: Setting, facts: Facts) -> bool:
    functions = facts.inventory.of_slot(claim.slot)
    if setting.code == "vfio-ids":
        listed = {":".join(each.split(":")[:2]) for each in setting.value.lower().split(",")}
        own = {f"{e.identity.vendor}:{e.identity.device}" for e in claim.functions}
        return listed <= own
    if setting.code == "cmdline-sysfb":
        return any(each.boot_vga for each in functions)
    return any(setting.value in each.rivals for each in functions)
