"""What a Python file defines, found by reading it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from incamera.errors import ConfigError
from incamera.names import did_you_mean, listing


def check_function(source: Path, module: str, function: str, key: str) -> None:
    """Raises ConfigError when *source*, the file of *module*, has no *function* that can be called without arguments.

    *key* is where the function was named.
    """
    tree = _parse(source)
    if tree is None:  # the byte compiler or the camera will say what is wrong with it
        return
    if any(_names_unknown(node) for node in ast.walk(tree)):
        return
    definitions = list(_definitions(tree.body))
    found = [node for name, node in definitions if name == function]
    if not found:
        functions = [name for name, node in definitions if isinstance(node, ast.FunctionDef)]
        raise ConfigError(
            f'{key}: module "{module}" has no "{function}"',
            hint=did_you_mean(function, functions)
            or (listing("functions there", functions) if functions else "there is no function in that module"),
        )
    node = found[-1]
    if isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list:
        raise ConfigError(
            f'{key}: "{module}:{function}" is a coroutine function, so calling it runs nothing',
            hint=f"write a function that calls asyncio.run({function}()), and name that",
        )
    if isinstance(node, ast.FunctionDef) and not node.decorator_list and (needed := _needed(node.args)):
        raise ConfigError(
            f'{key}: "{module}:{function}" needs arguments ({", ".join(needed)}), and is called without any',
            hint="give them default values; sys.argv has what was typed",
        )


def _needed(arguments: ast.arguments) -> list[str]:
    positional = [*arguments.posonlyargs, *arguments.args]
    keywords = zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
    needed = [item.arg for item in positional[: len(positional) - len(arguments.defaults)]]
    return needed + [item.arg for item, default in keywords if default is None]


def _names_unknown(node: ast.AST) -> bool:
    """Whether *node* may define names that reading cannot tell."""
    if isinstance(node, ast.ImportFrom):
        return any(alias.name == "*" for alias in node.names)
    if isinstance(node, ast.FunctionDef):
        return node.name == "__getattr__"
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("globals", "exec")


def _definitions(body: list[ast.stmt]) -> Iterator[tuple[str, ast.AST]]:
    """Yield the names that the statements *body* of a module define, those in `if` and `try` too."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.Import | ast.ImportFrom):
            yield from ((alias.asname or alias.name.partition(".")[0], node) for alias in node.names)
        else:
            for child in ast.walk(node):
                if isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
                    yield child.id, node
                elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                    yield child.name, child
                elif isinstance(child, ast.Import | ast.ImportFrom):
                    yield from ((alias.asname or alias.name.partition(".")[0], child) for alias in child.names)


def _parse(path: Path) -> ast.Module | None:
    try:
        return ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def is_runnable(path: Path) -> bool:
    """Whether the module *path* does something more when it is run: it compares its name with `__main__`."""
    tree = _parse(path)
    if tree is None or path.stem == "__init__":
        return False
    return any(isinstance(node, ast.If) and "__main__" in ast.unparse(node.test) for node in tree.body)
