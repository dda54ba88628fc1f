"""A step that takes long: started in the guest, watched from here.

It is a service of its own in the guest (systemd-run; setsid where there is no systemd), for an
agent that restarts, or a connection that breaks, must not kill a package manager half-way. Its
output goes to a file under /run, which only root can write, and is read piece by piece.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from .shell import GuestError, GuestShell, clean

_UNIT = "hostpci-guest"
_PIECE_BYTES = 16384
_PAUSE_S = 2.0
_MAX_LOST = 20
_TAIL_CHARS = 1500

Progress = Callable[[str, float], None]

_START = """\
dir=$R/run/hostpci
umask 077
mkdir -p "$dir"
if [ -s "$dir/pid" ] && ! [ -e "$dir/status" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
    echo 'state busy'
    exit 0
fi
rm -f "$dir/status" "$dir/log" "$dir/pid"
: > "$dir/log"
cat > "$dir/step" <<'HOSTPCI_STEP'
R='@ROOT@'
PATH="$PATH:/usr/sbin:/usr/bin:/sbin:/bin"
LC_ALL=C
export PATH LC_ALL
(
@SCRIPT@
)
HOSTPCI_STEP
cat > "$dir/run" <<'HOSTPCI_STEP'
echo $$ > "$1/pid"
sh "$1/step" > "$1/log" 2>&1 < /dev/null
echo $? > "$1/status.new"
mv "$1/status.new" "$1/status"
HOSTPCI_STEP
if [ -d "$R/run/systemd/system" ] && command -v systemd-run > /dev/null 2>&1; then
    systemd-run --quiet --collect --unit=@UNIT@ -- /bin/sh "$dir/run" "$dir"
else
    setsid sh "$dir/run" "$dir" > /dev/null 2>&1 < /dev/null &
fi
echo 'state started'
"""
_LOOK = """\
dir=$R/run/hostpci
if [ -e "$dir/status" ]; then
    echo "state ended $(head -c 8 "$dir/status")"
elif [ -s "$dir/pid" ] && kill -0 "$(cat "$dir/pid")" 2>/dev/null; then
    echo 'state running'
elif [ -e "$dir/log" ]; then
    echo 'state quiet'
else
    echo 'state gone'
fi
if [ -e "$dir/log" ]; then
    wc -c < "$dir/log"
    tail -c +@FROM@ "$dir/log" | head -c @PIECE@
fi
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a step ended, and the end of what it said."""

    code: int
    tail: str


class LongRun:
    """Runs one step after another in a guest. ``now`` and ``sleep`` are arguments for tests."""

    def __init__(
        self,
        shell: GuestShell,
        *,
        progress: Progress | None = None,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        root: str = "",
    ) -> None:
        self._shell = shell
        self._progress = progress
        self._now = now
        self._sleep = sleep
        self._root = root

    def run(self, script: str, *, timeout_s: float) -> Ended:
        """Until it has ended. A step of an earlier run that still goes on is waited for first."""
        begin = self._now()
        while self._start(script) == "busy":
            self._wait(begin, timeout_s)
        return self._wait(self._now(), timeout_s)

    def _start(self, script: str) -> str:
        text = _START.replace("@ROOT@", self._root).replace("@UNIT@", _UNIT)
        said = self._shell.run(text.replace("@SCRIPT@", script), timeout_s=60)
        state = said.out.strip().rpartition("state ")[2]
        if said.code != 0 or state not in ("started", "busy"):
            raise GuestError("guest-no-start", guest=self._shell.name, said=said.last_words)
        return state

    def _wait(self, begin: float, timeout_s: float) -> Ended:
        said, lost = "", 0
        offset = 1
        while True:
            self._sleep(_PAUSE_S)
            try:
                state, size, piece = self._look(offset)
            except GuestError:
                lost += 1
                if lost > _MAX_LOST:
                    raise
                continue
            is_read = size < offset
            offset = max(offset, min(size + 1, offset + _PIECE_BYTES))
            said = (said + clean(piece)[0])[-_TAIL_CHARS:]
            kind, _, status = state.partition(" ")
            if kind == "ended" and is_read:
                return Ended(code=self._status(status), tail=said)
            lost = lost + 1 if kind in ("quiet", "gone") else 0
            if kind == "gone" or lost > _MAX_LOST:
                raise GuestError("guest-step-lost", guest=self._shell.name)
            self._tell(said, begin, timeout_s)

    def _tell(self, said: str, begin: float, timeout_s: float) -> None:
        elapsed_s = self._now() - begin
        if elapsed_s > timeout_s:
            raise GuestError("guest-step-slow", guest=self._shell.name, seconds=round(timeout_s))
        if self._progress is not None:
            lines = said.strip().splitlines()
            self._progress(lines[-1][:60] if lines else "...", elapsed_s)

    def _look(self, offset: int) -> tuple[str, int, str]:
        """The state, how many bytes there are by now, and the next piece of them."""
        script = _LOOK.replace("@FROM@", str(offset)).replace("@PIECE@", str(_PIECE_BYTES))
        said = self._shell.run(script, timeout_s=60)
        first, _, rest = said.out.partition("\n")
        size, _, piece = rest.partition("\n")
        size = size.strip() or "0"
        if not first.startswith("state ") or not (size.isascii() and size.isdigit()):
            raise GuestError("guest-lies", guest=self._shell.name, what=first[:60])
        return first.removeprefix("state "), int(size[:15]), piece

    def _status(self, text: str) -> int:
        if not (text.isascii() and text.isdigit()):
            raise GuestError("guest-lies", guest=self._shell.name, what=f"status={text[:20]}")
        return int(text)
