"""Which modules the Python files of a subject import for certain, and which of them may fail.

An import is certain when it stands at the top level of a file, under no condition, and no handler hides its failure.
What is imported in another way (in a function, by `importlib`, in a `try` that continues without it) may never be
loaded.
"""

from __future__ import annotations

import ast
import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from incamera.abi.unpack import MAX_SOURCE_BYTES
from incamera.archives import BadArchive

if TYPE_CHECKING:
    from incamera.abi.subject import Subject

# What an import raises when the loader doesn't find a library, and what includes it.
_IMPORT_FAILURES = frozenset({"ImportError", "Exception", "BaseException"})
# So many files in turn may import one another up to the one with the handler.
_LEVELS = 4


def find_imported(subject: Subject, modules: Iterable[str]) -> set[str]:
    """Return those of *modules*, paths without a suffix (`fast/core`), that some file imports for certain."""
    wanted = set(modules)
    certain: dict[str, set[str]] = {}
    anywhere: dict[str, set[str]] = {}
    level = wanted
    for _ in range(_LEVELS):
        certain |= _find_certain(subject, level)
        files = {file for module in level for file in certain[module]}
        level = {module_of(file) for file in files if not _is_top(file)} - anywhere.keys()
        if not level:
            break
        anywhere |= {module: set(found) for module, found in find_importers(subject, level).items()}
        level -= certain.keys()
    return {
        module for module in wanted if not all(_is_optional(file, certain, anywhere, ()) for file in certain[module])
    }


def _find_certain(subject: Subject, modules: Iterable[str]) -> dict[str, set[str]]:
    """Return, for each of *modules*, the Python files that import it at their top level, under no condition."""
    found: dict[str, set[str]] = {module: set() for module in modules}
    if not found:
        return found
    pattern = _pattern(found)
    sources = set(subject.sources)
    for path in subject.sources:
        tree = _parse(subject, path, pattern)
        for folder, names in _imports(tree, path) if tree is not None else ():
            for module, files in found.items():
                if _is_named(module, folder, names, path, sources):
                    files.add(path)
    return found


def _is_optional(
    file: str, certain: Mapping[str, set[str]], anywhere: Mapping[str, set[str]], above: tuple[str, ...]
) -> bool:
    """Return whether other files import the Python *file*, but none of them for certain: as one for a newer Python."""
    module = module_of(file)
    importers = {one for one in anywhere.get(module, ()) if _is_outside(one, file)}
    if not importers or file in above:
        return False
    sure = {one for one in certain.get(module, ()) if _is_outside(one, file)}
    return all(_is_optional(one, certain, anywhere, (*above, file)) for one in sure)


def _is_outside(importer: str, file: str) -> bool:
    """Return whether *importer* is another module than *file*, and not one of the package that *file* begins."""
    folder = posixpath.dirname(file)
    return importer != file and not (posixpath.basename(file) == "__init__.py" and importer.startswith(f"{folder}/"))


def _is_top(file: str) -> bool:
    """Return whether *file* begins a package at the top, which is there to be imported."""
    return posixpath.basename(file) == "__init__.py" and file.count("/") == 1


def find_guarded(subject: Subject, modules: Iterable[str]) -> set[str]:
    """Return those of *modules* (as for `find_imported`) of which every import has a handler for its failure.

    The handler may also be around the import of the Python file that imports the module.
    """
    wanted = set(modules)
    importers: dict[str, dict[str, bool]] = {}
    level = wanted
    for _ in range(_LEVELS):
        importers |= find_importers(subject, level)
        files = {file for module in level for file, handled in importers[module].items() if not handled}
        level = {module_of(file) for file in files} - importers.keys()
        if not level:
            break
    return {module for module in wanted if _is_guarded(module, importers, ())}


def _is_guarded(module: str, importers: Mapping[str, Mapping[str, bool]], above: tuple[str, ...]) -> bool:
    by_file = {file: handled for file, handled in importers.get(module, {}).items() if module_of(file) not in above}
    return bool(by_file) and all(
        handled or _is_guarded(module_of(file), importers, (*above, module)) for file, handled in by_file.items()
    )


def find_importers(
    subject: Subject, modules: Iterable[str], *, among: Iterable[str] | None = None
) -> dict[str, dict[str, bool]]:
    """Return, for each of *modules*, the Python files that import it, and whether each import there may fail.

    *among* are the files that are searched; None for all.
    """
    found: dict[str, dict[str, bool]] = {module: {} for module in modules}
    if not found:
        return found
    pattern = _pattern(found)
    sources = set(subject.sources)
    for path in subject.sources if among is None else among:
        tree = _parse(subject, path, pattern)
        for node, handled in _all_imports(tree.body, False) if tree is not None else ():
            for folder, names in _imported(node, posixpath.dirname(path)):
                for module, files in found.items():
                    if module != module_of(path) and _is_named(module, folder, names, path, sources):
                        files[path] = handled and files.get(path, True)
    return found


