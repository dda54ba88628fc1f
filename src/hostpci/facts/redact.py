"""Replaces what identifies a host, a person or a guest, or opens a door.

Three sieves: what is recognised by its form (keys, addresses, serial numbers behind their names),
what this host calls its own (its name, its guests, users, storages), and then every word that is
not known to be harmless. Equal things get equal replacements, so that what belongs together still
does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from .vocabulary import CORE, Vocabulary

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# 10de, 0000, 01, and the empty name
_MAY_BE_AN_ID = re.compile(r"[0-9A-Fa-f]{0,4}|[0-9]+|.{0,2}")
# Behind the host's name in the name of a file, these are no part of a domain
_FILE_SUFFIXES = {"conf", "cfg", "rules", "d", "img", "bak", "old", "txt", "list", "service", "sh"}
_SECRET_KEYS = (
    r"[\w.-]*(?:secret|token|api_?key|psk|serial(?:_?number|no)?"  # noqa: S105  (a pattern)
    r"|key|ssid|uuid|wwn|wwid)"
)
_PHRASE_KEYS = r"[\w.-]*(?:passw(?:or)?d|passphrase|ssid)"
# Masks, loopback, and what stands for any address
_NO_ADDRESS = ("0.0.0.0", "255.", "127.")  # noqa: S104  (not bound to)
_BENCHMARK_NETWORKS, _LINK_LOCAL = 512, 0xFE80 >> 6
# key=value, key: value, ATTRS{key}=="value", "key": "value"; of base64 the "==" is the end
_SETS = r"\}?\\*[\"']?\s*(?:[+:!=]?=|:)\s*"
_QUOTED = r"\\*\"[^\"\n]*\"?|\\*'[^'\n]*'?"
_SECRETS = (
    re.compile(
        rf"(?i)\b({_SECRET_KEYS}{_SETS})(?!ttyS|tty\d|socket\b|REDACTED)"
        rf"(?:{_QUOTED}|[^\s,\"'=][^\s,\"']*)"
    ),
    re.compile(
        rf"(?i)\b({_PHRASE_KEYS}(?:{_SETS}|[ \t]+))(?!REDACTED)(?:{_QUOTED}|[^\s\"'=:][^\s\"']*)"
    ),
    re.compile(r"(?i)\b((?:bearer|basic|PVEAPIToken=|PVEAuthCookie=)\s*)[\w.~+/=!@:%-]{8,}"),
    re.compile(r"\b(-name ['\"]?)[^,'\"\s]+"),
)
_UUID_KEY = re.compile(r"(?i)uuid\}?\\*[\"']?\s*(?:[+:!=]?=|:)\s*$")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{1,12}://)[^/@\s\"']+@")
_PUBLIC_KEY = re.compile(r"\b(ssh-(?:rsa|ed25519|dss)|(?:sk-)?ecdsa-sha2-\S+) [A-Za-z0-9+/=]{16,}")
_PEM = re.compile(r"-----BEGIN [A-Z0-9 ]+-----.*?(?:-----END [A-Z0-9 ]+-----|\Z)", re.DOTALL)
_JWT = re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?")
# base64 of 32 bytes (WireGuard, Ceph), and anything longer that only a program could have chosen
_BASE64 = re.compile(r"(?<![\w+/])(?:[A-Za-z0-9+/]{42,}={0,2}|[A-Za-z0-9+/]{22,}={1,2})(?![\w+/=])")
_MAC = re.compile(r"\b(?:[0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}\b")
_MAC_IN_NAME = re.compile(r"\b(en|wl)x[0-9a-f]{12}\b")
_UUID = re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b")
# The EFI's own: variables of the loader interface, and of the firmware
_PUBLIC_UUIDS = {"4a67b082-0a4c-41cf-b6c7-440b29bb8c4f", "8be4df61-93ca-11d2-aa0d-00e098032b8c"}
_VFAT = re.compile(r"(?<![\w-])(?=[0-9-]*[A-F])[0-9A-F]{4}-[0-9A-F]{4}(?![\w-])")
_WWN = re.compile(r"(?i)\b(wwn-0x|naa\.|eui\.|uuid\.|t10\.|0x(?=[56][0-9a-f]{15}\b))([\w.+-]{8,})")
_IQN = re.compile(r"\b(?:iqn|nqn|eui)\.[0-9]{4}-[0-9]{2}\.[\w.:-]+")
_DOTTED = r"(?:\d{1,3}\.){3}\d{1,3}"
_IPV4 = re.compile(rf"(?<![\d.]){_DOTTED}(?![\d.])")
_HEX = r"[0-9A-Fa-f]{1,4}"
_IPV6 = re.compile(
    rf"(?<![\w.:])(?:(?:{_HEX}:){{6}}{_DOTTED}|(?:{_HEX}:){{7}}{_HEX}"
    rf"|(?:{_HEX}(?::{_HEX}){{0,6}})?::(?:(?:{_HEX}:){{0,6}}(?:{_DOTTED}|{_HEX}))?)(?!\w|:[\w:])"
)
_SAYS_NOTHING = {"::", "::1"}
_UPID = re.compile(
    r"(UPID:)([\w.-]+)(:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s/]+:[^:\s/]*:)"
    r"([^:\s/]+)"
)
_ACCOUNT = re.compile(r"(?<![\w.+-])([^\W\d][\w.+-]*)@([\w-]+(?:\.[\w-]+)*)(!([\w.-]+))?")
_MAC_DIGITS = 12
_REALMS = {"pam", "pve"}
# Of random base64 such a run has an upper and a lower case letter, but for one in 10^5
_RANDOM_RUN = 12
_OURS = re.compile(r"(?:name|user|domain|token|node|vm|storage|pool|label|mapping)[0-9]{1,5}|host")
# A task whose node and user are replaced, an escaped end of a line, a function of the kernel in a
# trace, or a word
_WORD = re.compile(
    r"UPID:[\w.-]+:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}(?=:)"
    r"|(?<=\\)(?:x[0-9a-f]{2}|n(?=NVRM))|(?<=#)0[0-7]{2}"
    r"|[A-Za-z_][\w.]*(?=\+0x[0-9a-f]+/0x[0-9a-f]+)|[^\W_]+"
)


class Redactor:
    """``names``: what the host calls its own -> what kind of thing that is ("vm", "user", ...)."""

    def __init__(
        self, host_name: str = "", *, names: Mapping[str, str] | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:  # fmt: skip
        self._seen: dict[str, dict[str, int]] = {}
        self._members: dict[str, dict[str, int]] = {}
        self._vocabulary = vocabulary or Vocabulary()
        self._host = _pattern_of(host_name)
        self._kinds = {name.lower(): kind for name, kind in (names or {}).items()}
        self._names = _any_of(names or {})
        self._words: dict[tuple[str, bool], str] = {}

    @property
    def counts(self) -> dict[str, int]:
        """Kind of thing -> how many different ones were replaced."""
        return {kind: len(seen) for kind, seen in sorted(self._seen.items())}

    def _number(self, kind: str, found: str) -> int:
        seen = self._seen.setdefault(kind, {})
        return seen.setdefault(found.lower(), len(seen) + 1)

    def _named(self, kind: str, found: str) -> str:
        return found if _OURS.fullmatch(found) else f"{kind}{self._number(kind, found)}"

    def _secret(self, _match: re.Match[str]) -> str:
        self._number("secret", _match[0])
        return "REDACTED"

    # by its form

    def _mac(self, found: str) -> str:
        digits = f"{self._number('mac', found.replace('-', ':')):08x}"
        return ":".join(("02", "00", *(digits[at : at + 2] for at in range(0, 8, 2))))

    def _ipv4(self, found: str) -> str:
        """Neighbours stay neighbours, in the networks for benchmarks (RFC 2544); what is no
        address of anybody stays."""
        if found.startswith(_NO_ADDRESS):
            return found
        self._number("address", found)
        network = self._number("network", found.rpartition(".")[0])
        host = self._among(found.rpartition(".")[0], found) - 1 & 0xFF
        if network < _BENCHMARK_NETWORKS:
            return f"198.{18 + (network >> 8)}.{network & 0xFF}.{host}"
        return f"240.{network >> 8 & 0xFF}.{network & 0xFF}.{host}"

    def _ipv6(self, found: str) -> str:
        if found in _SAYS_NOTHING:
            return found
        import ipaddress

        try:
            number = int(ipaddress.IPv6Address(found))
        except ValueError:
            number = self._number("address", found)  # 999 at the end of a mapped one
        self._number("address", found)
        network = self._number("network6", f"{number >> 64:x}")
        host = self._among(f"{number >> 64:x}", f"{number:x}")
        if number >> 118 == _LINK_LOCAL:
            return f"fe80::{host >> 16:x}:{host & 0xFFFF:x}"
        return f"2001:db8:0:{network & 0xFFFF:x}::{host >> 16:x}:{host & 0xFFFF:x}"

    def _among(self, network: str, found: str) -> int:
        """The how manieth of its network this one is."""
        members = self._members.setdefault(network, {})
        return members.setdefault(found, len(members) + 1)

    def _uuid(self, found: str) -> str:
        if found.lower() in _PUBLIC_UUIDS:
            return found
        return f"00000000-0000-0000-0000-{self._number('uuid', found):012x}"

    def _vfat(self, found: str) -> str:
        number = self._number("vfat", found)
        return f"F{number >> 12 & 0xFFF:03X}-F{number & 0xFFF:03X}"

    def _account(self, match: re.Match[str]) -> str:
        if match[2] in CORE - _REALMS and self._vocabulary.knows(match[1]):
            return match[0]  # who built the kernel
        user = match[1] if match[1] in CORE else self._named("user", match[1])
        realm = match[2] if match[2] in _REALMS else self._named("domain", match[2])
        token = f"!{self._named('token', match[4])}" if match[4] else ""
        return f"{user}@{realm}{token}"

    def _task(self, match: re.Match[str]) -> str:
        node = match[2]
        if node.lower() not in CORE and not (self._host and self._host.fullmatch(node)):
            node = self._named("node", node)
        return f"{match[1]}{node}{match[3]}{_ACCOUNT.sub(self._account, match[4])}"

    def _kept_key(self, match: re.Match[str]) -> str:
        """A UUID behind its key is replaced as one, so that it can still be found elsewhere."""
        value = match[0][len(match[1]) :].strip("\\\"'")
        if _UUID_KEY.search(match[1]) and (_UUID.fullmatch(value) or _VFAT.fullmatch(value)):
            return match[0]
        self._number("secret", match[0])
        return f"{match[1]}REDACTED"

    def patterns(self, text: str) -> str:
        """What is recognised by its form, and what the host calls its own."""
        text = _PEM.sub(self._secret, text)
        text = _PUBLIC_KEY.sub(lambda m: f"{m[1]} {self._secret(m)}", text)
        text = _JWT.sub(self._secret, text)
        text = _UPID.sub(self._task, text)
        for secret in _SECRETS:
            text = secret.sub(self._kept_key, text)
        text = _URL.sub(lambda m: f"{m[1]}{self._secret(m)}@", text)
        text = _ACCOUNT.sub(self._account, text)
        text = _IQN.sub(lambda m: f"iqn.2000-01.{self._named('domain', m[0])}", text)
        text = _WWN.sub(lambda m: f"{m[1]}{self._wwn(m)}", text)
        text = _IPV6.sub(lambda m: self._ipv6(m[0]), text)
        text = _MAC.sub(lambda m: self._mac(m[0]), text)
        text = _MAC_IN_NAME.sub(lambda m: f"{m[1]}x{self._number('mac', m[0]):012x}", text)
        text = _UUID.sub(lambda m: self._uuid(m[0]), text)
        text = _VFAT.sub(lambda m: self._vfat(m[0]), text)
        text = _IPV4.sub(lambda m: self._ipv4(m[0]), text)
        text = self._host.sub(_without_domain, text) if self._host else text
        return self._names.sub(self._own, text) if self._names else text

    def _wwn(self, match: re.Match[str]) -> str:
        number = self._number("wwn", match[2])
        return f"5{number:015x}" if match[1][-2:].lower() == "0x" else f"{number:016x}"

    def _own(self, match: re.Match[str]) -> str:
        return self._named(self._kinds[match[0].lower()], match[0])

    # word by word

    def text(self, text: str, *, any_hex: bool = False) -> str:
        """The patterns, and then every word that is not known to be harmless."""
        if not any_hex:
            text = _BASE64.sub(self._unless_a_path, text)
        return _WORD.sub(self._word(any_hex=any_hex), self.patterns(text))

    def _unless_a_path(self, match: re.Match[str]) -> str:
        """A path is made of such characters too, and a number: their words are looked at one by
        one. What only a program could have chosen has a long run of letters of both cases."""
        runs = match[0].rstrip("=").split("/")
        longest = max(runs, key=len)
        is_mixed = longest.lower() != longest != longest.upper()
        if len(longest) < _RANDOM_RUN or not is_mixed or self._vocabulary.knows(longest):
            return match[0]
        return self._secret(match)

    def _word(self, *, any_hex: bool) -> Callable[[re.Match[str]], str]:
        def replaced(match: re.Match[str]) -> str:
            word = match[0]
            if word.startswith("UPID:") or match.string.startswith("+0x", match.end()):
                return word
            known = self._words.get((word, any_hex))
            if known is None:
                is_known = self._vocabulary.knows(word, any_hex=any_hex)
                known = self._words[word, any_hex] = word if is_known else self._unknown(word)
            return known

        return replaced

    def _unknown(self, word: str) -> str:
        """In the form of what it replaces, where a reader may look at the form."""
        if word.isdecimal():
            return f"{10_000_000 + self._number('number', word)}"
        if word[:2] in ("0x", "0X"):
            return f"0x5{self._number('wwn', word[2:]):015x}"
        if (
            word.isascii()
            and len(word) >= _MAC_DIGITS
            and not set(word.lower()) - set("0123456789abcdef")
        ):
            return f"{self._number('digest', word):0{len(word)}x}"
        return f"name{self._number('name', word)}"

    def value(self, value: Any) -> Any:  # noqa: ANN401  (JSON)
        """JSON data, every string in it but keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(each) for each in value]
        if isinstance(value, dict):
            return {
                key: each if key in _OUR_WORDS else self.value(each) for key, each in value.items()
            }
        return value


