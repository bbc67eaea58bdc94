"""The declared import graph: which package may import which, and that no modules import each other in a circle."""

from __future__ import annotations

import ast
import collections
import re
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "incamera"
ALLOWED: Mapping[str, list[str]] = tomllib.loads(Path(__file__).with_name("imports.toml").read_text("utf-8"))
# Not part of the tool: data, scripts that make data and are run by hand, the template of a new project.
ELSEWHERE = {"data", "template"}
IMPORT = (ast.Import, ast.ImportFrom)


def module_name(path: Path) -> str:
    """Return a module's name below `incamera`; the package itself is the empty name."""
    return ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix("__init__").rstrip(".")


MODULES = {
    module_name(path): path
    for path in sorted(SOURCE.rglob("*.py"))
    if not ELSEWHERE & set(path.relative_to(SOURCE).parts)
}


def package_of(module: str) -> str:
    return module.partition(".")[0]


def first_party_imports(module: str) -> Iterator[str]:
    """Yield the modules that *module* imports anywhere in it: at its top, in functions, for types only."""
    for node in ast.walk(ast.parse(MODULES[module].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{module}: write the whole name of what is imported"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            if name.partition(".")[0] != "incamera":
                continue
            inner = name.partition(".")[2]
            # A name inside a module, or a module.
            yield inner if inner in MODULES else inner.rpartition(".")[0]


def test_table_has_every_package_in_an_order_without_cycles() -> None:
    assert set(ALLOWED) == {package_of(module) for module in MODULES} - {""}
    above: set[str] = set()
    for package, imported in ALLOWED.items():
        assert set(imported) <= above, f"{package} may import only what the lines above it name"
        above.add(package)


@pytest.mark.parametrize("package", ALLOWED)
def test_package_imports_only_what_its_line_allows(package: str) -> None:
    inside = [module for module in MODULES if package_of(module) == package]
    imported = {
        package_of(name): f"{module} imports {name}" for module in inside for name in first_party_imports(module)
    }
    unexpected = [why for name, why in imported.items() if name not in {*ALLOWED[package], package, ""}]
    assert not unexpected
    unused = set(ALLOWED[package]) - set(imported)
    assert not unused, f"imports.toml allows {package} what it does not need"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {module: set(first_party_imports(module)) - {module, ""} for module in MODULES}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the circle


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}


def imported_modules(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            modules |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.partition(".")[0])
    return modules


def everything_but(*packages: str) -> list[Path]:
    paths = [path for module, path in MODULES.items() if package_of(module) not in packages]
    # Run by hand: they make what is in the repository as binaries.
    for script in ("runtime/launcher/build.py", "runtime/launcher/make_trials.py", "virtual/stand_ins/build.py"):
        paths.remove(SOURCE / script)
    return paths


def test_only_the_console_prints() -> None:
    for path in everything_but("console"):
        assert "print" not in calls(path), path


def test_only_main_exits() -> None:
    # axis_os.main is a program in the camera.
    for path in everything_but("__main__", "axis_os"):
        leaves = calls(path) & {"exit", "sys.exit", "os._exit"}
        # argparse's own way out for a usage error is an exit too.
        assert not leaves or path.name == "parser.py", path


def test_only_proc_starts_processes() -> None:
    # axis_os starts the apps and the web server, in the camera.
    for path in everything_but("proc", "axis_os"):
        starts = {"subprocess.run", "subprocess.Popen", "subprocess.check_output", "os.system", "os.execv", "os.fork"}
        assert not calls(path) & starts, path


def test_only_http_opens_connections_to_the_web() -> None:
    for path in everything_but("http", "http_requests"):
        assert not imported_modules(path) & {"urllib3", "requests", "httpx"}, path
        assert "urlopen" not in " ".join(calls(path)), path
    for path in everything_but("http_connection"):
        assert "http" not in imported_modules(path), path


def test_the_architecture_page_follows_run_through_functions_that_exist() -> None:
    page = (SOURCE.parents[1] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    steps = re.findall(r"^\| \d+ \| `([\w/.]+)\.py` \| `(\w+)` \|", page, re.MULTILINE)
    assert 10 <= len(steps) <= 20
    reached: set[str] = set()
    for path, function in steps:
        module = path.replace("/", ".")
        assert not reached or module in reached, f"{path}.py is imported by none of the files before it"
        reached |= {module, *first_party_imports(module)}
        if module == "__main__":
            reached.add("cli.run")  # imported by its name, which the user typed
        defined = {
            node.name
            for node in ast.parse(MODULES[module].read_text("utf-8")).body
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        }
        assert function in defined, f"{path}.py has no function {function}"


def test_the_architecture_page_names_every_package() -> None:
    page = (SOURCE.parents[1] / "docs" / "explanation" / "architecture.md").read_text("utf-8")
    packages = page.partition("## Packages")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in packages.splitlines() if line.startswith("| `")]
    assert {name for row in rows for name in re.findall(r"`(\w+)`", row)} == set(ALLOWED)


def test_imports_inside_functions_say_why() -> None:
    for module, path in MODULES.items():
        text = path.read_text("utf-8")
        lines = text.splitlines()
        functions = (
            node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        )
        for block in (block for function in functions for block in blocks_of(function)):
            for before, statement in pairwise([None, *block]):
                first = isinstance(statement, IMPORT) and not isinstance(before, IMPORT)
                if first and statement is not None and "# lazy: " not in lines[statement.lineno - 1]:
                    pytest.fail(f"{module}, line {statement.lineno}: move the import to the top, or mark it `# lazy:`")


def blocks_of(function: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield the blocks of statements in *function*, its own and those of its compound statements."""
    for node in ast.walk(function):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list):
                yield block


def test_test_modules_outside_of_packages_have_names_of_their_own() -> None:
    """pytest imports such a module by its bare name, and refuses the second one."""
    tests = Path(__file__).parents[1]
    names = [path.name for path in tests.rglob("test_*.py") if not (path.parent / "__init__.py").exists()]
    assert [name for name, count in collections.Counter(names).items() if count > 1] == []
