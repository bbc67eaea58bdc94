"""The modules that the source of a Python module names: those that it imports, and those that its texts mention.

A text may be what is imported later (`import_module(name)`, a lazy module, a table of plugins), or lead to data files
in the folder of the module.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

# Functions that import a module whose name is their first argument.
_IMPORTERS = frozenset({"import_module", "__import__", "run_module", "resolve_name"})
# "package.module", "package.module:function"
_DOTTED = re.compile(r"(?P<name>[^\W\d]\w*(?:\.\w+)+)(?::.*)?")
# ".module", and what is put behind a name: f"{__name__}.module", "%s.module".
_RELATIVE = re.compile(r"(?:%s|\{\w*\})?\.(?P<name>[^\W\d]\w*(?:\.\w+)*)(?::.*)?")
# The path of a file with an ending, in a folder: "tests/data/x.json".
_FILE = re.compile(r"(?:\.\.?/)*(?P<folder>\w+(?:/[\w.+-]+)*)/[\w.+-]*\.\w+")
_NAME = re.compile(r"[^\W\d]\w*")


@dataclass(frozen=True, slots=True)
class Named:
    """The absolute name of a module, or of what may be one. *is_text*: no import names it, but a text."""

    name: str
    is_text: bool = False


def find_named(data: bytes, file: str) -> Iterator[Named]:
    """Yield what the module *file*, with the source *data*, names: nothing where that cannot be parsed.

    The path *file* is relative to a folder of `sys.path`. An import for type checkers only is left out.
    """
    with suppress(SyntaxError, ValueError, RecursionError, MemoryError):
        yield from find_named_in(ast.parse(data), file)


def find_named_in(tree: ast.AST, file: str, skip: Callable[[ast.AST], bool] = lambda _: False) -> Iterator[Named]:
    """Yield what the syntax *tree* of the module *file* names, as `find_named`; without the nodes that *skip* tells."""
    *package, name = file.rpartition(".")[0].split("/")
    source = _Source(package, is_package=name == "__init__")
    queue: list[ast.AST] = [tree]
    while queue:
        node = queue.pop()
        if isinstance(node, ast.If) and _is_for_types(node.test):
            queue += node.orelse
            continue
        if skip(node):
            continue
        # A docstring is no text that a program uses.
        if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):
            queue += ast.iter_child_nodes(node)
        yield from source.find(node)


def imports_by_variable(tree: ast.AST) -> bool:
    """Return whether a function in the syntax *tree* imports a module whose name is no literal text."""
    return any(
        isinstance(node, ast.Call)
        and _called_name(node) in _IMPORTERS
        and bool(node.args)
        and _text_of(node.args[0]) is None
        for node in ast.walk(tree)
    )


class _Source:
    """A module in the package *package*, a list of names."""

    def __init__(self, package: list[str], *, is_package: bool) -> None:
        self._package = package
        self._is_package = is_package

    def find(self, node: ast.AST) -> Iterator[Named]:
        """Yield what *node* itself names, without the nodes below it."""
        if isinstance(node, ast.Import):
            yield from (Named(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = _resolve(node.module or "", node.level, self._package)
            if base is not None:
                yield Named(base)
                yield from (Named(f"{base}.{alias.name}".lstrip(".")) for alias in node.names)
        elif isinstance(node, ast.Call):
            if called := self._called(node):
                yield Named(called.replace(":", "."))
            yield from self._path(node.func, _texts(node.args))
            if _called_name(node) in ("attach", "attach_stub"):  # lazy_loader's
                yield from self._members(node)
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            yield from self._path(*_joined(node))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield from self._text(node.value)
        elif isinstance(node, ast.Module) and self._is_package:
            yield from self._lazy(node)

    def _called(self, call: ast.Call) -> str | None:
        if _called_name(call) not in _IMPORTERS or not call.args:
            return None
        name, package = _text_of(call.args[0]), self._package
        if name is None:
            return None
        level = len(name) - len(name.lstrip("."))
        if level:
            anchors = [*call.args[1:2], *(keyword.value for keyword in call.keywords if keyword.arg == "package")]
            if anchors and (anchor := _text_of(anchors[0])) is not None:
                package = anchor.split(".")
        return _resolve(name.lstrip("."), level, package)

    def _text(self, text: str) -> Iterator[Named]:
        if match := _DOTTED.fullmatch(text):
            yield Named(match["name"], is_text=True)
        elif match := _RELATIVE.fullmatch(text):
            yield from self._below_packages(match["name"])
        elif "/" in text:
            yield from self._path(None, [text])

    def _path(self, start: ast.AST | None, words: Sequence[str]) -> Iterator[Named]:
        """Yield the folder of the file to which *words* lead, from a package that *start* or the first word names."""
        for first in range(len(words)):
            match = _FILE.fullmatch("/".join(words[first:]))
            if match is None:
                continue
            folder = match["folder"].replace("/", ".")
            yield from self._below_packages(folder)
            named = [_text_of(node) for node in ast.walk(start)] if start is not None else []
            named += words[first - 1 : first] if first else []
            yield from (Named(f"{package}.{folder}", is_text=True) for package in named if package)

    def _below_packages(self, name: str) -> Iterator[Named]:
        """Yield *name* below the module's own package and below each package around that."""
        for depth in range(1, len(self._package) + 1):
            yield Named(".".join([*self._package[:depth], name]), is_text=True)

    def _lazy(self, module: ast.Module) -> Iterator[Named]:
        """Yield the names in `__all__`, in `__getattr__` of a package, and in the tables that this uses."""
        used: set[str] = {"__all__"}
        for node in module.body:
            if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
                used.update(name.id for name in ast.walk(node) if isinstance(name, ast.Name))
                yield from self._members(node)
        for node in module.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(isinstance(target, ast.Name) and target.id in used for target in targets):
                yield from self._members(node)
            elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):  # __all__.append("module")
                called = node.value.func
                if isinstance(called, ast.Attribute) and getattr(called.value, "id", "") == "__all__":
                    yield from self._members(node)

    def _members(self, node: ast.AST) -> Iterator[Named]:
        """Yield the texts in *node* as modules of the package."""
        for text in map(_text_of, ast.walk(node)):
            if text is not None and _NAME.fullmatch(text):
                yield Named(".".join([*self._package, text]), is_text=True)


def _text_of(node: ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def _texts(nodes: Sequence[ast.AST]) -> list[str]:
    """Return the texts at the end of *nodes*."""
    found: list[str] = []
    for node in reversed(nodes):
        if (text := _text_of(node)) is None:
            break
        found.insert(0, text)
    return found


def _joined(node: ast.AST) -> tuple[ast.AST, list[str]]:
    """Return what `folder / "a" / "b"` begins with, and its texts."""
    words: list[str] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div) and (text := _text_of(node.right)) is not None:
        words.insert(0, text)
        node = node.left
    return node, words


def _resolve(name: str, level: int, package: list[str]) -> str | None:
    if not level:
        return name
    if level > len(package):
        return None
    return ".".join([*package[: len(package) - level + 1], *([name] if name else [])])


def _is_for_types(test: ast.expr) -> bool:
    return (test.attr if isinstance(test, ast.Attribute) else getattr(test, "id", "")) == "TYPE_CHECKING"
