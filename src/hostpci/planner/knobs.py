"""What the knobs that are set write: kernel words, and two files of our own. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from ..checks.knobs import drivers_of
from ..model.facts import Facts, InitramfsImage
from ..model.knob import (
    KNOBS,
    MODPROBE_CONF,
    MODULES_CONF,
    Turned,
    Writes,
    knob_named,
    turned_knobs,
)
from ..model.plan import FileStep

_HEADER = """\
# Written by "hostpci apply" for the options in /etc/hostpci.toml, taken back by "hostpci undo".
"""
_GUIDE_MODULES = ("vfio", "vfio_iommu_type1", "vfio_pci")


def _in_use(facts: Facts, writes: Writes) -> Iterator[Turned]:
    """Set knobs of one kind, in the order of the table: same knobs, same bytes."""
    found = turned_knobs(facts.claims)
    for knob in KNOBS:
        if knob.writes is writes:
            yield from (each for each in found if each.name == knob.name)


def kernel_words(facts: Facts) -> tuple[str, ...]:
    """The words for the next boots' command lines, each once."""
    words = [f"{each.knob.word}{each.value}" for each in _in_use(facts, Writes.KERNEL_WORD)]
    return tuple(dict.fromkeys(words))


def is_turned(facts: Facts, name: str) -> bool:
    return any(each.name == name for each in turned_knobs(facts.claims))


def modprobe_lines(facts: Facts) -> tuple[str, ...]:
    lines: list[str] = []
    ids: list[str] = []
    for each in _in_use(facts, Writes.MODPROBE):
        if each.name == "bind-by-ids":
            ids += [identity for identity in _ids(facts, each) if identity not in ids]
        else:
            lines += _lines_of(facts, each)
    first = [f"options vfio-pci ids={','.join(ids)}"] if ids else []
    return tuple(dict.fromkeys([*first, *lines]))


def _ids(facts: Facts, each: Turned) -> list[str]:
    claim = facts.claims.of_slot(each.slot)
    functions = claim.functions if claim else ()
    return [f"{one.identity.vendor}:{one.identity.device}" for one in functions]


def _lines_of(facts: Facts, each: Turned) -> list[str]:
    if each.name == "blacklist":
        return [f"blacklist {driver}" for driver in drivers_of(facts, each)]
    if each.name == "softdep":
        return [f"softdep {driver} pre: vfio-pci" for driver in drivers_of(facts, each)]
    knob = each.knob
    return [f"options {knob.module} {knob.option}={knob.value}"]


def listed_modules(facts: Facts) -> tuple[str, ...]:
    """Modules to load at boot: those named, else those of the guide that this kernel has."""
    names: list[str] = []
    for each in _in_use(facts, Writes.MODULES):
        known = facts.kernel.modules or ()
        names += each.value.split(",") if each.value else [n for n in _GUIDE_MODULES if n in known]
    return tuple(dict.fromkeys(names))


def knob_steps(facts: Facts) -> Iterator[FileStep]:
    """The edits of our two files that make them say what is set, and nothing else."""
    found = facts.options.modprobe
    before, after = found.text if found else None, _text(modprobe_lines(facts))
    if before != after:
        if after is not None:
            yield FileStep(code="options-write", path=MODPROBE_CONF, before=before, after=after)
        else:
            yield FileStep(code="options-remove", path=MODPROBE_CONF, before=before, after=None)
    before, after = facts.options.modules, _text(listed_modules(facts))
    if before != after:
        if after is not None:
            yield FileStep(code="modules-write", path=MODULES_CONF, before=before, after=after)
        else:
            yield FileStep(code="modules-remove", path=MODULES_CONF, before=before, after=None)


def _text(lines: tuple[str, ...]) -> str | None:
    return _HEADER + "".join(f"{line}\n" for line in lines) if lines else None


def lacks_options(facts: Facts, image: InitramfsImage) -> bool:
    """True if an image holds a module that our options are about, but not the options of now.

    mkinitramfs copies /etc/modprobe.d/*.conf into every image, where it only matters for the
    modules that are in there too. /etc/modules-load.d is read on the real root alone.
    """
    after = _text(modprobe_lines(facts))
    if after is None or not (_concerns(facts, image) or is_turned(facts, "initramfs-all")):
        return False
    found = facts.options.modprobe
    is_same = found is not None and found.text == after and image.has_options
    return found is None or not is_same or image.modified_ns < found.modified_ns


def has_old_options(facts: Facts, image: InitramfsImage) -> bool:
    """True if options that go with this plan would live on in an image and act there."""
    goes = facts.options.modprobe is not None and not modprobe_lines(facts)
    return goes and image.has_options and _concerns(facts, image)


def _concerns(facts: Facts, image: InitramfsImage) -> bool:
    found = facts.options.modprobe
    before, after = found.text if found else None, _text(modprobe_lines(facts))
    return bool((_modules_in(before) | _modules_in(after)) & set(image.modules or ()))


def _modules_in(text: str | None) -> set[str]:
    lines = [line.split() for line in (text or "").splitlines() if not line.startswith("#")]
    return {words[1].replace("-", "_") for words in lines if len(words) > 1}


def waiting_knobs(facts: Facts) -> Iterator[str]:
    """What is set and not in effect in this boot, as far as a running kernel shows it."""
    for word in kernel_words(facts):
        if word not in facts.kernel.command_line:
            yield word
    for each in _in_use(facts, Writes.MODPROBE):
        if shown_value(facts, each.name) is False:
            yield f"{each.knob.module}.{each.knob.option}={each.knob.value}"
    for module in listed_modules(facts):
        if is_loaded(facts, module) is False:
            yield module


def shown_value(facts: Facts, name: str) -> bool | None:
    """Whether a loaded module shows the knob's value; None where that cannot be seen."""
    knob = knob_named(name)
    if knob is None or not knob.module or not knob.is_shown:
        return None
    shown = facts.options.parameters.get(f"{knob.module.replace('-', '_')}.{knob.option}")
    if shown is None:
        return None
    return ("1" if shown in ("Y", "1") else "0") == knob.value


def is_loaded(facts: Facts, module: str) -> bool | None:
    """Built-in modules are always there (and not in /proc/modules)."""
    config = facts.kernel.config or {}
    built_in = config.get(f"CONFIG_{module.upper()}") == "y"
    return built_in or module in facts.kernel.loaded_modules
