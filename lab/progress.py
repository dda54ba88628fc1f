"""Steps shown to a person: live on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

_TICK_S = 1.0
_PLAIN_TICK_S = 30.0


class Reporter:
    """Prints steps with elapsed seconds, and keeps a copy in a log file when given one."""

    def __init__(self, *, stream: TextIO | None = None, log: Path | None = None) -> None:
        self._stream = stream or sys.stderr
        self._log = log
        self._started_s = time.monotonic()
        self._live = self._stream.isatty()

    def line(self, text: str) -> None:
        """Print one line with the time since the start."""
        stamped = f"[{time.monotonic() - self._started_s:6.1f} s] {text}"
        print(stamped, file=self._stream, flush=True)
        if self._log:
            with self._log.open("a", encoding="utf-8") as log:
                log.write(stamped + "\n")

    @contextmanager
    def step(self, text: str) -> Iterator[None]:
        """Show that something is being done, for how long, and how long it took."""
        started_s = time.monotonic()
        done = threading.Event()
        ticker = threading.Thread(target=self._tick, args=(text, started_s, done), daemon=True)
        ticker.start()
        outcome = "failed after"
        try:
            yield
            outcome = "done in"
        finally:
            done.set()
            ticker.join()
            self._clear()
            self.line(f"{text}: {outcome} {time.monotonic() - started_s:.1f} s")

    def _tick(self, text: str, started_s: float, done: threading.Event) -> None:
        while not done.wait(_TICK_S if self._live else _PLAIN_TICK_S):
            elapsed_s = time.monotonic() - started_s
            if self._live:
                self._stream.write(f"\r\x1b[K  {text} ... {elapsed_s:.0f} s")
                self._stream.flush()
            else:
                self.line(f"{text} ... {elapsed_s:.0f} s so far")

    def _clear(self) -> None:
        if self._live:
            self._stream.write("\r\x1b[K")
            self._stream.flush()
