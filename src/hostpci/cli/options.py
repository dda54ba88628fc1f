"""The command line as one table: the parser, the help and the manual are made from it.

Help texts stand in the catalogue as ``verb.NAME`` and ``option.NAME``.
"""

from __future__ import annotations


class Option:
    """One option or argument; ``takes`` is the placeholder of its value, empty for a switch.

    A ``repeatable`` one collects a list; a ``verbatim`` one takes the next word whatever it is.
    ``text``: its key in the catalogue, where its name means something else in another verb.
    """

    def __init__(
        self,
        *names: str,
        takes: str = "",
        optional: bool = False,
        repeatable: bool = False,
        verbatim: bool = False,
        text: str = "",
    ) -> None:
        self.names = names
        self.takes = takes
        self.optional = optional
        self.repeatable = repeatable
        self.verbatim = verbatim
        self.is_positional = not names[0].startswith("-")
        self.key = text or names[-1].lstrip("-").replace("-", "_")


class Verb:
    """One verb; its code is ``cli/verbs/NAME.py``, imported only when it is called.

    ``internal``: for our own units, not on the first screen.
    """

    def __init__(self, name: str, *options: Option, internal: bool = False) -> None:
        self.name = name
        self.internal = internal
        self.options = (*options, JSON, LANG)


JSON = Option("--json")
LANG = Option("--lang", takes="LANG")
_HOST = Option("--host", takes="FILE")
_ROOT = Option("--root", takes="DIR")
_YES = Option("-y", "--yes")
_NOW = Option("--now")
_OUTPUT = Option("-o", "--output", takes="FILE")
_DRY_RUN = Option("--dry-run")
_ACCEPT = Option("--accept", takes="NAME", repeatable=True)
_ADDRESS = Option("address", takes="ADDRESS")
_KNOB = Option("knob", takes="NAME[=VALUE]")
_ANY_ADDRESS = Option("address", takes="ADDRESS", optional=True)
# For every verb that speaks with PVE: Context.pve() reads them
PVE = (
    Option("--api", takes="URL"),
    Option("--token-file", takes="FILE"),
    Option("--fingerprint", takes="SHA256"),
    Option("--node", takes="NAME"),
)

VERBS: tuple[Verb, ...] = (
    Verb("scan", Option("--full"), _HOST, _ROOT),
    Verb(
        "check",
        _ANY_ADDRESS,
        Option("--drift"),
        Option("--timer", takes="on|off"),
        _YES,
        _HOST,
        _ROOT,
    ),
    Verb("claim", _ADDRESS, _ACCEPT, _YES, _DRY_RUN, _ROOT),
    Verb("release", _ADDRESS, _YES, _DRY_RUN, _ROOT),
    Verb("options", _ANY_ADDRESS, _HOST, _ROOT),
    Verb("set", _KNOB, _ANY_ADDRESS, _YES, _DRY_RUN, _ROOT),
    Verb("unset", _KNOB, _ANY_ADDRESS, _YES, _DRY_RUN, _ROOT),
    Verb(
        "adopt",
        Option("--remove"),
        Option("codes", takes="CODE", repeatable=True),
        _YES,
        _DRY_RUN,
        _ROOT,
    ),
    Verb("plan", _NOW, _OUTPUT, _HOST, _ROOT),
    Verb(
        "apply",
        Option("plan", takes="PLAN", optional=True),
        _NOW,
        Option("--confirm-within", takes="TIME"),
        Option("--healthy", takes="CHECK,..."),
        Option("--resume"),
        _YES,
        _DRY_RUN,
        _ROOT,
        *PVE,
    ),
    Verb("confirm", _ROOT),
    Verb("verify", _ANY_ADDRESS, Option("--reset-test"), _HOST, _ROOT),
    Verb(
        "undo",
        Option("--last"),
        _NOW,
        Option("--skip-changed"),
        Option("--forget"),
        _YES,
        _DRY_RUN,
        _ROOT,
        *PVE,
    ),
    Verb(
        "lint",
        Option("--value", takes="VALUE", verbatim=True),
        Option("--config", takes="FILE"),
        Option("--mapping", "--mapping-file", takes="FILE"),
        Option("--pve", takes="8|9"),
        _HOST,
        _ROOT,
    ),
    Verb(
        "guest",
        Option("vmid", takes="VMID"),
        Option("--ssh", takes="USER@HOST"),
        Option("--plan", text="guest_plan"),
        Option("--driver", takes="NAME"),
        Option("--twice"),
        _YES,
        *PVE,
    ),
    Verb(
        "up",
        _ANY_ADDRESS,
        Option("--vm", takes="VMID"),
        Option("--until", takes="STAGE"),
        Option("--accept", takes="NAME", repeatable=True),
        Option("--driver", takes="NAME"),
        _NOW,
        Option("--confirm-within", takes="TIME"),
        Option("--healthy", takes="CHECK,..."),
        Option("--reboot"),
        _YES,
    ),
    Verb(
        "vm",
        Option("action", takes="create", text="vm_action"),
        Option("--name", takes="NAME", text="vm_name"),
        Option("--image", takes="FILE", text="vm_image"),
        Option("--ssh-key", takes="FILE", text="vm_key"),
        Option("--id", takes="VMID", text="vm_id"),
        Option("--storage", takes="NAME", text="vm_storage"),
        Option("--bridge", takes="NAME", text="vm_bridge"),
        Option("--cores", takes="N", text="vm_cores"),
        Option("--memory", takes="MIB", text="vm_memory"),
        Option("--disk", takes="GIB", text="vm_disk"),
        Option("--secure-boot", text="vm_secure_boot"),
        _YES,
        _DRY_RUN,
        *PVE,
    ),
    Verb(
        "attach",
        _ADDRESS,
        Option("--vm", takes="VMID", text="attach_vm"),
        Option("--mapping", takes="NAME", text="attach_mapping"),
        Option("--primary", text="attach_primary"),
        Option("--fix", takes="NAME", repeatable=True, text="attach_fix"),
        _YES,
        _DRY_RUN,
        _ROOT,
        *PVE,
    ),
    Verb(
        "detach",
        _ADDRESS,
        Option("--vm", takes="VMID", text="attach_vm"),
        _YES,
        _DRY_RUN,
        _ROOT,
        *PVE,
    ),
    Verb("start", Option("vmid", takes="VMID"), *PVE),
    Verb(
        "stop",
        Option("vmid", takes="VMID"),
        Option("--timeout", takes="SECONDS"),
        Option("--force"),
        *PVE,
    ),
    Verb(
        "doctor",
        Option("line", takes="LINE", optional=True),
        Option("--log", takes="FILE"),
        _HOST,
        _ROOT,
    ),
    Verb("explain", Option("code", takes="CODE", optional=True), Option("--decode", takes="KIND")),
    Verb("history", _HOST, _ROOT),
    Verb("capture", Option("--preview"), _OUTPUT, _HOST, _ROOT),
    Verb("demo"),
    Verb("trial-watch", _ROOT, internal=True),
    Verb("up-resume", internal=True),
    Verb(
        "hook",
        Option("number", takes="VMID"),
        Option("phase", takes="PHASE"),
        internal=True,
    ),
)


def verb_named(name: str) -> Verb | None:
    return next((verb for verb in VERBS if verb.name == name), None)
