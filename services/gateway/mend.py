"""JSON that is almost JSON: what stations write when they lose count of their brackets and commas (T-49).

`mended` reads from the left for as long as there is one way to read it, and closes what is still open then. It is only
asked about what is no JSON, so that what conforms costs nothing.
"""

import json
import re

import msgspec
from msgspec import Struct

from contracts.stations import Violation

DEEPEST = 32
"""So many brackets may be open at once (T-50)."""

_TOKEN = re.compile(
    r"""
    (?P<blank>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<mark>[\[\]{},:])
    |(?P<string>"[^"\\]*(?:\\.[^"\\]*)*")
    |(?P<quoted>'[^'"\\]*')
    |(?P<scalar>[^\s\[\]{},:"'/]+)
    """,
    re.VERBOSE | re.DOTALL,
)
_NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?", re.ASCII)
_NEARLY_A_NUMBER = re.compile(r"\+?(?P<sign>-?)0*(?P<whole>\d*)(?P<decimals>\.\d*)?(?P<power>[eE][+-]?\d+)?", re.ASCII)
_WORDS = {"true", "false", "null"}
_ESCAPE = re.compile(r'(\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))|\\')
_CLOSES = {"[": "]", "{": "}"}


class Mended(Struct, frozen=True):
    """JSON, and what had to be done for it. `is_doubtful`: something could not be read and was left out."""

    text: str
    violations: tuple[Violation, ...]
    is_doubtful: bool
    rest: str = ""
    """Another array that follows its end."""


class _Open:
    """A bracket that is open, and what is in it so far."""

    def __init__(self, bracket: str) -> None:
        self.bracket = bracket
        self.items: list[str] = []
        self.key: str | None = None
        self.awaits_value = bracket == "["
        self.needs_comma = False

    def closed(self) -> str:
        return self.bracket + ",".join(self.items) + _CLOSES[self.bracket]


