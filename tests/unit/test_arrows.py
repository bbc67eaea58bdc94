"""Imports point one way: cli → workflows → rooms → what they all stand on. The rooms don't know one another."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "incamera"

ROOMS = {"debian", "wheels", "toolchain", "runtime", "abi", "device", "virtual", "share", "eap"}
# From the bottom up. A module may import what stands on its own layer's left, its own layer only within itself.
LAYERS = [
    {"errors", "names", "units", "waiting", "__init__"},
    {"targets"},
    {"project"},
    {"disk", "tree", "elf", "proc", "http", "digest", "proxies", "simple_index", "fetching"},
    {"store", "run_log"},
    ROOMS,
    {"workflows"},
    {"console"},
    {"cli"},
    {"__main__"},
]


def layer_of(unit: str) -> int:
    return next(number for number, units in enumerate(LAYERS) if unit in units)


def first_party_imports(path: Path) -> set[str]:
    units = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [
                f"{node.module}.{alias.name}" if node.module == "incamera" else node.module for alias in node.names
            ]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            head, _, rest = name.partition(".")
            if head == "incamera":
                units.add(rest.partition(".")[0] or "__init__")
    # `from incamera import __version__` reaches into the package itself.
    return {unit if unit != "__version__" else "__init__" for unit in units}


def unit_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


# A script in a data folder makes what lies beside it, by hand, and may use all of the tool.
MODULES = sorted(path for path in SOURCE.rglob("*.py") if "data" not in path.parts)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_point_down(path: Path) -> None:
    unit = unit_of(path)
    for imported in first_party_imports(path) - {unit}:
        assert layer_of(imported) <= layer_of(unit), f"{unit} reaches up to {imported}"
        assert not {unit, imported} <= ROOMS, f"the rooms {unit} and {imported} must not know one another"


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


def everything_but(*units: str) -> list[Path]:
    # What runs elsewhere (templates, workers in other interpreters) stands in folders called data or template.
    elsewhere = {"data", "template"}
    paths = [path for path in SOURCE.rglob("*.py") if not elsewhere & set(path.relative_to(SOURCE).parts)]
    for script in ("build.py", "make_trials.py"):  # make the launcher and what it carries, run by hand
        paths.remove(SOURCE / "runtime" / "launcher" / script)
    return [path for path in paths if unit_of(path) not in units]


def test_only_the_console_prints() -> None:
    for path in everything_but("console"):
        assert "print" not in calls(path), path


def test_only_main_exits() -> None:
    for path in everything_but("__main__"):
        leaves = calls(path) & {"exit", "sys.exit", "os._exit"}
        # argparse's own way out for a usage error is an exit too.
        assert not leaves or path.name == "parser.py", path


def test_only_proc_starts_processes() -> None:
    for path in everything_but("proc"):
        starts = {"subprocess.run", "subprocess.Popen", "subprocess.check_output", "os.system", "os.execv", "os.fork"}
        assert not calls(path) & starts, path


def test_only_http_opens_connections_to_the_web() -> None:
    for path in everything_but("http"):
        assert not imported_modules(path) & {"urllib3", "requests", "httpx"}, path
        assert "urlopen" not in " ".join(calls(path)), path
