"""What the program answers about a recorded host, and whether that is what must be true of it."""

from __future__ import annotations

import difflib
from typing import Any

from hostpci.checks.registry import run_checks
from hostpci.errors import ToolError
from hostpci.model.address import parse_slot
from hostpci.model.facts import Facts
from hostpci.model.finding import Finding
from hostpci.model.plan import FileStep, Plan
from hostpci.planner.claim import claim_step
from hostpci.planner.plan import make_plan

from . import recorded_hosts


def answers(name: str) -> list[dict[str, Any]]:
    """One answer for each ``[[ask]]`` of the host, in their order."""
    description = recorded_hosts.describe(name)
    return [_answer(recorded_hosts.BuiltHost(description), ask) for ask in description.data["ask"]]


def _answer(host: recorded_hosts.BuiltHost, ask: dict[str, Any]) -> dict[str, Any]:
    """Findings, what claiming says, and the plan once it is claimed (also where claiming is
    refused: a claims file can be written by hand, and the plan must refuse too). Without an
    address: the plan for the host's options alone."""
    keys = ("address", "accept", "options", "host_options")
    said: dict[str, Any] = {key: ask[key] for key in keys if key in ask}
    host.set_options(ask.get("host_options", ()))
    try:
        if "address" in ask:
            said |= _about_slot(host, ask)
        said["plan"] = _plan(make_plan(host.facts(), bind_now=ask.get("now", False)))
    except ToolError as error:
        said["error"] = error.code
    return said


def _about_slot(host: recorded_hosts.BuiltHost, ask: dict[str, Any]) -> dict[str, Any]:
    facts, slot = host.facts(), parse_slot(ask["address"])
    accept = tuple(ask.get("accept", ()))
    found = run_checks(facts, slot, accept).findings
    said: dict[str, Any] = {"findings": [_finding(each) for each in found]}
    said["claim"] = _claim(facts, slot, accept)
    if facts.claims.of_slot(slot) is None:
        host.claim(slot, accept, ask.get("options", ()))
    return said


def _finding(each: Finding) -> str:
    """One line, so that a golden reads like the report: ``LEVEL outcome code subject ...``."""
    words = [each.level, each.outcome, each.code, each.subject or "-"]
    consent = getattr(each, "consent", "")
    words += ["BLOCKS"] if each.blocks else []
    words += [f"accept={consent}"] if consent else []
    return " ".join(words)


def _claim(facts: Facts, slot: str, accept: tuple[str, ...]) -> str:
    try:
        step = claim_step(facts, slot, accept)
    except ToolError as error:
        return str(error)
    return step.code if step else "claimed already"


def _plan(plan: Plan) -> dict[str, Any]:
    said: dict[str, Any] = {"refusals": [_finding(each) for each in plan.refusals]}
    said["steps"] = [_step(each) for each in plan.steps]
    said["reboot"] = str(plan.reboot)
    said["pending"] = list(plan.pending)
    said["can_bind_now"] = list(plan.can_bind_now)
    said["notes"] = [_finding(each) for each in plan.notes]
    return said


def _step(step: Any) -> dict[str, Any]:
    said: dict[str, Any] = {"code": step.code}
    if isinstance(step, FileStep):
        said["path"] = step.path
        if step.after is None:
            said["removed"] = True
        elif not step.path.startswith("/etc/udev/rules.d/10-hostpci-"):
            before, after = (step.before or "").splitlines(), step.after.splitlines()
            lines = list(difflib.unified_diff(before, after, n=0, lineterm=""))[2:]
            said["difference"] = [line for line in lines if not line.startswith("@@")]
    elif hasattr(step, "argv"):
        said["argv"] = " ".join(step.argv)
        said |= {key: list(getattr(step, key)) for key in ("words", "gone") if hasattr(step, key)}
    else:
        said |= {"address": step.address, "from_driver": step.from_driver}
    return said


# what must be true


