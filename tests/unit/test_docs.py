"""The docs cannot drift: the command line's page is the parser's own, links lead somewhere, commands parse."""

from __future__ import annotations

import re
import runpy
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest

from incamera.cli.parser import make_parser, parse_arguments
from incamera.project.loading import load_project
from incamera.project.settings_parsing import _KEYS, _RUNTIME_KEYS, _TEST_KEYS, PACKAGE_KEYS

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted(
    [
        *(REPOSITORY / "docs").rglob("*.md"),
        *(REPOSITORY / "examples").rglob("*.md"),
        *(REPOSITORY / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    ]
)
# An image is a link too. A title after the address is not used here.
_LINK = re.compile(r"\]\(([^()\s]+)\)")
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(incamera [^`]+)`")


def ids(path: Path) -> str:
    return str(path.relative_to(REPOSITORY))


def test_architecture_names_every_package() -> None:
    text = (REPOSITORY / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    source = REPOSITORY / "src" / "incamera"
    packages = {path.name for path in source.iterdir() if (path / "__init__.py").exists()}
    modules = {path.stem for path in source.glob("*.py")} - {"__init__"}
    assert packages | modules <= named


def without_code(text: str) -> str:
    return _FENCE.sub("", text)


def anchors(text: str) -> set[str]:
    """Return the names that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def commands(text: str) -> list[str]:
    """Return the commands of incamera that a page tells to type: in `sh` blocks, and indented ones."""
    lines = [line for language, block in _FENCE.findall(text) if language == "sh" for line in block.splitlines()]
    lines += [line.strip() for line in without_code(text).splitlines() if line.startswith("    ")]
    found = []
    for line in lines:
        line = re.sub(r"\s#\s.*", "", line)
        for part in [line] if set(line) & set("\"'") else re.split(r" && |; ", line):
            words = re.sub(r"^\s*(?:[A-Z_]+=\S+ )*|\s*>.*$", "", part).strip()
            if words.startswith("incamera "):
                found.append(words)
    return found


def test_cli_page_is_what_the_parser_says() -> None:
    made: dict[str, Any] = runpy.run_path(str(REPOSITORY / "docs/reference/make_cli.py"))
    committed = (REPOSITORY / "docs/reference/cli.md").read_text("utf-8")
    assert committed == made["make_page"](make_parser()), "run docs/reference/make_cli.py"
    assert "| `--upgrade [NAME …]` |" in committed


def test_page_of_acap_video_is_what_the_docstrings_say() -> None:
    made: dict[str, Any] = runpy.run_path(str(REPOSITORY / "docs/reference/make_acap.py"))
    committed = (REPOSITORY / "docs/reference/acap-video.md").read_text("utf-8")
    assert committed == made["make_page"](), "run docs/reference/make_acap.py"
    assert "| `sequence` |" in committed
    for name in made["MODULES"]:
        committed = (REPOSITORY / f"docs/reference/acap-{name}.md").read_text("utf-8")
        assert committed == made["make_module_page"](name), "run docs/reference/make_acap.py"


def test_the_example_with_everything_has_each_key_and_is_valid(tmp_path: Path) -> None:
    page = (REPOSITORY / "docs/reference/pyproject.md").read_text("utf-8")
    example = next(block for language, block in _FENCE.findall(page) if language == "toml")
    (tmp_path / "recipes").mkdir()
    (tmp_path / "pyproject.toml").write_text(example, "utf-8")
    load_project(tmp_path)
    tables = {"": _KEYS, ".runtime": _RUNTIME_KEYS, ".test": _TEST_KEYS, ".package": PACKAGE_KEYS}
    for table, keys in tables.items():
        found: dict[str, Any] = {"tool": tomllib.loads(example)["tool"]}
        for word in ("tool", *f"incamera{table}".split(".")):
            found = found[word]
        assert set(found) == set(keys)


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in _LINK.findall(without_code(text)):
        if link.startswith(("https://", "http://")):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), f"{link} leads nowhere"
        if anchor:
            assert anchor in anchors(target.read_text("utf-8")), f"{link}: there is no such heading"


def test_the_index_lists_each_page() -> None:
    docs = REPOSITORY / "docs"
    text = (docs / "index.md").read_text("utf-8")
    listed = {docs / target for target in re.findall(r"^- \[[^\]]+\]\(([^)#]+\.md)\)", text, re.MULTILINE)}
    assert listed == {page for page in docs.rglob("*.md") if page.name != "index.md"}


@pytest.mark.parametrize("page", PAGES, ids=ids)
def test_commands_parse(page: Path) -> None:
    text = page.read_text("utf-8")
    for command in commands(text):
        parse_arguments(shlex.split(command)[1:])  # a wrong one exits
    for command in _INLINE.findall(without_code(text)):
        words = command.split()
        # In running text a command may stand without what it needs (`incamera virtual start|stop`): it must exist.
        if set(command) & set("…|") or words[1].isupper():
            continue
        parser = make_parser()
        for word in words[1:]:
            groups = [action for action in parser._actions if isinstance(action.choices, dict)]
            if not groups:
                break
            assert word.startswith("-") or word in (groups[0].choices or {}), f"there is no `{command}`"
            if not word.startswith("-"):
                assert isinstance(groups[0].choices, dict)
                parser = groups[0].choices[word]


def test_the_tutorial_has_commands_to_check() -> None:
    found = commands((REPOSITORY / "docs/tutorial/first-app.md").read_text("utf-8"))
    assert {"incamera new doorbell", "incamera run", "incamera virtual stop --all"} <= set(found)
    assert commands("```sh\nA=b incamera run -- 3  # why\n```") == ["incamera run -- 3"]
    with pytest.raises(SystemExit):
        parse_arguments(["runn"])


def test_each_row_of_the_security_page_names_a_test_that_there_is() -> None:
    page = (REPOSITORY / "docs/explanation/security.md").read_text("utf-8")
    tables = page.split("| what | what holds | test |\n")[1:]
    rows = [row for table in tables for row in re.split(r"\n(?!\|)", table)[0].splitlines()[1:]]
    assert rows
    assert [row for row in rows if "`tests/" not in row] == []
    for file, name in re.findall(r"`(tests/[\w/.]+\.py)(?:::(\w+))?", page):
        text = (REPOSITORY / file).read_text("utf-8")
        assert not name or f"def {name}(" in text, f"{file} has no {name}"