class _Bench:
    """Where a text is mended, token by token."""

    def __init__(self) -> None:
        self.rules: dict[str, str] = {}
        self.is_doubtful = False
        self.done: str | None = None
        self._open: list[_Open] = []

    def note(self, rule: str, detail: str) -> None:
        self.rules.setdefault(rule, detail)

    def take(self, kind: str, part: str, *, is_last: bool) -> bool:
        """Take in a token. False if there is no way to go on."""
        match kind, part:
            case _, _ if not self._open:
                if part != "[":
                    return False
                self._open.append(_Open(part))
            case "mark", "[" | "{":
                if len(self._open) >= DEEPEST or not self._may_begin():
                    return False
                self._open.append(_Open(part))
            case "mark", "]" | "}":
                return self._close(part)
            case "mark", ",":
                self._comma()
            case "mark", _:
                return self._colon()
            case "scalar", _:
                return self._scalar(part, is_last=is_last)
            case _:
                return self._text(part if kind == "string" else msgspec.json.encode(part[1:-1]).decode(), kind)
        return True

    def end(self) -> str | None:
        """Close what is open, and return the whole; None if nothing was ever opened."""
        if self._open:
            self.note("Q-23", "its end is missing")
            rules, inner = dict(self.rules), self._open[-1]
            self.is_doubtful |= inner.key is not None or (bool(inner.items) and not inner.needs_comma)
            while self._open:
                self._close(_CLOSES[self._open[-1].bracket])
            self.rules = rules
        return self.done

    def _may_begin(self) -> bool:
        """Whether a value may stand here."""
        inner = self._open[-1]
        if inner.needs_comma:
            self.note("Q-39", "a comma is missing")
            inner.needs_comma = False
            inner.awaits_value = inner.bracket == "["
        return inner.awaits_value

    def _value(self, text: str) -> bool:
        if not self._may_begin():
            return False
        inner = self._open[-1]
        inner.items.append(text if inner.key is None else f"{inner.key}:{text}")
        inner.key, inner.awaits_value, inner.needs_comma = None, False, True
        return True

    def _close(self, mark: str) -> bool:
        if all(_CLOSES[each.bracket] != mark for each in self._open):
            self.note("Q-39", "a bracket too many")
            return True
        while True:
            self._drop_key()
            inner = self._open.pop()
            if not inner.needs_comma and inner.items:
                self.note("Q-39", "a comma too many")
            if not self._open:
                self.done = inner.closed()
                return True
            self._value(inner.closed())
            if _CLOSES[inner.bracket] == mark:
                return True
            self.note("Q-23", "a bracket is missing")
            self.is_doubtful = True

    def _comma(self) -> None:
        inner = self._open[-1]
        self._drop_key()
        if not inner.needs_comma:
            self.note("Q-39" if inner.items else "Q-24", "a comma too many")
        inner.needs_comma, inner.awaits_value = False, inner.bracket == "["

    def _drop_key(self) -> None:
        inner = self._open[-1]
        if inner.key is not None:
            self.note("Q-25", "a value is missing")
            inner.key, inner.needs_comma = None, True

    def _colon(self) -> bool:
        inner = self._open[-1]
        if inner.key is None or inner.awaits_value:
            return False
        inner.awaits_value = True
        return True

    def _text(self, part: str, kind: str) -> bool:
        if kind == "quoted":
            self.note("Q-39", "a text in single quotes")
        text = self._escaped(part)
        inner = self._open[-1]
        if inner.bracket == "[" or inner.awaits_value:
            return self._value(text)
        if inner.key is not None:
            return False
        if inner.needs_comma:
            self.note("Q-39", "a comma is missing")
            inner.needs_comma = False
        inner.key = text
        return True

    def _escaped(self, part: str) -> str:
        """Return a text with the escapes that JSON knows; what is no character is replaced (Q-22)."""
        if "\\" not in part:
            return part
        try:
            return msgspec.json.encode(msgspec.json.decode(part, type=str)).decode()
        except ValueError:
            self.note("Q-22", "an escape that is no character")
        said = json.loads(_ESCAPE.sub(lambda found: found[1] or r"\\", part), strict=False)
        return msgspec.json.encode(said.encode("utf-8", "replace").decode()).decode()

    def _scalar(self, part: str, *, is_last: bool) -> bool:
        if is_last:
            return False  # more may have followed
        if _NUMBER.fullmatch(part) or part in _WORDS:
            return self._value(part)
        found = _NEARLY_A_NUMBER.fullmatch(part)
        if found and (found["whole"] or "0" in part or (found["decimals"] or ".") != "."):
            self.note("Q-39", "a number that JSON does not know")
            decimals = found["decimals"] or ""
            return self._value(
                f"{found['sign']}{found['whole'] or 0}{decimals if decimals != '.' else ''}{found['power'] or ''}"
            )
        if not self._open[-1].awaits_value and not self._open[-1].needs_comma:
            return False
        self.note("Q-39", "a word that JSON does not know")
        self.is_doubtful = True
        return self._value("null")


def mended(text: str) -> Mended | None:
    """Return the JSON array that `text` was meant to be; None if it does not even begin like one."""
    bench, place = _Bench(), 0
    end = len(text.rstrip())
    while place < end and bench.done is None:
        found = _TOKEN.match(text, place)
        if found is None or found.lastgroup is None:
            bench.is_doubtful = True
            break
        place = found.end()
        if found.lastgroup == "blank":
            if not found[0].isspace():
                bench.note("Q-39", "a comment")
        elif not bench.take(found.lastgroup, found[0], is_last=place >= end):
            bench.is_doubtful = True
            break
    whole = bench.end()
    if whole is None:
        return None
    rest = "" if bench.is_doubtful else text[place:end].strip()
    if rest:
        bench.note("T-40", "something follows its end")
    violations = tuple(Violation(*each) for each in bench.rules.items())
    return Mended(whole, violations, bench.is_doubtful, rest if rest.startswith("[") else "")