def module_of(path: str) -> str:
    """Return the path without a suffix of the module in the Python file at *path*; for `__init__.py`, its folder."""
    return path.removesuffix(".py").removesuffix("/__init__")


def _pattern(modules: Iterable[str]) -> re.Pattern[bytes]:
    stems = "|".join(sorted(re.escape(posixpath.basename(path)) for path in modules))
    return re.compile(rf"\b(?:{stems})\b".encode())


def _is_named(module: str, folder: str | None, names: list[str], path: str, sources: set[str]) -> bool:
    """Return whether the import of *names*, as `_imported` yields them, in the file at *path* is that of *module*."""
    if folder is None:
        return any(_is_root(root, path, sources) for root in _roots(module, names))
    return _begins_with(posixpath.join(folder, *names), module)


def _parse(subject: Subject, path: str, pattern: re.Pattern[bytes]) -> ast.Module | None:
    try:
        data = subject.read(path, limit=MAX_SOURCE_BYTES)
        return ast.parse(data) if pattern.search(data) else None
    except (OSError, BadArchive, SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _imports(tree: ast.Module, path: str) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each module that *tree* imports for certain, as `_imported` does."""
    for node in _unconditional(tree.body):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from _imported(node, posixpath.dirname(path))


def _imported(node: ast.Import | ast.ImportFrom, folder: str) -> Iterator[tuple[str | None, list[str]]]:
    """Yield each module that *node* imports: the folder that a relative name starts at (else None), and its parts."""
    if isinstance(node, ast.Import):
        for name in node.names:
            yield None, name.name.split(".")
        return
    start: str | None = None
    if node.level:
        start = folder
        for _ in range(node.level - 1):
            start = posixpath.dirname(start)
    parts = node.module.split(".") if node.module else []
    if parts:
        yield start, parts
    for name in node.names:
        yield start, [*parts, name.name]


def _all_imports(nodes: Iterable[ast.AST], handled: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """Yield each import in *nodes*, and whether a failure of it is handled. Those for type checkers are left out."""
    for node in nodes:
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, handled
        elif isinstance(node, ast.Try):
            yield from _all_imports(node.body, handled or any(_catches_import(one) for one in node.handlers))
            yield from _all_imports([*node.handlers, *node.orelse, *node.finalbody], handled)
        elif isinstance(node, ast.With):
            yield from _all_imports(node.body, handled or any(_suppresses(item) for item in node.items))
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from _all_imports(node.orelse, handled)
        elif isinstance(node, (ast.stmt, ast.excepthandler, ast.match_case)):
            yield from _all_imports(ast.iter_child_nodes(node), handled)


def _catches_import(handler: ast.ExceptHandler) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return not _raises(handler) and any(kind is None or _name_of(kind) in _IMPORT_FAILURES for kind in kinds)


def _suppresses(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and _name_of(call.func) == "suppress"
        and any(_name_of(one) in _IMPORT_FAILURES for one in call.args)
    )


def _name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _unconditional(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        if isinstance(node, ast.Try):
            if all(_raises(handler) for handler in node.handlers):
                yield from _unconditional(node.body)
            yield from _unconditional(node.finalbody)
        elif isinstance(node, (ast.With, ast.ClassDef)):
            yield from _unconditional(node.body)
        else:
            yield node


def _raises(handler: ast.ExceptHandler) -> bool:
    return bool(handler.body) and isinstance(handler.body[-1], ast.Raise)


def _roots(module: str, names: list[str]) -> Iterator[str]:
    """Yield the folders (`app/`) in which the import of *names* would be that of *module*, or import it on the way."""
    for count in range(1, len(names) + 1):
        ending = "/".join(names[:count])
        if f"/{module}".endswith(f"/{ending}"):
            yield module.removesuffix(ending)


def _is_root(folder: str, path: str, sources: set[str]) -> bool:
    """Return whether the file at *path* finds modules in *folder*: on Python's path, or above the file."""
    if f"{folder}__init__.py" in sources:
        return False  # a package, whose modules have its name in theirs
    return folder in ("", "app/") or folder.endswith("-packages/") or path.startswith(folder)


def _begins_with(path: str, module: str) -> bool:
    return path == module or path.startswith(f"{module}/")
