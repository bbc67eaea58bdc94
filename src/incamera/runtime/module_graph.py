"""The modules of a bundle that its app can import, found by following imports. Nothing is run.

What stays must be able to import whatever it could before. So more is kept than is needed: an import inside a function
counts, and a text that may be the name of a module. Where a package imports by a variable, all of its modules stay. And
where a compiled module hides its imports, all modules stay.

data/imports.toml has what no reader of Python sources sees, and the few imports that are left out.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.elf import ELF_MAGIC
from incamera.runtime import layout
from incamera.runtime.named_modules import Named, find_named, find_named_in, imports_by_variable

if TYPE_CHECKING:
    from incamera.targets.target import Target

_MODULE = re.compile(r"(?P<name>(?:\w+/)*\w+)(?:\.pyc?|(?:\.(?:cpython|abi3)[\w-]*)?\.so)", re.ASCII)
# The texts of a compiled module end with a zero each. One may be the end of another: linkers join them so.
_OF_NAMES = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_."
_LONGEST_NAME = 100
# Cython's and Rust's modules may have their texts in one piece, without ends.
_HIDDEN = (b"PyO3", b"pyo3", b"__mypyc")
_AGENT = "incamera_agent"
_CYTHON, _CYTHON_TEXT = b"__pyx", b"\0__name__\0"
# Lines of a Python that is newer than this computer's.
_IMPORT_LINE = re.compile(
    rb"^[ \t]*+(?:from[ \t]++([\w.]++)[ \t]++import\b[ \t]*+([^#\n(]*+)|import[ \t]++([\w., ]++))", re.MULTILINE
)
# Functions of the standard library that run when a module is started as a program.
_MAINS = frozenset({"main", "_main", "_test", "test", "_demo", "_usage"})


@dataclass(frozen=True, slots=True)
class _Module:
    """A file of the module *name*; *place* is the folder of `sys.path` that has it, *path* its path in the bundle."""

    name: str
    path: str
    place: str

    @property
    def source(self) -> str:
        """The path of its source relative to its place."""
        return self.path.removeprefix(f"{self.place}/").removesuffix("c")

    @property
    def is_compiled(self) -> bool:
        return self.path.endswith(".so")


@dataclass
class Reached:
    """What was found: the *modules* by name, and the compiled modules that hide what they import (*opaque*)."""

    modules: set[str] = field(default_factory=set)
    paths: set[str] = field(default_factory=set)
    opaque: list[str] = field(default_factory=list)


class ModuleGraph:
    """Follows the imports in the bundle at *root*, which has the files *paths*.

    The bundle has only the byte-code of the standard library; *sources* is a folder with its sources.
    """

    def __init__(self, root: Path, paths: Iterable[str], target: Target, sources: Path) -> None:
        self._root = root
        self._sources = sources
        self._stdlib = layout.stdlib(target)
        places = (layout.APP, layout.PACKAGES, f"{self._stdlib}/lib-dynload", self._stdlib)
        self._modules: dict[str, list[_Module]] = {}
        self._folders: set[str] = set()
        for path in paths:
            place = next((place for place in places if path.startswith(f"{place}/")), None)
            match = _MODULE.fullmatch(path.removeprefix(f"{place}/")) if place is not None else None
            if place is None or match is None or "/__pycache__/" in path:
                continue
            name = match["name"].replace("/", ".").removesuffix(".__init__")
            self._modules.setdefault(name, []).append(_Module(name, path, place))
            while "." in name:
                name = name.rpartition(".")[0]
                self._folders.add(name)

    def follow(self, roots: Iterable[str], code: Sequence[str] = ()) -> Reached:
        """Return what the app, the interpreter, the modules *roots* and the texts of Python *code* can import."""
        reached = Reached()
        queue: list[str] = []

        def need(names: Iterable[str]) -> None:
            for name in names:
                if name not in reached.modules:
                    reached.modules.add(name)
                    queue.append(name)

        for pattern in _rules()["interpreter"]:
            need(self._matching(pattern))
        need(name for name, files in self._modules.items() if any(file.place == layout.APP for file in files))
        for root in roots:
            need(self._resolve(Named(root)))
        for text in code:
            for named in find_named(text.encode(), "-c.py"):
                need(self._resolve(named))
        while queue:
            name = queue.pop()
            for module in self._modules[name]:
                reached.paths.add(module.path)
                need(self._needs(module, reached))
        return reached

    def module_paths(self) -> set[str]:
        """Return the paths of all modules."""
        return {module.path for files in self._modules.values() for module in files}

    def names_of(self, paths: AbstractSet[str]) -> list[str]:
        """Return the names of the modules that lie at *paths*."""
        return [name for name, files in self._modules.items() if any(file.path in paths for file in files)]

    def has_package(self, folder: str) -> bool:
        """Return whether modules lie in *folder* of the bundle, or below it."""
        for place in (layout.PACKAGES, self._stdlib):
            name = folder.removeprefix(f"{place}/").replace("/", ".")
            if name in self._modules or name in self._folders:
                return True
        return False

    def _needs(self, module: _Module, reached: Reached) -> Iterator[str]:
        yield from self._table(module.name)
        if module.is_compiled:
            if module.place == f"{self._stdlib}/lib-dynload":
                return
            data = self._read(self._root / module.path)
            if not data.startswith(ELF_MAGIC):
                return
            if module.name not in _rules()["compiled"] and _hides_imports(data):
                reached.opaque.append(module.path)
                yield from self._modules
            left_out = self._left_out(module)
            yield from (name for name in self._in_compiled(data) if name not in left_out)
            return
        source = self._source(module)
        if source is None:
            reached.opaque.append(module.path)
            yield from self._modules
            return
        skip = self._left_out(module)
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            yield from self._in_lines(source, module)
            return
        is_stdlib = module.place == self._stdlib
        for named in find_named_in(tree, module.source, _Skip(tree, skip, is_stdlib=is_stdlib)):
            # What looks like a name is mostly none, in the standard library.
            is_name = named.name in self._modules and module.name not in _rules()["looked_at"]["texts"]
            if not (is_stdlib and named.is_text) or is_name:
                yield from self._resolve(named)
        top = module.name.partition(".")[0]
        is_foreign = module.place == layout.PACKAGES and top not in _rules()["looked_at"]["packages"]
        if is_foreign and imports_by_variable(tree):
            yield from self._matching(f"{top}.*")

    def _table(self, name: str) -> Iterator[str]:
        for pattern in _rules()["compiled"].get(name, ()):
            yield from self._matching(pattern)

    def _in_compiled(self, data: bytes) -> Iterator[str]:
        ends = (text[-_LONGEST_NAME:] for text in data.split(b"\0")[:-1])
        texts = {end[len(end.rstrip(_OF_NAMES)) :].decode() for end in ends}
        # Most are none: a set of all of them would be as large as hundreds of such files.
        endings = (text[begin:] for text in texts for begin in range(len(text)))
        for name in {ending for ending in endings if ending in self._modules}:
            yield from self._resolve(Named(name))

    def _in_lines(self, data: bytes, module: _Module) -> Iterator[str]:
        """Yield what the lines of a source name that this computer's Python cannot parse."""
        package = module.name if module.source.endswith("/__init__.py") else module.name.rpartition(".")[0]
        for base, names, plain in _IMPORT_LINE.findall(data):
            if plain:
                for name in plain.decode().split(","):
                    yield from self._resolve(Named(name.split()[0] if name.split() else ""))
                continue
            start = base.decode()
            level = len(start) - len(start.lstrip("."))
            above = package.split(".")[: len(package.split(".")) - level + 1] if level else []
            start = ".".join([*above, *filter(None, [start.lstrip(".")])])
            yield from self._resolve(Named(start))
            for name in names.decode().split(","):
                if name.split():
                    yield from self._resolve(Named(f"{start}.{name.split()[0]}"))
            # The names may go on in the next lines.
            if not names.strip():
                yield from self._matching(f"{start}.*")

    def _resolve(self, named: Named) -> Iterator[str]:
        """Yield the modules that an import of *named* loads: the packages above it, too."""
        parts = named.name.split(".")
        found = []
        for end in range(1, len(parts) + 1):
            name = ".".join(parts[:end])
            if name in self._modules:
                found.append(name)
            elif name not in self._folders:
                # The last part may be a name in the module. A text that leads nowhere is only a text.
                if named.is_text and end < len(parts):
                    return
                break
        yield from found

    def _matching(self, pattern: str) -> Iterator[str]:
        """Yield the modules that *pattern* is for: `name`, `name.*` with the package itself, `name*`."""
        if "*" not in pattern:
            yield from self._resolve(Named(pattern))
            return
        if pattern.endswith(".*"):
            yield from self._resolve(Named(pattern.removesuffix(".*")))
        yield from (name for name in self._modules if fnmatchcase(name, pattern))

    def _left_out(self, module: _Module) -> frozenset[str]:
        """Return the imports that are not followed from *module*."""
        found: set[str] = set()
        for rule in _rules()["unused"]:
            if rule["module"] != module.name:
                continue
            own = "" if module.place == self._stdlib else module.name.partition(".")[0]
            if "unless" not in rule or not self.has_word(rule["unless"], own):
                found.update(rule["imports"])
        return frozenset(found)

    def _source(self, module: _Module) -> bytes | None:
        """Return the source of *module*; None where there is only byte-code."""
        if not module.path.endswith(".pyc"):
            return self._read(self._root / module.path)
        if module.place == self._stdlib and (self._sources / module.path.removesuffix("c")).is_file():
            return self._read(self._sources / module.path.removesuffix("c"))
        # Those explain why they are not there.
        return b"" if module.name in layout.replaced_modules() else None

    @cache  # noqa: B019 - a graph lives as long as a package is made
    def has_word(self, pattern: str, own: str = "") -> bool:
        """Return whether a source of the app or of a package has the *pattern*; those of the package *own* don't count.

        The agent's don't either: it runs beside apps that are deployed, and not in packages.
        """
        words = re.compile(pattern.encode())
        return any(
            words.search(self._read(self._root / module.path))
            for name, files in self._modules.items()
            if name.partition(".")[0] not in (own, _AGENT)
            for module in files
            if module.place in (layout.APP, layout.PACKAGES) and not module.is_compiled
        )

    def _read(self, path: Path) -> bytes:
        try:
            return path.read_bytes()
        except OSError:  # a link that leads out
            return b""


