"""Laws of speaking with PVE: what goes in comes out; of garbage comes nothing but a PveError."""

from __future__ import annotations

import string
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from hostpci.errors import EnvironmentFault
from hostpci.host.runner import Completed, Keep, Runner
from hostpci.pve.https import HttpsPve, _Exchange, _shown, parse_fingerprint
from hostpci.pve.node import PveError
from hostpci.pve.refusals import Answer, refusal
from hostpci.pve.shell import ShellPve, answer_of
from hostpci.pve.tasks import parse_upid
from hostpci.pve.token import Token
from tests.pvenode.errors import PARAMETERS, Refusal
from tests.pvenode.pvesh import words_of

KEYS = st.from_regex(r"[a-z]{1,8}[0-9]{0,2}", fullmatch=True)
# PVE's words about a field do not look like another field
WORDS = st.text(alphabet=string.ascii_letters + string.digits + " '.,()-=", min_size=1).map(
    lambda text: f"w{text}".strip()
)
HEX = st.integers(0, 0xFFFFFFFF).map("{:08X}".format)
NAMES = st.from_regex(r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?", fullmatch=True)
SECRET = "11111111-2222-3333-4444-555555555555"


@given(errors=st.dictionaries(KEYS, WORDS, min_size=1, max_size=5))
def test_fields_survive_the_way_through_pvesh(errors: dict[str, str]) -> None:
    said = words_of(Refusal(PARAMETERS, status=400, errors=errors), "pvesh set <api_path>\n")
    assert dict(answer_of(said).errors) == errors


@given(key=KEYS, inner=st.dictionaries(KEYS, WORDS, min_size=1, max_size=4))
def test_what_is_wrong_within_a_field_stays_with_it(key: str, inner: dict[str, str]) -> None:
    text = "invalid format - format error\n" + "".join(
        f"{key}.{k}: {v}\n" for k, v in inner.items()
    )
    said = words_of(Refusal(PARAMETERS, status=400, errors={key: text}), "pvesh set <api_path>\n")
    assert {k: v.strip() for k, v in answer_of(said).errors.items()} == {key: text.strip()}


@given(
    node=NAMES, numbers=st.tuples(HEX, HEX, HEX), kind=NAMES, ident=st.one_of(st.just(""), NAMES)
)
def test_a_name_of_a_task_is_taken_apart(
    node: str, numbers: tuple[str, str, str], kind: str, ident: str
) -> None:
    found = parse_upid(f"UPID:{node}:{':'.join(numbers)}:{kind}:{ident}:ops@pve!gpu:")
    assert found is not None
    assert (found.node, found.type, found.id) == (node, kind, ident)
    assert found.start_s == int(numbers[2], 16)


@given(text=st.text())
def test_what_is_no_name_of_a_task_raises_nothing(text: str) -> None:
    found = parse_upid(text)
    assert found is None or text.startswith(f"UPID:{found.node}:")


@given(pin=st.binary(min_size=32, max_size=32))
def test_a_fingerprint_that_was_shown_can_be_given(pin: bytes) -> None:
    assert parse_fingerprint(_shown(pin.hex())) == pin.hex()


@given(message=st.text(), status=st.integers(0, 999), errors=st.dictionaries(st.text(), st.text()))
def test_whatever_pve_says_is_an_error_that_a_terminal_can_bear(
    message: str, status: int, errors: dict[str, str]
) -> None:
    error = refusal(Answer(message=message, status=status, errors=errors), call="GET /x", who="r")
    said = str(error.params["reason"])
    assert all(each.isprintable() or each == "\n" for each in said)
    assert len(said) <= 1500


@given(status=st.integers(200, 599), reason=st.text(), body=st.binary())
def test_of_garbage_comes_data_or_a_pve_error(status: int, reason: str, body: bytes) -> None:
    pve = HttpsPve("pve.test", Token(f"root@pam!gpu={SECRET}"))
    with suppress(PveError):
        _Exchange(pve, "GET", "GET /x")._understood(status, reason, body)


class Prints(Runner):
    def __init__(self, stdout: str, status: int) -> None:
        self.stdout, self.status = stdout, status

    def run(self, argv: Sequence[str], *, timeout_s: float, keep: Keep | None = None) -> Completed:
        if self.status:
            raise EnvironmentFault("command-failed", command="pvesh", status=1, reason=self.stdout)
        return Completed(argv=tuple(argv), code=0, stdout=self.stdout, stderr="")


@given(stdout=st.text(), status=st.integers(0, 1), method=st.sampled_from(["get", "set"]))
def test_whatever_pvesh_prints_is_data_or_a_pve_error(
    stdout: str, status: int, method: str
) -> None:
    answer: Any = None
    with suppress(PveError):
        answer = ShellPve(Prints(stdout, status)).call(method, "/x")
    assert answer is None or status == 0
