"""Laws: JSON round trip; a plan after apply is empty; undo after apply is the identity."""

from __future__ import annotations

import dataclasses
import json
import tempfile
import types
import typing
from enum import Enum
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hostpci.demo.nextboot import Boot
from hostpci.demo.scratch import fingerprint
from hostpci.errors import ConflictError, CorruptError
from hostpci.executor.apply import Executor, Machine
from hostpci.executor.journal import Journal, _line, _parse, read_history
from hostpci.executor.undo import Undoer
from hostpci.facts.claims import (
    parse_claims,
    with_claim,
    with_claim_changed,
    with_host_options,
    without_claim,
)
from hostpci.facts.collect import collect
from hostpci.host.files import HostFiles
from hostpci.host.root import TreeRoot
from hostpci.model import journal as journal_model
from hostpci.model.claim import Claim, ClaimedFunction
from hostpci.model.codec import decode, document, encode, open_document
from hostpci.model.facts import Facts
from hostpci.model.finding import Findings
from hostpci.model.journal import Entry, History
from hostpci.model.pci import Identity, Inventory
from hostpci.model.plan import FileStep, Plan
from hostpci.model.proof import Proofs
from hostpci.model.rule import rule_path, rule_text
from hostpci.planner.plan import make_plan

from ..hosts import RecordedHost
from .hosts import FakeHostRunner

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def values(expected: typing.Any) -> st.SearchStrategy[typing.Any]:
    """Any value of a model type, from its annotations."""
    origin, args = typing.get_origin(expected), typing.get_args(expected)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if each is type(None) else values(each) for each in args))
    if origin is tuple:
        return st.lists(st.deferred(lambda: values(args[0])), max_size=3).map(tuple)
    if origin is dict:
        return st.dictionaries(TEXT, st.deferred(lambda: values(args[1])), max_size=3)
    if dataclasses.is_dataclass(expected):
        hints = typing.get_type_hints(expected)
        fields = {each.name: values(hints[each.name]) for each in dataclasses.fields(expected)}
        build: typing.Any = expected
        return st.fixed_dictionaries(fields).map(lambda kwargs: build(**kwargs))
    if isinstance(expected, type) and issubclass(expected, Enum):
        return st.sampled_from(list(expected))
    simple = {str: TEXT, bool: st.booleans(), int: st.integers(-(2**63), 2**63)}
    return simple[expected]


@pytest.mark.parametrize("model", [Facts, Inventory, Findings, Plan, History, Proofs])
@SLOW
@given(data=st.data())
def test_every_document_survives_json(model: type, data: st.DataObject) -> None:
    value = data.draw(values(model))
    text = json.dumps(document("any/1", value))
    assert open_document(model, "any/1", json.loads(text), "test") == value


def named(entry: Entry) -> Entry:
    """The entry with names of the only form that the journal makes and accepts."""
    if isinstance(entry, journal_model.Intent | journal_model.UndoIntent):
        temporary = ".hostpci-0123456789abcdef.tmp" if entry.temporary else ""
        entry = dataclasses.replace(entry, temporary=temporary)
    if isinstance(entry, journal_model.Intent):
        before = tuple(
            dataclasses.replace(image, kept="0" * 64 if image.kept else None)
            for image in entry.before
        )
        entry = dataclasses.replace(entry, before=before)
    return entry


@SLOW
@given(entry=st.one_of(*(values(each) for each in typing.get_args(Entry))).map(named))
def test_every_journal_entry_survives_its_line(entry: Entry) -> None:
    assert _parse(_line(entry).rstrip(b"\n"), "test") == entry


@SLOW
@given(
    entry=values(journal_model.Intent).map(named),
    position=st.integers(0, 10_000),
    bit=st.integers(0, 7),
)
def test_one_flipped_bit_in_a_journal_line_is_noticed(
    entry: Entry, position: int, bit: int
) -> None:
    line = bytearray(_line(entry).rstrip(b"\n"))
    line[position % len(line)] ^= 1 << bit
    with pytest.raises(CorruptError):
        _parse(bytes(line), "test")


HEX4 = st.text("0123456789abcdef", min_size=4, max_size=4)
IDENTITIES = st.builds(
    Identity, vendor=HEX4, device=HEX4, subsystem_vendor=HEX4, subsystem_device=HEX4
)


