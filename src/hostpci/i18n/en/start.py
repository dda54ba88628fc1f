"""Machines started and shut down."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "verb.start": "start a virtual machine; where that fails, the task's log is read and the cause told",
    "verb.stop": "shut a virtual machine down: the guest is asked, and given time",
    "option.timeout": "seconds that the guest has to end (default 180)",
    "option.force": "end QEMU if the guest has not ended by then: it loses what it has not written",
    "start.done": "VM {vmid} runs on {node} ({state}).",
    "start.was-running": "VM {vmid} runs already on {node} ({state}); nothing was done.",
    "start.warnings": "PVE started it with {status}:",
    "stop.done": "VM {vmid} has ended on {node}.",
    "stop.was-stopped": "VM {vmid} does not run on {node}; nothing was done.",
    "error.start-failed": "VM {vmid} did not start: {status}\n{log}",
    "error.start-failed.hint": "what its task's log points to stands below; 'hostpci explain CODE' tells more of a cause, 'hostpci check' looks at the host",
    "error.start-not-running": "PVE's task ended with {status}, but VM {vmid} does not run\n{log}",
    "error.start-not-running.hint": "under high availability its manager starts it: see 'ha-manager status'; else QEMU has ended at once: see 'journalctl -b' around now",
    "error.stop-still-running": "VM {vmid} was asked to end and still runs after {seconds} s ({status}); it was left running",
    "error.stop-still-running.hint": "it may still end; a guest without ACPI or agent does not hear it. 'hostpci stop {vmid} --force' ends QEMU after that time, which is a power cut for the guest",
    "error.stop-failed": "VM {vmid} could not be shut down: {status}",
    "error.stop-failed.hint": "see its task in the log of PVE: pvenode task list --vmid {vmid}",
    "error.stop-bad-timeout": "'{text}' is no number of seconds from 1 to {most}",
}
