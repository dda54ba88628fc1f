"""PVE asked on the node itself: ``pvesh``, as root.

What pvesh does that one must know [pve-manager PVE/CLI/pvesh.pm; pve-common PVE/CLIFormatter.pm,
PVE/RESTEnvironment.pm]:

* A call that starts a task waits for its end: the task's log goes to stdout before the answer, and
  the exit code is 0 also when the task failed. So only the last line is the answer, and how a task
  ended is asked of the task.
* What returns nothing prints nothing of its own (but may print its log).
* A call for another node goes through ssh; what that node printed comes back as one string.
* Options are read by Getopt::Long, which takes an empty value only as a word of its own.
"""

from __future__ import annotations

import json
import re

from ..errors import EnvironmentFault
from .node import METHODS, Params, Pve, PveError, Tick, wire
from .refusals import Answer, refusal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from ..host.runner import Runner

_READ_TIMEOUT_S = 60
# A task is waited for: the start of a machine with hundreds of GiB, a copy of a disk image
_CHANGE_TIMEOUT_S = 4 * 3600
# Anybody on the node can read the arguments of a process
_SECRETS = {"password", "cipassword", "ticket", "tfa-challenge", "keyring", "master-pubkey"}
_TASK = re.compile(r"UPID:[^:\s\"]+:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s]+:[^:\s]*:[^:\s]+:")  # fmt: skip  # noqa: E501
# A program of the task may have left its last line without an end; the answer is then behind it
_GLUED = re.compile(rf'"({_TASK.pattern})"$')
# Of a call for another node pvesh repeats the whole command line
_SSH = re.compile(r"command 'ssh .*' failed", re.DOTALL)
_WRONG_FIELDS = "400 Parameter verification failed."
_FIELD = re.compile(r"^([A-Za-z0-9_.\[\]-]+): (.+)$")


class ShellPve(Pve):
    """root@pam through pvesh."""

    is_local_root = True
    who = "root@pam"

    def __init__(self, runner: Runner, *, node: str = "", tick: Tick | None = None) -> None:
        self._runner = runner
        self._node = node
        self.tick = tick

    def call(self, method: str, path: str, params: Params = {}) -> Any:  # noqa: ANN401, B006
        name = f"{METHODS[method]} {path}"
        secret = next((key for key in params if key in _SECRETS), None)
        if secret is not None:
            raise PveError("pve-secret-in-words", call=name, field=secret)
        argv = ["pvesh", method, path, *_options(params), "--output-format", "json"]
        limit_s = _READ_TIMEOUT_S if method == "get" else _CHANGE_TIMEOUT_S
        try:
            stdout = self._runner.run(argv, timeout_s=limit_s).stdout
        except EnvironmentFault as error:
            raise self._refused(error, name, method) from error
        return _answer(stdout, name, method)

    def _refused(self, error: EnvironmentFault, name: str, method: str) -> PveError:
        """The arguments of the call are not repeated: a script for a guest may be among them."""
        if error.code == "command-failed":
            words = _SSH.sub("ssh failed", str(error.params["reason"]))
            return refusal(answer_of(words), call=name, who=self.who)
        if error.code == "command-timeout":
            code = "pve-unreachable" if method == "get" else "pve-lost"
            reason = f"pvesh did not end within {error.params['seconds']} s"
            return PveError(code, call=name, reason=reason)
        reason = str(error.params.get("reason", "not on this host"))
        return PveError("pve-no-pvesh", call=name, reason=reason)

    def node(self) -> str:
        """This node's name is the one that PVE calls local."""
        if not self._node:
            listed = self.call("get", "/cluster/status")
            local = [each for each in listed if each.get("type") == "node" and each.get("local")]
            self._node = str(local[0].get("name", "")) if local else ""
        if not self._node:
            raise PveError("pve-garbled", call="GET /cluster/status", reason="no local node")
        return self._node


def _options(params: Params) -> Iterator[str]:
    for key, value in params.items():
        for each in (value,) if isinstance(value, str | int) else value:
            yield f"--{key}"
            yield wire(each)


def _answer(stdout: str, name: str, method: str) -> Any:  # noqa: ANN401
    last = stdout.rstrip("\n").rpartition("\n")[2]
    try:
        found = json.loads(last) if last.strip() else None
    except ValueError:
        if method == "get":
            raise PveError("pve-garbled", call=name, reason=last[:200]) from None
        glued = _GLUED.search(last)
        # else only a log, such as that of a change of a configuration
        return glued[1] if glued else None
    task = _TASK.findall(found) if isinstance(found, str) else []
    return task[-1] if task else found


def answer_of(stderr: str) -> Answer:
    """pvesh's last words: ``400 Parameter verification failed.``, a line for each field, usage."""
    lines = [line for line in stderr.strip().splitlines() if not line.startswith("pvesh ")]
    if _WRONG_FIELDS not in lines:
        return Answer(message="\n".join(lines))
    errors: dict[str, str] = {}
    field = ""
    for line in lines[lines.index(_WRONG_FIELDS) + 1 :]:
        match = _FIELD.match(line)
        if match and not (field and match[1].startswith((f"{field}.", f"{field}["))):
            field = match[1]
            errors[field] = match[2]
        elif field:
            errors[field] += f"\n{line}"
    return Answer(message="Parameter verification failed.", status=400, errors=errors)