class _Skip:
    """Tells which nodes of a module's syntax *tree* are not followed.

    *left_out*: what is not imported from a function, in place of another module, or where another one may stand in for
    it. In the standard library, what runs only when a module is started as a program is left out, too.
    """

    def __init__(self, tree: ast.AST, left_out: frozenset[str], *, is_stdlib: bool) -> None:
        self._left_out = left_out
        self._is_stdlib = is_stdlib
        self._late: set[int] = set()
        if left_out:
            for node in ast.walk(tree):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ExceptHandler):
                    self._late.update(id(child) for child in ast.walk(node))
                elif isinstance(node, ast.Try) and any(_is_import_error(handler.type) for handler in node.handlers):
                    self._late.update(id(child) for child in node.body)

    def __call__(self, node: ast.AST) -> bool:
        if id(node) in self._late and isinstance(node, ast.Import | ast.ImportFrom):
            return all(name in self._left_out for name in _names(node))
        if not self._is_stdlib:
            return False
        if isinstance(node, ast.FunctionDef) and not node.col_offset:
            return node.name in _MAINS
        return isinstance(node, ast.If) and _is_main(node.test)


def _names(node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the names of the modules in an import as they are written: `.x` for `from .x import y`."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if not node.level else [f"{'.' * node.level}{node.module or ''}"]


def _is_import_error(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Name) and node.id in ("ImportError", "ModuleNotFoundError")


def _is_main(test: ast.expr) -> bool:
    """Whether *test* is `__name__ == "__main__"`."""
    return (
        isinstance(test, ast.Compare)
        and isinstance(test.left, ast.Name)
        and test.left.id == "__name__"
        and isinstance(test.ops[0], ast.Eq)
    )


def _hides_imports(data: bytes) -> bool:
    """Whether the compiled module *data* has no texts of its own from which its imports could be seen."""
    return any(word in data for word in _HIDDEN) or (_CYTHON in data and _CYTHON_TEXT not in data)


@cache
def _rules() -> Mapping[str, Any]:
    rules: Mapping[str, Any] = tomllib.loads((Path(__file__).parent / "data" / "imports.toml").read_text("utf-8"))
    return rules
