"""Text by code: English, and Simplified Chinese where the user's locale asks for it.

A code is the identifier; its text is looked up at the edge and is never stored or sent.
"""

from __future__ import annotations

import os
from importlib import import_module

# Modules of each language, in the order in which they are searched
AREAS = (
    "core",
    "loader",
    "risks",
    "knobs",
    "trial",
    "drift",
    "pve",
    "guest",
    "lint",
    "up",
    "capture",
    "doctor",
    "evidence",
    "start",
    "vm",
    "decode",
)


def area_texts(language: str, area: str) -> dict[str, str]:
    """The texts of one area by code."""
    texts: dict[str, str] = import_module(f".{language.lower()}.{area}", __name__).TEXTS
    return texts


def all_texts(language: str) -> dict[str, str]:
    """Every text of a language by code."""
    return {key: text for area in AREAS for key, text in area_texts(language, area).items()}


class Catalog:
    """One language. A missing text is a defect (tests compare the catalogues key by key).

    Areas are loaded as they are needed: most calls say little, and start-up is a feature.
    """

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts: dict[str, str] = {}
        self._not_loaded = list(AREAS)

    def has(self, code: str) -> bool:
        while code not in self._texts and self._not_loaded:
            self._texts.update(area_texts(self.language, self._not_loaded.pop(0)))
        return code in self._texts

    def text(self, code: str, **params: object) -> str:
        """The text of ``code`` with its parameters filled in. Raises KeyError if there is none."""
        if not self.has(code):
            raise KeyError(code)
        return self._texts[code].format(**params)

    def step_text(self, code: str, aspect: str = "") -> str:
        """The title of a step, or its why, risk or undo; the journal may be of another version."""
        key = f"step.{code}.{aspect}" if aspect else f"step.{code}"
        return self.text(key if self.has(key) else "step.unknown")


def choose_language(asked: str | None) -> str:
    """``--lang``, else the locale; the Linux console has no glyphs for Chinese."""
    if asked:
        return "zh_CN" if asked.lower().replace("-", "_").startswith("zh") else "en"
    if os.environ.get("TERM") == "linux":
        return "en"
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return "zh_CN" if chosen.startswith(("zh_CN", "zh_SG", "zh_Hans")) else "en"
