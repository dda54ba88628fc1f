"""The doctor: what is found in logs."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "verb.doctor": "from a symptom in a log to the cause: this host, a capture, a file (--log), or one line",
    "verb.explain": "all that is known of one fault, by the code that doctor gives",
    "option.line": "one line of a log, pasted",
    "option.log": "read a log file; - is standard input",
    "option.code": "the code of a fault; without it, all codes",
    "error.doctor-what": "give a line, or --log, or --host, not several of them",
    "error.doctor-what.hint": "hostpci doctor reads this host's own logs; hostpci doctor --log FILE reads a file",
    "error.log-unreadable": "{path} cannot be read: {reason}",
    "error.no-such-fault": "no fault has the code '{name}'",
    "error.no-such-fault.hint": "hostpci explain lists all codes",
    "doctor.head": "= DIAGNOSIS FROM {lines} LINES =",
    "doctor.nothing": "Nothing in these lines is known to be a fault of passthrough.",
    "doctor.nothing.next": "give the lines around the moment it failed: the kernel's (journalctl -k) and the task's log of Proxmox VE",
    "doctor.harmless": "PASS: nothing to repair; the lines below look alarming and are harmless, or say that all is well",
    "doctor.explained-by": "a consequence of {cause}",
    "doctor.count": "  (and {count} such lines in all)",
    "doctor.cost": "Cost: {cost} Risk: {risk}.",
    "doctor.risk.none": "none",
    "doctor.risk.low": "low",
    "doctor.risk.medium": "medium",
    "doctor.risk.high": "high",
    "doctor.sources": "Sources: {sources}",
    "doctor.patterns": "It shows in lines such as (regular expressions):",
    "doctor.more": "more: hostpci explain {fault}",
    "doctor.kernel-log": "'hostpci doctor' reads what the kernel said, in this boot and in earlier ones",
    "doctor.explain": "hostpci explain CODE tells more of each.",
}
