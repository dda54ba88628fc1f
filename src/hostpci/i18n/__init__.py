"""Text by code: English, and Simplified Chinese where the user's locale asks for it.

A code is the identifier; its text is looked up at the edge and is never stored or sent.
"""

from __future__ import annotations

import os

from . import en

_LANGUAGES = ("en", "zh_CN")


class Catalog:
    """One language. A missing text is a defect (tests compare the catalogues key by key)."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._texts = en.TEXTS
        if language == "zh_CN":
            from . import zh_cn

            self._texts = zh_cn.TEXTS

    def has(self, code: str) -> bool:
        return code in self._texts

    def text(self, code: str, **params: object) -> str:
        """The text of ``code`` with its parameters filled in."""
        return self._texts[code].format(**params)

    def step_text(self, code: str, aspect: str = "") -> str:
        """The title of a step, or its why, risk or undo; the journal may be of another version."""
        key = f"step.{code}.{aspect}" if aspect else f"step.{code}"
        return self.text(key if key in self._texts else "step.unknown")


def choose_language(asked: str | None) -> str:
    """``--lang``, else the locale; the Linux console has no glyphs for Chinese."""
    if asked:
        return "zh_CN" if asked.lower().replace("-", "_").startswith("zh") else "en"
    if os.environ.get("TERM") == "linux":
        return "en"
    names = ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG")
    chosen = next((os.environ[name] for name in names if os.environ.get(name)), "")
    return "zh_CN" if chosen.startswith(("zh_CN", "zh_SG", "zh_Hans")) else "en"
