"""Who prints, exits, starts processes and opens connections."""

import ast
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "incamera"


def unit_of(path: Path) -> str:
    return path.relative_to(SOURCE).parts[0].removesuffix(".py")


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
