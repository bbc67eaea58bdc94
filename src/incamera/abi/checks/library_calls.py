"""The libraries that Python code opens by name: with ctypes, with cffi, or through `ctypes.util.find_library`."""

from __future__ import annotations

import ast
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

# Files without any of these words open no libraries. A regular expression of them takes ten times as long to search.
_WORDS = (b"CDLL", b"PyDLL", b"LoadLibrary", b"find_library", b"dlopen", b"cdll[", b"pydll[")
_OPENERS = frozenset({"CDLL", "PyDLL", "LoadLibrary", "dlopen", "find_library"})
_TABLES = frozenset({"cdll", "pydll"})  # cdll["libx.so.1"] opens as LoadLibrary does
_FAILURES = frozenset({"OSError", "IOError", "EnvironmentError", "Exception", "BaseException"})
# What sys.platform, os.name, platform.system() and platform.machine() are elsewhere, and what they are in a camera.
_ELSEWHERE = """
win win32 win64 windows darwin mac macos macosx osx nt ce cygwin msys java sunos aix freebsd android ios emscripten wasi
x86_64 amd64 i386 i686
"""
_OTHER_SYSTEMS = frozenset(_ELSEWHERE.split())
_CAMERA_SYSTEM = frozenset({"linux", "linux2", "posix"})
# For code that this Python cannot parse, as that for Python 2.
_CALL = re.compile(
    r"""(?<!def )\b(?P<function>CDLL|PyDLL|LoadLibrary|dlopen|find_library)"""
    r"""\(\s*(?:name\s*=\s*)?(?P<quoted>["'](?P<name>[^"'\n]+)["']|(?P<other>[^\s)]))"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryCall:
    """A call in the Python file *file* that opens or searches a library.

    `name`: None where the code computes it. `choice`: calls of a file with the same number are alternatives.
    `goes_on`: a handler catches the failure, and does not raise it again.
    """

    file: str
    line: int
    function: str
    name: str | None
    choice: int
    goes_on: bool = False


def may_open_libraries(source: bytes) -> bool:
    """Return whether *source* is worth a `find_library_calls`, which takes much longer."""
    return any(word in source for word in _WORDS)


def find_library_calls(file: str, source: bytes) -> list[LibraryCall]:
    """Return the calls in *source*, the content of *file*, without those that only other systems than Linux reach."""
    try:
        return list(_Reader(file, ast.parse(source)).read())
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return list(_search(file, source.decode("utf-8", "replace")))


def _search(file: str, text: str) -> Iterator[LibraryCall]:
    if not re.search(r"\b(?:ctypes|cffi)\b", text):
        return
    for number, match in enumerate(_CALL.finditer(text)):
        line = text.count("\n", 0, match.start()) + 1
        yield LibraryCall(file=file, line=line, function=match["function"], name=match["name"], choice=number)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Place:
    """Where a statement is.

    `choices`: by the variable that gets a library in this function, the alternatives. `conditional`: it may be left
    out. `choice`: the alternatives that all calls in it belong to, if any.
    """

    choices: dict[str, int] = field(default_factory=dict)
    conditional: bool = False
    choice: int | None = None
    goes_on: bool = False


class _Reader:
    def __init__(self, file: str, tree: ast.Module) -> None:
        self._file = file
        self._tree = tree
        self._numbers = itertools.count()
        self._aliases = {
            alias.asname: alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ctypes")
            for alias in node.names
            if alias.asname and alias.name in _OPENERS | _TABLES
        }
        # What each variable may hold: names of libraries, and None for what is computed.
        self._values: dict[str, list[str | None]] = {}

    def read(self) -> Iterator[LibraryCall]:
        for node in ast.walk(self._tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                arguments = node.args
                for one in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
                    self._values[one.arg] = [None]
        for _ in self._block(self._tree.body, _Place()):  # learns what the variables hold
            pass
        yield from self._block(self._tree.body, _Place())

    # Statements

    def _block(self, body: Iterable[ast.stmt], place: _Place) -> Iterator[LibraryCall]:
        for node in body:
            if isinstance(node, ast.If):
                yield from self._expression(node.test, replace(place, choice=None))
                here = _is_true_in_camera(node.test)
                inside = replace(place, conditional=place.conditional or here is None)
                if here is not False:
                    yield from self._block(node.body, inside)
                if here is not True:
                    yield from self._block(node.orelse, inside)
                elif isinstance(node.body[-1], (ast.Return, ast.Raise)):
                    return
            elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                yield from self._block(node.body, _Place())
            elif isinstance(node, ast.Try):
                yield from self._try(node, place)
            else:
                yield from self._statement(node, place)

    def _try(self, node: ast.Try, place: _Place) -> Iterator[LibraryCall]:
        goes_on = place.goes_on or any(map(_catches_failure, node.handlers))
        choice = place.choice
        if choice is None and any(self._opens(handler) for handler in node.handlers):
            choice = next(self._numbers)
        yield from self._block(node.body, replace(place, choice=choice, goes_on=goes_on))
        for handler in node.handlers:
            yield from self._block(handler.body, replace(place, choice=choice, conditional=True))
        yield from self._block([*node.orelse, *node.finalbody], place)

    def _statement(self, node: ast.stmt, place: _Place) -> Iterator[LibraryCall]:
        if isinstance(node, (ast.For, ast.AsyncFor)):
            self._learn(node.target, _elements(node.iter))
            tries = any(isinstance(one, (ast.Break, ast.Return, ast.Try)) for one in ast.walk(node))
            choice = next(self._numbers) if tries and place.choice is None else place.choice
            place = replace(place, conditional=True, choice=choice)
        elif isinstance(node, (ast.With, ast.AsyncWith)):
            place = replace(place, goes_on=place.goes_on or any(map(_suppresses_failure, node.items)))
        elif isinstance(node, ast.While):
            place = replace(place, conditional=True)
        for target in _targets(node):
            self._learn(target, [getattr(node, "value", None)])
        inside = replace(place, choice=self._choice_of(node, place))
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.stmt):
                yield from self._block([child], place)
            elif isinstance(child, ast.match_case):
                yield from self._block(child.body, replace(place, conditional=True))
            elif isinstance(child, ast.withitem):
                yield from self._expression(child.context_expr, inside)
            elif isinstance(child, ast.expr):
                yield from self._expression(child, inside)

    def _choice_of(self, node: ast.stmt, place: _Place) -> int | None:
        """Return the alternatives of a statement that returns a library, or assigns it to a variable."""
        is_result = isinstance(node, ast.Return) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Yield))
        key = "return" if is_result else next((name for target in _targets(node) if (name := _key(target))), "")
        if not key or not self._opens(node):
            return place.choice
        choice = place.choice
        if choice is None and (is_result or place.conditional):
            choice = place.choices.get(key)
        if choice is None:
            choice = next(self._numbers)
        place.choices[key] = choice
        return choice

    def _opens(self, node: ast.AST) -> bool:
        return any(isinstance(one, ast.Call) and self._function(one) for one in ast.walk(node))

    # Expressions

    def _expression(self, node: ast.AST, place: _Place) -> Iterator[LibraryCall]:
        if isinstance(node, ast.Subscript) and self._name(node.value) in _TABLES:
            if isinstance(node.slice, ast.Constant):
                yield from self._calls(node.lineno, "LoadLibrary", node.slice, place)
        elif isinstance(node, ast.IfExp) and (here := _is_true_in_camera(node.test)) is not None:
            yield from self._expression(node.body if here else node.orelse, place)
            return
        elif isinstance(node, (ast.BoolOp, ast.IfExp)) and place.choice is None:
            place = replace(place, choice=next(self._numbers))
        elif isinstance(node, ast.NamedExpr):
            self._learn(node.target, [node.value])
        elif isinstance(node, (ast.ListComp, ast.GeneratorExp, ast.SetComp)):
            for one in node.generators:
                self._learn(one.target, _elements(one.iter))
        elif isinstance(node, ast.Call):
            if (function := self._function(node)) and (first := _first_argument(node)) is not None:
                place = replace(place, choice=next(self._numbers) if place.choice is None else place.choice)
                yield from self._calls(node.lineno, function, first, place)
        elif isinstance(node, (ast.List, ast.Tuple, ast.Set, ast.Dict)) and not self._are_candidates(node):
            place = replace(place, choice=None)
        for child in ast.iter_child_nodes(node):
            yield from self._expression(child, place)

    def _are_candidates(self, node: ast.AST) -> bool:
        """Return whether *node* lists what `find_library` found, to open one of it."""
        calls = [one for one in ast.walk(node) if isinstance(one, ast.Call) and self._function(one)]
        return isinstance(node, ast.List) and all(self._function(one) == "find_library" for one in calls)

    def _calls(self, line: int, function: str, first: ast.expr, place: _Place) -> Iterator[LibraryCall]:
        choice = next(self._numbers) if place.choice is None else place.choice
        for name in dict.fromkeys(self._names(first)):
            yield LibraryCall(
                file=self._file, line=line, function=function, name=name, choice=choice, goes_on=place.goes_on
            )

    def _names(self, node: ast.expr) -> list[str | None]:
        """Return the names that *node* may be: None for one that is computed, none for what another call finds."""
        if isinstance(node, ast.Constant):
            return [node.value] if isinstance(node.value, str) else []
        if isinstance(node, ast.IfExp):
            here = _is_true_in_camera(node.test)
            parts = [node.body] * (here is not False) + [node.orelse] * (here is not True)
            return [name for part in parts for name in self._names(part)]
        if isinstance(node, ast.BoolOp):
            return [name for part in node.values for name in self._names(part)]
        if isinstance(node, ast.Call) and self._function(node):
            return []
        return self._values.get(_key(node), [None])

    def _learn(self, target: ast.expr, values: Iterable[ast.expr | None]) -> None:
        """Remember that the variable *target* may have *values*; None for one that is not known."""
        if isinstance(target, (ast.Tuple, ast.List)):
            for one in target.elts:
                self._learn(one, [None])
        elif key := _key(target):
            known = self._values.setdefault(key, [])
            for value in values:
                known += [name for name in (self._names(value) if value is not None else [None]) if name not in known]

    def _function(self, call: ast.Call) -> str:
        """Return which function that opens libraries *call* calls, "" for none."""
        name = self._name(call.func)
        return name if name in _OPENERS else ""

    def _name(self, node: ast.expr) -> str:
        return self._aliases.get(_key(node), _key(node))


def _key(node: ast.expr | None) -> str:
    """Return what a variable or an attribute is called, "" for another expression."""
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _targets(node: ast.stmt) -> list[ast.expr]:
    if isinstance(node, ast.Assign):
        return node.targets
    return [node.target] if isinstance(node, (ast.AnnAssign, ast.AugAssign)) else []


def _elements(node: ast.expr) -> list[ast.expr | None]:
    return [*node.elts] if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [None]


def _first_argument(call: ast.Call) -> ast.expr | None:
    named = [keyword.value for keyword in call.keywords if keyword.arg == "name"]
    return next(iter([*call.args, *named]), None)


def _catches_failure(handler: ast.ExceptHandler) -> bool:
    if any(isinstance(node, ast.Raise) for node in handler.body):
        return False
    return any(kind is None or _key(kind) in _FAILURES for kind in _parts(handler.type))


def _suppresses_failure(item: ast.withitem) -> bool:
    call = item.context_expr
    return (
        isinstance(call, ast.Call)
        and _key(call.func) == "suppress"
        and any(_key(one) in _FAILURES for one in call.args)
    )


def _parts(node: ast.expr | None) -> list[ast.expr | None]:
    return [*node.elts] if isinstance(node, ast.Tuple) else [node]


def _is_true_in_camera(test: ast.expr) -> bool | None:
    """Return whether the condition *test*, about the system or the processor, holds in a camera; None if unknown."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        inner = _is_true_in_camera(test.operand)
        return None if inner is None else not inner
    if isinstance(test, ast.BoolOp):
        answers = [_is_true_in_camera(one) for one in test.values]
        decisive = isinstance(test.op, ast.Or)
        return decisive if decisive in answers else None if None in answers else not decisive
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute) and test.func.attr == "startswith":
        return _is_camera_system(test.args[0], beginning=True) if test.args else None
    if not isinstance(test, ast.Compare) or len(test.ops) != 1:
        return None
    operator, right = test.ops[0], test.comparators[0]
    if isinstance(operator, (ast.In, ast.NotIn)) and isinstance(test.left, ast.Constant):  # "win" in sys.platform
        answer = _is_camera_system(test.left, beginning=True)
    else:
        answers = [_is_camera_system(one) for one in (right, test.left)]
        answer = next((one for one in answers if one is not None), None)
    if answer is None or not isinstance(operator, (ast.Eq, ast.NotEq, ast.In, ast.NotIn)):
        return None
    return answer is isinstance(operator, (ast.Eq, ast.In))


def _is_camera_system(node: ast.expr, *, beginning: bool = False) -> bool | None:
    """Return whether *node* names a camera's system (True) or others alone (False); None for anything else.

    With *beginning*, a part of its name is enough.
    """
    answers = []
    for one in node.elts if isinstance(node, (ast.Tuple, ast.List, ast.Set)) else [node]:
        if not isinstance(one, ast.Constant) or not isinstance(one.value, str) or not one.value:
            return None
        name = one.value.lower()
        if name in _CAMERA_SYSTEM or (beginning and "linux".startswith(name)):
            answers.append(True)
        elif name in _OTHER_SYSTEMS:
            answers.append(False)
        else:
            return None
    return any(answers) if answers else None
