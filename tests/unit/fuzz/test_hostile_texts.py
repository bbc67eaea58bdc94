"""Texts of strangers that are made to take time or to break a parser: read in time that grows with their length.

A pattern that is tried again from every place in such a text, or that can divide it in many ways, takes from minutes to
years. Python's own parser raises two more errors for what is nested deep.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.unit.abi.elf_maker import make_elf
from tests.unit.abi.trees import write

from incamera.abi.audit import audit_path
from incamera.abi.checks.wheel import python_of
from incamera.abi.policy import load_policy
from incamera.abi.subject import read_object
from incamera.runtime import layout
from incamera.runtime.images.imports import find_imports
from incamera.runtime.module_graph import ModuleGraph
from incamera.runtime.named_modules import find_named
from incamera.targets.architecture import Architecture
from incamera.targets.target import Target
from incamera.toolchain.explain import explain_output, find_hint
from incamera.units import parse_bytes, wrap_words
from incamera.vapix.accounts import parse_message
from incamera.vapix.documents import parse_json
from incamera.vapix.system_log import parse_lines
from incamera.wheels.install import _is_namespace
from incamera.wheels.tags import split_tags, wheel_rank

TARGET = Target(Architecture.armv7hf)
PROFILE = "axis-os-11-armv7hf"
_MOST_SECONDS = 10.0


def assert_quick(work: Callable[[], object]) -> None:
    began = time.process_time()
    work()
    assert time.process_time() - began < _MOST_SECONDS


@pytest.mark.parametrize(
    "data", [b"/**/" * 400 + b"x", b"/*" * 900, b"/* *" * 400 + b"/ INPUT", b"\n" * 1900, b"/**/ " * 300 + b"GROUP"]
)
def test_library_that_looks_like_a_script_of_the_linker(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "libx.so").write_bytes(data)
    assert_quick(lambda: read_object(tmp_path, "libx.so"))


def test_script_of_the_linker_is_no_damaged_library(tmp_path: Path) -> None:
    for text in ("/* GNU ld script\n   *x* / */\n\nGROUP ( a )", "INPUT(-lx)", " /**/ /***/OUTPUT_FORMAT (x)"):
        (tmp_path / "libx.so").write_text(text)
        assert read_object(tmp_path, "libx.so") is None


@pytest.mark.parametrize(
    "text",
    [
        "\n" * 190_000,
        "export " * 27_000,
        "export LD_LIBRARY_PATH=" + "${a:" * 40_000,
        "export LD_LIBRARY_PATH=" + "$(" * 80_000,
        "export LD_LIBRARY_PATH=" + "$(" + "()" * 80_000,
        "LD_LIBRARY_PATH=$A\n" * 9000,
        "A=" + "x" * 60_000 + "\nB=" + "$A" * 20_000 + "\nC=" + "$B" * 20_000 + "\nLD_LIBRARY_PATH=$C$C\n",
    ],
    ids=["lines", "export", "variables", "commands", "brackets", "many", "memory"],
)
def test_script_that_starts_a_program(tmp_path: Path, text: str) -> None:
    root = write(tmp_path / "package", {"see": f"#!/bin/sh\nLD_LIBRARY_PATH=libs\n{text}".encode()})
    tracemalloc.start()
    assert_quick(lambda: audit_path(root, load_policy(PROFILE)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100 << 20


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("native.so", b"\x7fELF" + b"a" * 2_000_000),
        ("native.so", b"\x7fELF" + b"a.b1_" * 400_000 + b"!\0"),
        ("newer.py", b"match x:\n  case _ => 1\n" + b"\n" * 500_000),
        ("newer.py", b"match x => 1\n" + b"from a import " + b" " * 500_000),
        ("newer.py", b"match x => 1\n" + b"from " * 200_000),
    ],
)
def test_module_whose_imports_are_looked_for(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "app/app.py").write_text(f"import {name.partition('.')[0]}\n")
    (tmp_path / "app" / name).write_bytes(data)
    graph = ModuleGraph(tmp_path, ["app/app.py", f"app/{name}"], TARGET, tmp_path)
    assert_quick(lambda: graph.follow(["app"]))


def test_compiled_module_with_many_texts_takes_no_memory(tmp_path: Path) -> None:
    texts = b"".join(b"%0100x\0" % number for number in range(20_000))
    files: dict[str, bytes | str] = {
        "app/app.py": b"import native\n",
        f"{layout.PACKAGES}/native.so": b"\x7fELF" + texts,
    }
    graph = ModuleGraph(write(tmp_path, files), files, TARGET, tmp_path)
    tracemalloc.start()
    assert graph.follow(["app"]).modules >= {"native"}
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 * len(texts)


def test_names_in_compiled_and_newer_modules_are_found(tmp_path: Path) -> None:
    names = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth")
    newer = b"match x => 1\nimport fourth, fifth as f\n  from sixth import (\n a)\nimports seventh\n"
    newer += b"\tfrom eighth import b\n"
    files: dict[str, bytes | str] = {f"{layout.PACKAGES}/{name}.py": b"" for name in names}
    files["app/app.py"] = b"import native, newer\n"
    files[f"{layout.PACKAGES}/newer.py"] = newer
    files[f"{layout.PACKAGES}/native.so"] = b"\x7fELF" + b"x" * 300 + b"1not.one\0\1first\0 0second\0third"
    reached = ModuleGraph(write(tmp_path, files), files, TARGET, tmp_path).follow(["app"])
    assert reached.modules & set(names) == {"first", "second", "fourth", "fifth", "sixth", "eighth"}


NESTED = ("-" * 100_000 + "1", "not " * 100_000 + "1", "x" + ".a" * 100_000, "(" * 300, "lambda:" * 50_000 + "1")


@pytest.mark.parametrize("source", NESTED, ids=["minus", "not", "dots", "brackets", "lambda"])
def test_module_that_is_nested_too_deep_names_nothing(tmp_path: Path, source: str) -> None:
    assert list(find_named(source.encode(), "deep.py")) == []
    assert find_imports(source, "deep", is_package=False) == []
    assert not _is_namespace(source.encode())
    (tmp_path / "app").mkdir()
    (tmp_path / "app/app.py").write_text("import deep\n")
    (tmp_path / "app/deep.py").write_text(source)
    graph = ModuleGraph(tmp_path, ["app/app.py", "app/deep.py"], TARGET, tmp_path)
    assert graph.follow(["app"]).paths == {"app/app.py", "app/deep.py"}


# Python refuses to read a number of more than 4300 digits, and takes `²` for a digit but not for a number.


@pytest.mark.parametrize(
    "number", ["9" * 5000, "2." + "9" * 5000, "²", "2.²", ""], ids=["long", "minor", "²", "2.²", ""]
)
@pytest.mark.parametrize("name", ["GLIBC_", "GLIBCXX_3.4.", "OPENSSL_"])
def test_version_of_a_symbol_with_a_number_that_is_none(tmp_path: Path, name: str, number: str) -> None:
    version = name + number
    needs = {"libc.so.6": [version], "libstdc++.so.6": [version]}
    loader = "/lib/ld-linux-armhf.so.3"
    program = make_elf(program=True, interpreter=loader, needed=["libc.so.6", "libstdc++.so.6"], needs=needs)
    library = make_elf(soname="libx.so.1", defines=[version])
    report = audit_path(write(tmp_path / "p", {"see": program, "libx.so.1": library}), load_policy(PROFILE))
    # No glibc has such a version. Which ones other libraries have is known in part.
    assert not (report.compatible and ("9" in number or name == "GLIBC_"))


def test_tags_and_names_with_numbers_without_end() -> None:
    digits = "9" * 5000
    [tag] = split_tags("py3-none-any")
    assert wheel_rank(f"a-1-{digits}-py3-none-any.whl", {tag: 1}) == (1, -999_999_999)
    assert wheel_rank("a-1-2x-py3-none-any.whl", {tag: 1}) == (1, -2)
    assert python_of(f"a-1-cp3{digits}-none-any.whl") is None
    assert python_of("a-1-cp311-cp311-any.whl") == "3.11"
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes(f"{digits}G")
    with pytest.raises(ValueError, match="is not a size"):
        parse_bytes("²G")


@pytest.mark.parametrize(
    "data", [b'"' + b'\\"' * 1_000_000, b"[" + b'"' * 399_999, b'"\\' * 1_000_000, b"[" * 4_000_000]
)
def test_json_of_a_camera(data: bytes) -> None:
    def read() -> None:
        with pytest.raises(ValueError):
            parse_json(data)

    assert_quick(read)


@pytest.mark.parametrize("data", [b"<" * 4_000_000, b"<body" * 800_000, b"<body>" * 600_000, b"<a <b>" * 600_000])
def test_page_of_a_camera(data: bytes) -> None:
    assert_quick(lambda: parse_message(data))


@pytest.mark.parametrize("line", [b"-" * 8191, b"-" * 4000 + b"Contents o" * 400, b"00:00:00 [ INFO" + b" " * 8000])
def test_log_of_a_camera(line: bytes) -> None:
    assert_quick(lambda: parse_lines((line + b"\n") * 200))


@pytest.mark.parametrize(
    "word", ["unable to find ", "Unknown compiler(s):", "error: ", ":1", "fatal ", "cannot find -l"]
)
def test_output_of_a_build(word: str) -> None:
    line = word * (200_000 // len(word))
    assert_quick(lambda: (explain_output([line], []), find_hint(line)))


@pytest.mark.parametrize("text", [" " * 200_000, "a" * 200_000, "a `" * 60_000 + "b", "`" * 200_001, "a " * 90_000])
def test_message_on_a_terminal(text: str) -> None:
    assert_quick(lambda: wrap_words(text, 80))
