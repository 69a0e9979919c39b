"""A module's source with one small mistake in it, in every way that is tried."""

import ast
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from itertools import takewhile

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
}  # fmt: skip
"""What an operator becomes."""


SHOWN = 120
"""Characters of a long expression."""


@dataclass(frozen=True)
class Mutant:
    """A module's source with one small change."""

    at: tuple[int, int]
    """Line and column, as `ast` counts them."""
    was: str
    now: str
    source: str

    @property
    def line(self) -> int:
        return self.at[0]

    def __str__(self) -> str:
        """Say what was changed, on one line, and little of what was not."""
        same = len([*takewhile(lambda pair: pair[0] == pair[1], zip(self.was, self.now, strict=False))])
        begin, most = max(0, same - SHOWN // 2), max(SHOWN, abs(len(self.was) - len(self.now)) + SHOWN // 2)
        if begin == 0 or max(len(self.was), len(self.now)) <= SHOWN:
            return f"{self.was[:most]} → {self.now[:most]}"
        return f"…{self.was[begin : begin + most]} → …{self.now[begin : begin + most]}"


def changed(node: ast.AST, **fields: object) -> ast.AST:
    """Return a copy of a node with other fields."""
    other = copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def without(items: Sequence[ast.AST], index: int) -> list[ast.AST]:
    """Return the items but for one."""
    return [*items[:index], *items[index + 1 :]]


def constants(value: object) -> Sequence[str | bytes | int]:
    """Return what stands for a constant in a mutant."""
    match value:
        case bool():
            return [not value]
        case int():
            return [value + 1, value - 1]
        case str():
            return ["" if value else "mutant"]
        case bytes():
            return [b"" if value else b"mutant"]
        case _:
            return []


def conditions(node: ast.AST) -> Iterator[ast.expr]:
    """Find what a node decides by."""
    match node:
        case ast.If(test=test) | ast.IfExp(test=test) | ast.While(test=test) | ast.match_case(guard=ast.expr() as test):
            yield test
        case ast.comprehension(ifs=tests):
            yield from tests
        case _:
            pass


def alternatives(node: ast.AST, imported: set[str]) -> Iterator[ast.AST]:
    """Return what may stand for a node, each of them one small mistake."""
    match node:
        case ast.Compare(ops=ops):
            for index, op in enumerate(ops):
                yield changed(node, ops=[*ops[:index], SWAPS[type(op)](), *ops[index + 1 :]])
        case ast.BoolOp(op=op):
            yield changed(node, op=SWAPS[type(op)]())
        case ast.BinOp(op=ast.BitOr(), left=left):
            yield left
        case ast.BinOp(op=op) | ast.AugAssign(op=op) if type(op) in SWAPS:
            yield changed(node, op=SWAPS[type(op)]())
        case ast.UnaryOp(op=ast.Not() | ast.USub(), operand=operand):
            yield operand
        case ast.Constant(value=value):
            yield from (ast.Constant(each) for each in constants(value))
        case ast.Return(value=ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(value=ast.Call()):
            yield ast.Pass()
        case ast.List(elts=parts, ctx=ast.Load()) | ast.Tuple(elts=[_, _, *_] as parts, ctx=ast.Load()):
            yield from (changed(node, elts=without(parts, index)) for index in range(len(parts)))
        case ast.Call(func=func, keywords=named):
            yield from (changed(node, keywords=without(named, index)) for index in range(len(named)))
            match func:
                case ast.Attribute(value=ast.Name(id=name)) if name in imported:
                    pass
                case ast.Attribute(value=of):
                    yield of
                case _:
                    pass
        case _:
            pass


def left_alone(node: ast.AST) -> Iterator[ast.AST | None]:
    """Find the parts of a node that do nothing when it runs, or whose place in the source Python does not know."""
    match node:
        case ast.AnnAssign(annotation=said) | ast.arg(annotation=said):
            yield said
        case ast.FunctionDef(returns=said, decorator_list=others):
            yield from (said, *others)
        case ast.ClassDef(keywords=named, decorator_list=others):
            yield from (*named, *others)
        case ast.JoinedStr(values=parts):
            yield from parts
        case ast.Expr(value=ast.Constant() as text):
            yield text
        case ast.Subscript(value=ast.Name(id="Annotated" | "dict" | "list" | "tuple" | "Callable"), slice=said):
            yield said
        case ast.Call(func=ast.Name(id="TypeVar")):
            yield from ast.iter_child_nodes(node)
        case _:
            pass


def walked(node: ast.AST) -> Iterator[ast.AST]:
    """Go through what may be changed, in the order of the source."""
    yield node
    quiet = list(left_alone(node))
    for child in ast.iter_child_nodes(node):
        if child not in quiet:
            yield from walked(child)


def compiles(source: str) -> bool:
    """Return whether Python takes a mutant at all."""
    try:
        compile(source, "mutant", "exec")
    except (SyntaxError, ValueError):
        return False
    return True


def mutants(source: str) -> list[Mutant]:
    """Return every mutant of a module, in the order of its lines."""
    tree, text = ast.parse(source), source.encode()
    starts = [0]
    for line in text.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    imported = {
        (name.asname or name.name).partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    found: dict[str, Mutant] = {}

    def note(node: ast.expr | ast.stmt, other: ast.AST) -> None:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start, end = starts[node.lineno - 1] + node.col_offset, starts[node.end_lineno - 1] + node.end_col_offset
        now = ast.unparse(ast.fix_missing_locations(other))
        placed = now if isinstance(other, ast.stmt) else f"({now})"
        mutated = (text[:start] + placed.encode() + text[end:]).decode()
        if compiles(mutated):
            found.setdefault(mutated, Mutant((node.lineno, node.col_offset), ast.unparse(node), now, mutated))

    for node in walked(tree):
        for test in conditions(node):
            note(test, ast.Constant(True))
            note(test, ast.Constant(False))
        if isinstance(node, ast.expr | ast.stmt):
            for other in alternatives(node, imported):
                note(node, other)
    return sorted(found.values(), key=lambda each: each.line)
