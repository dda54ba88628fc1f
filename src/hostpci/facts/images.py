"""Reads what is inside each initramfs: the modules, and copies of our own rules."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from ..errors import EnvironmentFault
from ..host.runner import Runner
from ..model.facts import InitramfsImage, RuleFile
from ..model.knob import MODPROBE_CONF
from ..model.network import LINK_NAME
from ..model.rule import RULE_NAME, RULES_DIRECTORY
from .look import Look

_MODULE = re.compile(r"/([^/]+)\.ko(?:\.xz|\.zst|\.gz)?$")
_IMAGE_PREFIX = "initrd.img-"
_LIST_TIMEOUT_S = 300


def read_images(look: Look, runner: Runner) -> tuple[InitramfsImage, ...]:
    """Every /boot/initrd.img-RELEASE, listed with the distribution's own lsinitramfs."""
    names = [name for name in look.names("/boot") if name.startswith(_IMAGE_PREFIX)]
    # A kernel package leaves RELEASE.dpkg-bak copies; no loader entry points at them.
    return tuple(
        _read_image(look, runner, f"/boot/{name}")
        for name in names
        if not name.endswith((".dpkg-bak", ".bak", ".old-dkms", ".new"))
    )


def _read_image(look: Look, runner: Runner, path: str) -> InitramfsImage:
    def relevant(lines: Iterable[str]) -> Iterator[str]:
        return (
            line
            for line in lines
            if _MODULE.search(line) or _own_file_in(line) or _is_options(line)
        )

    modules: tuple[str, ...] | None = None
    own: set[str] = set()
    has_options = False
    try:
        listing = runner.run(["lsinitramfs", path], timeout_s=_LIST_TIMEOUT_S, keep=relevant)
    except EnvironmentFault as error:
        look.note(path, str(error))
    else:
        lines = listing.stdout.splitlines()
        found = {match[1].replace("-", "_") for line in lines if (match := _MODULE.search(line))}
        modules = tuple(sorted(found))
        own = {name for line in lines if (name := _own_file_in(line))}
        has_options = any(_is_options(line) for line in lines)
    return InitramfsImage(
        path=path,
        release=path.rpartition(_IMAGE_PREFIX)[2],
        modified_ns=look.modified_ns(path),
        modules=modules,
        claim_rules=tuple(sorted(name for name in own if RULE_NAME.fullmatch(name))),
        links=tuple(sorted(name for name in own if LINK_NAME.fullmatch(name))),
        has_options=has_options,
    )


def _own_file_in(line: str) -> str:
    name = line.rpartition("/")[2]
    return name if RULE_NAME.fullmatch(name) or LINK_NAME.fullmatch(name) else ""


def _is_options(line: str) -> bool:
    return f"/{line.strip()}".endswith(MODPROBE_CONF)


def read_rules(look: Look, *, strict: bool = True) -> tuple[RuleFile, ...]:
    """Our rule files as they lie on the root. ``strict``: raise CorruptError if one is no text."""
    read = look.own_text if strict else look.raw
    names = [name for name in look.names(RULES_DIRECTORY) if RULE_NAME.fullmatch(name)]
    paths = [f"{RULES_DIRECTORY}/{name}" for name in names]
    return tuple(
        RuleFile(path=path, text=read(path) or "", modified_ns=look.modified_ns(path))
        for path in paths
    )