# Keys of a history whose values are the program's own words
_OUR_WORDS = {"kind", "verb", "code", "reboot", "level", "outcome"}


def _pattern_of(host_name: str) -> re.Pattern[str] | None:
    """The host's name with whatever domain follows it; None if the name says nothing.

    A kernel that knows the short name says nothing of the domain, and files may.
    """
    short = host_name.partition(".")[0]
    if _MAY_BE_AN_ID.fullmatch(short) or short.lower() in CORE:
        return None
    return re.compile(rf"(?<![\w.]){re.escape(short)}((?:\.[\w-]+)*)(?!\w)", re.IGNORECASE)


def _without_domain(match: re.Match[str]) -> str:
    last = match[1].rpartition(".")[2]
    return f"host.{last}" if last in _FILE_SUFFIXES else "host"


def _any_of(names: Mapping[str, str]) -> re.Pattern[str] | None:
    """Any of these names, the longest first; without those that say nothing."""
    telling = [
        name
        for name in names
        if name.lower() not in CORE
        and not _MAY_BE_AN_ID.fullmatch(name)
        and not _OURS.fullmatch(name)
    ]
    if not telling:
        return None
    either = "|".join(re.escape(name) for name in sorted(telling, key=len, reverse=True))
    return re.compile(rf"(?<!\w)(?:{either})(?!\w)", re.IGNORECASE)
