"""Finds the imports that a module executes when it is imported, from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence


def find_imports(source: str, module: str, *, is_package: bool) -> list[str]:
    """Return the names that the *source* of *module* imports: of modules, or of what is in them (`json.loads`).

    Imports inside functions are left out. Source that cannot be parsed has no imports.
    """
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: it is nested too deep
        return []
    package = module if is_package else module.rpartition(".")[0]
    return list(dict.fromkeys(name for name in _walk(tree.body, package) if name))


def _walk(body: Sequence[ast.stmt], package: str) -> Iterator[str]:
    for statement in body:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            yield from _from(statement, package)
        elif isinstance(statement, ast.If):
            if not _is_type_checking(statement.test):
                yield from _walk(statement.body, package)
            yield from _walk(statement.orelse, package)
        elif isinstance(statement, ast.Try):
            yield from _walk(statement.body, package)
            for handler in statement.handlers:
                yield from _walk(handler.body, package)
            yield from _walk([*statement.orelse, *statement.finalbody], package)
        elif isinstance(statement, ast.With | ast.ClassDef | ast.For | ast.While):
            yield from _walk(statement.body, package)


def _from(statement: ast.ImportFrom, package: str) -> Iterator[str]:
    base = statement.module or ""
    if statement.level:
        parts = package.split(".")
        parts = parts[: len(parts) - statement.level + 1]
        base = ".".join([*parts, base] if base else parts)
    yield base
    yield from (f"{base}.{alias.name}" for alias in statement.names if alias.name != "*")


def _is_type_checking(test: ast.expr) -> bool:
    name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else ""
    return name == "TYPE_CHECKING"
