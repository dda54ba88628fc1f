"""PVE's exceptions: plain words are status 500; the others carry a status and what is wrong."""

from __future__ import annotations

from collections.abc import Mapping

PARAMETERS = "Parameter verification failed.\n"


class Refusal(Exception):  # noqa: N818  (the word of the program's own tests)
    def __init__(
        self, message: str, *, status: int = 500, errors: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.message, self.status, self.errors = message, status, dict(errors or {})


def bad_parameter(**errors: str) -> Refusal:
    return Refusal(
        PARAMETERS, status=400, errors={k.replace("_", "-"): v for k, v in errors.items()}
    )


def denied(what: str = "") -> Refusal:
    return Refusal(f"Permission check failed{f' ({what})' if what else ''}\n", status=403)