def broken_expectations(expect: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """Sentences about what is otherwise than the description demands."""
    if "error" in expect or "error" in answer:
        found = answer.get("error", "no error")
        return [] if found == expect.get("error") else [f"error {found}"]
    plan = answer["plan"]
    problems = [*_findings_missing(expect, answer)]
    if "claim" in answer and not _claims_as_wanted(expect, answer["claim"]):
        problems.append(f"claiming says {answer['claim']}")
    if expect.get("refused") or expect.get("plan_refused"):
        return [*problems, *_refusals_wrong(expect, answer)]
    if plan["refusals"]:
        return [*problems, f"refused: {plan['refusals']}"]
    return [*problems, *_steps_wrong(expect, plan)]


def _claims_as_wanted(expect: dict[str, Any], said: str) -> bool:
    if "claim" in expect:
        return bool(said.startswith(expect["claim"]))
    if expect.get("refused"):
        return said.startswith(("claim-refused", "claim-needs-consent"))
    return said in {"claim-write", "claimed already"}


def _findings_missing(expect: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """``CODE LEVEL [SUBJECT]`` each; ``absent`` the other way round."""
    lines = [each.split() for each in answer.get("findings", ())]

    def is_there(wanted: str) -> bool:
        code, level, *subject = wanted.split()
        return any(
            words[2] == code and words[0] == level and (not subject or words[3] == subject[0])
            for words in lines
        )

    missing = [f"no finding {each}" for each in expect.get("findings", ()) if not is_there(each)]
    return missing + [f"finding {each}" for each in expect.get("absent", ()) if is_there(each)]


def _refusals_wrong(expect: dict[str, Any], answer: dict[str, Any]) -> list[str]:
    """Every wanted refusal is there, in the check, at claiming and in the plan; nothing is done."""
    problems = []
    plan = answer["plan"]
    for wanted in expect.get("refused", ()):
        places = {"check": answer.get("findings"), "plan": plan["refusals"]}
        for place, lines in places.items():
            if lines is None:
                continue
            if not any(_refuses(line, wanted) for line in lines):
                problems.append(f"{place} does not refuse for {wanted}")
    if plan["steps"]:
        problems.append("the plan has steps")
    if not plan["refusals"]:
        problems.append("the plan refuses nothing")
    return problems


def _refuses(line: str, wanted: str) -> bool:
    """``wanted``: a function that must be named (itself or its slot), or the code of a finding."""
    words = line.split()
    if "BLOCKS" not in words:
        return False
    return wanted == words[2] or words[3] in (wanted, wanted.rpartition(".")[0])


def _steps_wrong(expect: dict[str, Any], plan: dict[str, Any]) -> list[str]:
    """Files, programs, kernel words and the reboot: exactly these."""
    paths = sorted(step["path"] for step in plan["steps"] if "path" in step)
    runs = [step["argv"] for step in plan["steps"] if "argv" in step]
    refreshes = [each for each in runs if each.startswith("proxmox-boot-tool refresh")]
    others = sorted(each for each in runs if each not in refreshes)
    problems = []
    if paths != sorted(expect.get("writes", [])):
        problems.append(f"writes {paths}")
    if others != sorted(expect.get("runs", [])):
        problems.append(f"runs {others}")
    if bool(refreshes) != expect.get("refreshes", False):
        problems.append(f"ESPs refreshed: {bool(refreshes)}")
    if _words_added(plan) != expect.get("words", []):
        problems.append(f"words {_words_added(plan)}")
    if plan["reboot"] != expect.get("reboot", "none"):
        problems.append(f"reboot {plan['reboot']}")
    return problems


def _words_added(plan: dict[str, Any]) -> list[str]:
    """What the edits of the command line's files put in, in whatever syntax."""
    added: list[str] = []
    for step in plan["steps"]:
        if step.get("path", "").startswith(("/etc/default/grub", "/etc/kernel/cmdline")):
            gone = _words(step, "-")
            added += [word for word in _words(step, "+") if word not in gone]
    return added


def _words(step: dict[str, Any], sign: str) -> list[str]:
    lines = [line[1:] for line in step.get("difference", ()) if line.startswith(sign)]
    text = " ".join(line for line in lines if not line.startswith("#"))
    skipped = {"$GRUB_CMDLINE_LINUX_DEFAULT", "$GRUB_CMDLINE_LINUX"}
    bare = text.replace("GRUB_CMDLINE_LINUX_DEFAULT=", " ").replace('"', " ").replace("$ ", "")
    words = [word for word in bare.split() if word not in skipped and word != "$"]
    return [word for word in words if "GRUB_CMDLINE" not in word]
