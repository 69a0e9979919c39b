"""As much of ClickHouse's grammar as a server needs before it hands a statement to chDB.

chDB is built for one trusted program: it runs several statements at once, writes files, ends the process and creates
tables it cannot open again. A ClickHouse server would refuse all that, so this one does.
"""

import itertools
import re
from collections.abc import Iterator
from typing import NamedTuple

from chassis.embedded.errors import NOT_IMPLEMENTED, SUPPORT_IS_DISABLED, SYNTAX_ERROR, Failed

HEAD_BYTES = 256 * 1024
"""How far into a request the statement may reach; what follows is data (ClickHouse's `max_query_size`)."""

# Whatever is not closed reaches to the end, so that the time to read a text grows with its length alone.
_TOKEN = re.compile(
    rb"""
      (?P<blank> \s+ | --[^\n]* | \#[\ !][^\n]* | /\*.*?(?:\*/|\Z) )
    | (?P<string> '(?:[^'\\]|\\.|'')*+(?:'|\Z) | \$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z) )
    | (?P<name> "(?:[^"\\]|\\.|"")*+(?:"|\Z) | `(?:[^`\\]|\\.|``)*+(?:`|\Z) )
    | (?P<word> [A-Za-z_]\w* )
    | (?P<number> \d\w* )
    | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_BEFORE_A_TABLE = frozenset({b"INTO", b"TABLE", b"FUNCTION", b"."})
_DATA_FOLLOWS = re.compile(rb"[ \t\f]*;?[ \t\f]*\r?\n?")
_LATE_SETTINGS = re.compile(rb"\s*SETTINGS\s", re.IGNORECASE)


class Token(NamedTuple):
    kind: str
    text: bytes
    start: int
    end: int

    @property
    def key(self) -> bytes:
        """The token as keywords are compared: in upper case; a quoted name keeps one mark, a string is no keyword."""
        match self.kind:
            case "name":
                return b"`" + self.text[1:-1].upper()
            case "string":
                return b"'"
            case _:
                return self.text.upper()


class Insert(NamedTuple):
    """An INSERT whose data follows it in the request."""

    head: bytes
    format: str
    data_at: int

    def from_file(self, path: str) -> bytes:
        """Return the statement that takes the data from a file instead, which is named before any SETTINGS."""
        before, at = None, len(self.head)
        for token in tokens(self.head):
            if token.kind == "word" and token.key == b"SETTINGS" and before not in _BEFORE_A_TABLE:
                at = token.start
                break
            before = token.key
        place = b"\nFROM INFILE '%b'\n" % path.encode()
        return b"%b%b%b\nFORMAT %b" % (self.head[:at], place, self.head[at:], self.format.encode())


def tokens(text: bytes) -> Iterator[Token]:
    """Split a statement, leaving out blanks and comments."""
    for found in _TOKEN.finditer(text):
        kind = next(name for name in ("blank", "string", "name", "word", "number", "mark") if found[name] is not None)
        if kind != "blank":
            yield Token(kind, found[kind], found.start(), found.end())


def insert_with_data(text: bytes) -> Insert | None:
    """Find where the data of an INSERT begins; None for any other statement, such as INSERT ... SELECT."""
    rest = tokens(text)
    before = next(rest, None)
    if before is None or before.kind != "word" or before.key != b"INSERT":
        return None
    depth = 0
    for token in rest:
        depth += {b"(": 1, b")": -1}.get(token.text, 0)
        if depth == 0 and token.kind == "word" and before.key not in _BEFORE_A_TABLE:
            match token.key:
                case b"SELECT" | b"WITH" | b"FROM":
                    return None
                case b"VALUES":
                    return Insert(text[: token.start], "Values", token.end)
                case b"FORMAT":
                    return _formatted(text, token, next(rest, None))
                case _:
                    pass
        before = token
    return Insert(text.rstrip(b"; \t\r\n"), "Values", len(text))


def _formatted(text: bytes, keyword: Token, name: Token | None) -> Insert:
    if name is None or name.kind != "word":
        raise Failed(SYNTAX_ERROR, "Syntax error: FORMAT must be followed by the name of a format")
    if _LATE_SETTINGS.match(text, name.end):
        raise Failed(SYNTAX_ERROR, "Syntax error: write SETTINGS before FORMAT, or give the settings in the URL")
    follows = _DATA_FOLLOWS.match(text, name.end)
    return Insert(text[: keyword.start], name.text.decode(), follows.end() if follows else name.end)


def output_format(text: bytes) -> str | None:
    """The format a query asks for in its own text."""
    found, before = None, None
    for token in tokens(text):
        if before is not None and before.kind == token.kind == "word" and before.key == b"FORMAT":
            found = token.text.decode()
        before = token
    return found


_DEFINES = frozenset({b"CREATE", b"ATTACH", b"REPLACE"})
_NO_KAFKA = (
    "ENGINE = Kafka is refused: chDB would leave the table half made, and the folder could never be opened again. "
    "Voltstream's analytics service reads Kafka itself"
)
_FORBIDDEN = {
    (b"ENGINE", b"KAFKA"): (SUPPORT_IS_DISABLED, _NO_KAFKA),
    (b"ENGINE", b"`KAFKA"): (SUPPORT_IS_DISABLED, _NO_KAFKA),
    (b"INTO", b"OUTFILE"): (NOT_IMPLEMENTED, "INTO OUTFILE is not allowed over HTTP"),
    (b"FROM", b"INFILE"): (NOT_IMPLEMENTED, "FROM INFILE is not allowed over HTTP: send the data instead"),
    (b"SYSTEM", b"SHUTDOWN"): (SUPPORT_IS_DISABLED, "SYSTEM SHUTDOWN is refused: send the process SIGTERM"),
    (b"SYSTEM", b"KILL"): (SUPPORT_IS_DISABLED, "SYSTEM KILL is refused: send the process SIGTERM"),
}


def check(text: bytes) -> None:
    """Raise `Failed` for no statement, for more than one, and for what chDB would do and a server would not."""
    keys = [token.key for token in tokens(text) if token.text != b"="]
    while keys and keys[-1] == b";":
        keys.pop()
    if not keys:
        raise Failed(SYNTAX_ERROR, "Syntax error: Empty query")
    if b";" in keys:
        raise Failed(SYNTAX_ERROR, "Syntax error: Multi-statements are not allowed")
    for pair in itertools.pairwise(keys):
        if pair in _FORBIDDEN and (keys[0] in _DEFINES or pair[0] != b"ENGINE"):
            code, message = _FORBIDDEN[pair]
            raise Failed(code, message)