NAMES = ["group-shares-usb", "disable-vga", "softdep", "iommu-pt", "acs-override"]
LISTS = st.lists(st.sampled_from(NAMES), unique=True, max_size=3).map(tuple)


@st.composite
def claims(draw: st.DrawFn) -> Claim:
    bus, device = draw(st.integers(0, 255)), draw(st.integers(0, 31))
    domain = draw(st.sampled_from(["0000", "0001", "10000"]))
    slot = f"{domain}:{bus:02x}:{device:02x}"
    numbers = draw(st.sets(st.integers(0, 7), min_size=1, max_size=4))
    return Claim(
        slot=slot,
        functions=tuple(
            ClaimedFunction(address=f"{slot}.{number}", identity=draw(IDENTITIES))
            for number in sorted(numbers)
        ),
        accept=draw(LISTS),
        options=draw(LISTS),
    )


def unlike(existing: list[Claim]) -> st.SearchStrategy[Claim]:
    return claims().filter(lambda claim: claim.slot not in {each.slot for each in existing})


@SLOW
@given(st.lists(claims(), max_size=4, unique_by=lambda claim: claim.slot), st.data())
def test_claiming_then_releasing_gives_the_same_bytes(
    existing: list[Claim], data: st.DataObject
) -> None:
    text: str | None = None
    for claim in existing:
        text = with_claim(text, claim)
    extra = data.draw(unlike(existing))
    longer = with_claim(text, extra)
    assert parse_claims(longer) == (*existing, extra)
    assert without_claim(longer, extra.slot) == text


@SLOW
@given(
    st.lists(claims(), max_size=3, unique_by=lambda claim: claim.slot),
    st.lists(TEXT.map(lambda text: "# " + " ".join(text.split())), max_size=2),
    LISTS,
    LISTS,
    st.data(),
)
def test_setting_knobs_and_taking_them_back_gives_the_same_bytes(
    existing: list[Claim],
    comments: list[str],
    early: tuple[str, ...],
    late: tuple[str, ...],
    data: st.DataObject,
) -> None:
    text: str | None = "".join(f"{each}\n" for each in comments if each.isprintable()) or None
    text = with_host_options(text, early)
    for claim in existing:
        text = with_claim(text, claim)
    changed = with_host_options(text, late)
    if late or not early:  # a block taken out comes back at the end of the file
        assert with_host_options(changed, early) == text
    if existing and text is not None:
        claim = data.draw(st.sampled_from(existing))
        wanted = dataclasses.replace(claim, accept=data.draw(LISTS), options=data.draw(LISTS))
        longer = with_claim_changed(text, wanted)
        assert [each for each in parse_claims(longer) if each != wanted] == [
            each for each in existing if each is not claim
        ]
        back = with_claim_changed(longer, claim)
        if (not claim.accept or wanted.accept) and (not claim.options or wanted.options):
            assert back == text
        assert parse_claims(back) == tuple(existing)


@SLOW
@given(claims(), claims())
def test_rules_bind_exactly_who_was_claimed(claim: Claim, other: Claim) -> None:
    """Played against the devices of another claim at the same slot, nothing is bound."""
    host = RecordedHost().facts().inventory
    template = host.functions[0]
    for present in (claim, other):
        here = [
            dataclasses.replace(
                template,
                address=f"{claim.slot}.{each.address[-1]}",
                identity=each.identity,
                driver="somebody",
            )
            for each in present.functions
        ]
        boot = Boot(Inventory(functions=tuple(here), groups=()), ["quiet"])
        after = boot.run({rule_path(claim.slot): rule_text(claim)})
        identities = {each.address: each.identity for each in here}
        same = all(identities.get(each.address) == each.identity for each in claim.functions)
        claimed = {each.address for each in claim.functions}
        for address, driver in after.items():
            assert driver == ("vfio-pci" if same and address in claimed else "somebody")


