"""Reads what knobs act on: our own files, the files of others, and what modules show of theirs."""

from __future__ import annotations

from collections.abc import Iterator

from ..model.facts import OptionFacts, RuleFile, Setting, SettingsFile
from ..model.hook import HOOK
from ..model.knob import KNOBS, MODPROBE_CONF, MODULES_CONF
from .look import Look

# Not of a knob, but of a host that iommu=pt would take its memory encryption from
_SEV_SNP = ("kvm_amd", "sev_snp")


def read_options(look: Look, settings: tuple[Setting, ...], *, strict: bool = True) -> OptionFacts:
    """``strict``: raise CorruptError if one of our files is no text."""
    read = look.own_text if strict else look.raw
    modprobe = read(MODPROBE_CONF)
    return OptionFacts(
        modprobe=None
        if modprobe is None
        else RuleFile(
            path=MODPROBE_CONF, text=modprobe, modified_ns=look.modified_ns(MODPROBE_CONF)
        ),
        modules=read(MODULES_CONF),
        parameters=dict(_parameters(look)),
        files=tuple(_files(look, settings)),
        # Who else would call it; and captures of older hosts do not say whether it is there
        hook=read(HOOK) if look.exists("/usr/bin/pveversion") else None,
    )


def _parameters(look: Look) -> Iterator[tuple[str, str]]:
    shown = [(knob.module.replace("-", "_"), knob.option) for knob in KNOBS if knob.is_shown]
    for module, option in (*shown, _SEV_SNP):
        if module:
            value = look.text(f"/sys/module/{module}/parameters/{option}")
            if value is not None:
                yield f"{module}.{option}", value


def _files(look: Look, settings: tuple[Setting, ...]) -> Iterator[SettingsFile]:
    """The files that settings stand in, as they would be edited: to the byte."""
    paths = dict.fromkeys(setting.where.partition(":")[0] for setting in settings)
    for path in paths:
        if path.startswith("/etc/") and not path.startswith(("/etc/udev/", "/etc/driverctl.d/")):
            content = look.binary(path)
            try:
                text = None if content is None else content.decode("utf-8")
            except UnicodeDecodeError:
                text = None
            yield SettingsFile(path=path, text=text)
