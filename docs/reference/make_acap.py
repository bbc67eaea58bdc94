"""Write acap-video.md and the pages of MODULES from the docstrings of packages/acap, so that they cannot differ.

    python docs/reference/make_acap.py

A unit test compares the files with what this makes.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

PAGE = Path(__file__).with_name("acap-video.md")
_SOURCES = Path(__file__).parents[2] / "packages/acap/src/acap"
MODULES = {
    "storage": ("Storage", "Watch", "Status"),
    "license": (),
    "bbox": ("Boxes",),
    "overlay": ("Overlay",),
    "events": ("State", "Pulse", "Subscription", "Event"),
    "parameters": ("Parameters", "Changes"),
    "messages": ("Subscription", "Message", "Topic"),
    "vapix": (),
    "testing": ("Scene", "Events", "Messages", "TestParameters"),
}
"""Smaller modules, each with a page of its own, and the order of their classes."""
_FILES = {"parameters": "params"}
"""The module of a page, where it has another name."""
_INTRODUCTION = """\
# acap.{name}

Made by `make_acap.py` from the docstrings; don't edit it. [The camera's
libraries](../explanation/camera-libraries.md#acap) tells how it works, and what was tried.

"""
# Of the extension module's frames: properties and methods with a docstring.
_MEMBER = re.compile(
    r'^    (?P<property>@property\n    )?def (?P<name>[a-z]\w*)\(self\):\n        """(?P<text>.*?)"""',
    re.MULTILINE | re.DOTALL,
)


def make_page() -> str:
    """Return the page's text."""
    module = ast.parse((_SOURCES / "video.py").read_text("utf-8"))
    parts = [_INTRODUCTION.format(name="video"), f"{ast.get_docstring(module)}\n"]
    public = {"use", "channels", "formats", "inputs", "resolutions", "snapshot"}
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name in public]
    classes = [node for node in module.body if isinstance(node, ast.ClassDef)]
    order = ("Stream", "Geometry", "Channel", "Events", "Event")
    by_name = {node.name: node for node in classes}
    parts += _describe_class(by_name["Stream"], with_signature=True)
    parts += _frame((_SOURCES / "_video.pyx").read_text("utf-8"))
    parts.append("\n## Functions\n")
    for function in functions:
        signature = _signature(function.name, function)
        parts.append(f"\n### `{function.name}`\n\n{signature}{ast.get_docstring(function)}\n")
    for name in order[1:]:
        parts += _describe_class(by_name[name], with_signature=name == "Events")
    errors = ast.get_docstring(ast.parse((_SOURCES / "errors.py").read_text("utf-8"))) or ""
    said, _, tree = errors.partition("\n\n")
    parts.append(f"\n## Exceptions\n\n{said}\n\n```text\n{tree}\n```\n")
    return "".join(parts)


def make_module_page(name: str) -> str:
    """Return the text of the page of a module in MODULES."""
    module = ast.parse((_SOURCES / f"{_FILES.get(name, name)}.py").read_text("utf-8"))
    exported = next(node for node in module.body if isinstance(node, ast.Assign) and _target(node) == "__all__")
    public = set(ast.literal_eval(exported.value))
    parts = [_INTRODUCTION.format(name=name), f"{ast.get_docstring(module)}\n"]
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef) and node.name in public]
    classes = {node.name: node for node in module.body if isinstance(node, ast.ClassDef)}
    for chosen in MODULES[name]:
        with_signature = any(
            isinstance(node, ast.FunctionDef) and node.name == "__init__" for node in classes[chosen].body
        )
        parts += _describe_class(classes[chosen], with_signature=with_signature)
    parts += ["\n## Functions\n"] if functions else []
    for function in functions:
        parts.append(f"\n### `{function.name}`\n\n{_signature(function.name, function)}{ast.get_docstring(function)}\n")
    parts.append("\nExceptions: [all of acap](acap-video.md#exceptions).\n")
    return "".join(parts)


def _target(node: ast.Assign) -> str:
    return ast.unparse(node.targets[0])


def _describe_class(node: ast.ClassDef, *, with_signature: bool) -> Iterator[str]:
    functions = [child for child in node.body if isinstance(child, ast.FunctionDef)]
    start = next((child for child in functions if child.name == "__init__"), None)
    signature = _signature(node.name, start) if start and with_signature else ""
    yield f"\n## `{node.name}`\n\n{signature}{ast.get_docstring(node)}\n"
    rows = [*_attributes(node)]
    for function in functions:
        text = ast.get_docstring(function)
        if function.name.startswith("_") or text is None:
            continue
        is_property = any(ast.unparse(word) == "property" for word in function.decorator_list)
        name = function.name if is_property else f"{function.name}({_arguments(function)})"
        rows.append((name, text))
    yield from _table(rows)


def _attributes(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for field, text in zip(node.body, node.body[1:], strict=False):
        if not isinstance(field, ast.AnnAssign) or not isinstance(text, ast.Expr):
            continue
        yield ast.unparse(field.target), inspect.cleandoc(str(ast.literal_eval(text.value)))


def _frame(source: str) -> Iterator[str]:
    start = source.index("cdef class Frame:")
    body = source[start : source.index("\ncdef class Plane:", start)]
    text = re.search(r'"""(.*?)"""', body, re.DOTALL)
    assert text
    yield f"\n## `Frame`\n\n{inspect.cleandoc(text[1])}\n"
    rows = []
    for match in _MEMBER.finditer(body):
        if match["name"] != "shape_as":
            rows.append((match["name"] + ("" if match["property"] else "()"), inspect.cleandoc(match["text"])))
    yield from _table(rows)


def _table(rows: list[tuple[str, str]]) -> Iterator[str]:
    if rows:
        yield "\n| name | |\n| --- | --- |\n"
    for name, text in rows:
        yield f"| `{name}` | {' '.join(text.split())} |\n"


def _signature(name: str, function: ast.FunctionDef) -> str:
    """Return a block of code with the call of *name*; what has many arguments has one a line."""
    words = _arguments(function)
    if len(words) > 90:
        words = "\n    " + re.sub(r", (?=\w+:|\*, )", ",\n    ", words) + ",\n"
    return f"```python\n{name}({words})\n```\n\n"


def _arguments(function: ast.FunctionDef) -> str:
    words = ast.unparse(function.args).replace("'", '"')
    return re.sub(r"(\w)=", r"\1 = ", re.sub(r"^self(, )?", "", words)).replace("]=", "] = ")


if __name__ == "__main__":
    PAGE.write_text(make_page(), "utf-8")
    for module in MODULES:
        PAGE.with_name(f"acap-{module}.md").write_text(make_module_page(module), "utf-8")
