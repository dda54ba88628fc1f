"""ssh, where there is no agent: the same scripts, through the host's own client.

Nothing of ssh's checks is switched off: a host key that is not known is refused by ssh itself
(BatchMode asks nobody). The script travels base64 encoded, so that the login shell of the guest, be
it sh, fish or csh, has nothing to interpret.
"""

from __future__ import annotations

import re

from ..errors import EnvironmentFault, UsageError
from ..host.runner import Runner
from .shell import MAX_SAID_CHARS, GuestError, GuestShell, Said, clean, wrapped

# user@host, host, or [user@]IPv6; a leading dash would be an option of ssh
_TARGET = re.compile(
    r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}@)?[A-Za-z0-9\[][A-Za-z0-9.:\[\]%_-]{0,254}"
)
_MARK = "hostpci-status-"
_NO_ROOT = 253  # no exit status of a script of ours
_SSH = (
    "ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=15", "-o", "ServerAliveInterval=10",
    "-o", "ServerAliveCountMax=6", "-o", "ForwardAgent=no", "-o", "ForwardX11=no", "-T",
)  # fmt: skip


class SshShell(GuestShell):
    """A guest that is asked over ssh, as root or as somebody who may sudo without a password."""

    def __init__(self, runner: Runner, target: str) -> None:
        if not _TARGET.fullmatch(target):
            raise UsageError("guest-bad-target", target=target)
        self._runner = runner
        self._target = target

    @property
    def name(self) -> str:
        return self._target

    def is_there(self) -> bool:
        try:
            return self.run("true", timeout_s=30).code == 0
        except (GuestError, EnvironmentFault):
            return False

    def run(self, script: str, *, timeout_s: float) -> Said:
        try:
            done = self._runner.run(
                (*_SSH, "--", self._target, _carried(script)), timeout_s=timeout_s
            )
        except EnvironmentFault as error:
            if error.code == "command-timeout":
                seconds = round(timeout_s)
                raise GuestError("guest-slow", guest=self.name, seconds=seconds) from error
            if error.code != "command-failed":
                raise
            reason, _ = clean(str(error.params.get("reason", "")))
            raise GuestError("guest-ssh", guest=self.name, reason=reason[-400:]) from error
        return self._said(done.stdout, done.stderr)

    def _said(self, stdout: str, stderr: str) -> Said:
        """The status is the last line: ssh's own exit code cannot be told from a guest's."""
        body, mark, status = stdout.rstrip("\n").rpartition(_MARK)
        if not mark or not status.isascii() or not status.isdigit() or len(status) > 3:  # noqa: PLR2004
            what = clean(stdout[-60:])[0].replace("\n", " ")
            raise GuestError("guest-lies", guest=self.name, what=what)
        if int(status) == _NO_ROOT:
            raise GuestError("guest-no-root", guest=self.name)
        out, is_cut = clean(body[: MAX_SAID_CHARS + 1])
        return Said(code=int(status), out=out, err=clean(stderr)[0], is_cut=is_cut)


def _carried(script: str) -> str:
    """One line without quotes or white space in its data, for whatever login shell there is."""
    inner, outer = _base64(wrapped(script)), ""
    outer += 'as_root() { if [ "$(id -u)" = 0 ]; then sh; else sudo -n sh; fi; }\n'
    outer += (
        f'if [ "$(id -u)" = 0 ] || sudo -n true; then :; else echo {_MARK}{_NO_ROOT}; exit; fi\n'
    )
    outer += f"echo {inner} | base64 -d | as_root\nprintf '%s%s\\n' {_MARK} $?\n"
    return f"echo {_base64(outer)} | base64 -d | sh"


def _base64(text: str) -> str:
    import base64

    return base64.b64encode(text.encode("ascii")).decode("ascii")