# Variations of the recorded host that a plan must cope with, in any combination
VARIATIONS = {
    "twin": lambda host: host.with_twin(),
    "nouveau bound": lambda host: host.with_driver("0000:01:00.0", "nouveau"),
    "audio free": lambda host: host.with_driver("0000:01:00.1", None),
    "rival in initramfs": lambda host: host.with_modules_in_initramfs("snd_hda_intel"),
    "intel, default off": lambda host: host.as_intel_default_off(),
    "guide's ids line": lambda host: host.with_file(
        "/etc/modprobe.d/vfio.conf", "options vfio-pci ids=10de:2d04 disable_vga=1\n"
    ),
    "old rule": lambda host: host.with_file(
        "/etc/udev/rules.d/10-hostpci-0000-05-00.rules", "# an earlier claim\n"
    ),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(names=st.sets(st.sampled_from(sorted(VARIATIONS))))
def test_plan_after_apply_is_empty_and_undo_after_apply_is_the_identity(names: set[str]) -> None:
    host = RecordedHost()
    for name in sorted(names):
        VARIATIONS[name](host)
    with tempfile.TemporaryDirectory() as directory:
        root = host.tree(Path(directory))
        runner = FakeHostRunner(directory, host)
        machine = Machine(files=HostFiles(directory), runner=runner, is_live=False, boot_id="one")
        before = fingerprint(directory, ("/var/lib/hostpci",))
        claim_guide(machine, root, runner)
        plan = make_plan(collect(root, runner))
        assert not plan.refusals
        assert plan.steps
        Executor(machine).apply(plan, "apply")
        assert make_plan(collect(root, runner)).steps == ()
        Undoer(machine).undo(read_history(root))
        assert fingerprint(directory, ("/var/lib/hostpci",)) == before


def claim_guide(machine: Machine, root: TreeRoot, runner: FakeHostRunner) -> None:
    functions = collect(root, runner).inventory.of_slot("0000:01:00")
    claim = Claim(
        slot="0000:01:00",
        functions=tuple(
            ClaimedFunction(address=each.address, identity=each.identity) for each in functions
        ),
    )
    step = FileStep(
        code="claim-write", path="/etc/hostpci.toml", before=None, after=with_claim(None, claim)
    )
    Executor(machine).apply(Plan(steps=(step,)), "claim")


CONTENT = st.one_of(st.none(), TEXT)


@settings(max_examples=60, deadline=None)
@given(
    before=st.lists(CONTENT, min_size=1, max_size=4),
    after=st.lists(CONTENT, min_size=4, max_size=4),
    meddling=st.one_of(st.none(), st.tuples(st.integers(0, 3), CONTENT)),
)
def test_undo_restores_every_byte_or_names_what_is_in_the_way(
    before: list[str | None], after: list[str | None], meddling: tuple[int, str | None] | None
) -> None:
    with tempfile.TemporaryDirectory() as directory:
        machine = Machine(
            files=HostFiles(directory), runner=FakeHostRunner(directory), is_live=False, boot_id=""
        )
        paths = [f"/etc/some/{index}" for index in range(len(before))]
        for path, text in zip(paths, before, strict=True):
            put(directory, path, text)
        steps = tuple(
            FileStep(code="rule-write", path=path, before=old, after=new)
            for path, old, new in zip(paths, before, after, strict=False)
            if old != new
        )
        original = fingerprint(directory, ("/var/lib/hostpci",))
        Executor(machine).apply(Plan(steps=steps), "apply")
        meddled = None
        if meddling is not None and steps:
            step = steps[meddling[0] % len(steps)]
            put(directory, step.path, meddling[1])
            meddled = step if meddling[1] not in (step.before, step.after) else None
        now = fingerprint(directory, ("/var/lib/hostpci",))
        history = Journal(machine.files).history()
        if meddled is None:
            Undoer(machine).undo(history)
            assert fingerprint(directory, ("/var/lib/hostpci",)) == original
        else:
            with pytest.raises(ConflictError, match="in-the-way"):
                Undoer(machine).undo(history)
            assert fingerprint(directory, ("/var/lib/hostpci",)) == now
            Undoer(machine, skip_changed=True).undo(history)
            kept = Path(directory + meddled.path)
            text = kept.read_bytes().decode() if kept.exists() else None
            assert text == meddling_text(meddling)
            others = fingerprint(directory, ("/var/lib/hostpci",))
            assert {**others, meddled.path: ""} == {**original, meddled.path: ""}


def meddling_text(meddling: tuple[int, str | None] | None) -> str | None:
    assert meddling is not None
    return meddling[1]


def put(directory: str, path: str, text: str | None) -> None:
    where = Path(directory + path)
    where.parent.mkdir(parents=True, exist_ok=True)
    if text is None:
        where.unlink(missing_ok=True)
    else:
        where.write_bytes(text.encode())


def test_the_encoder_writes_no_key_that_the_decoder_refuses() -> None:
    facts = RecordedHost().facts()
    assert decode(Facts, encode(facts)) == facts
