"""What a command prints suits where it goes: a narrow terminal, a pipe, no colours, ASCII."""

from __future__ import annotations

import io
import re

import pytest

from incamera.cli.parser import Parser, make_parser, parse_arguments
from incamera.console import Console


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def show(
    words: list[str], *, terminal: bool, encoding: str = "utf-8", environment: dict[str, str] | None = None
) -> str:
    """Return what the command *words* prints on standard output."""
    raw = io.BytesIO()
    kind = Terminal if terminal else io.TextIOWrapper
    output, messages = kind(raw, encoding=encoding), kind(io.BytesIO(), encoding=encoding)
    console = Console(output=output, messages=messages, environment=environment or {"TERM": "xterm"})
    arguments = parse_arguments(words)
    assert arguments.execute(arguments, console) == 0
    return raw.getvalue().decode(encoding)


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_list_of_profiles_fits_the_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = show(["virtual", "profiles"], terminal=True, environment={"TERM": "xterm", "NO_COLOR": "1"})
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= columns
    assert "axis-os-11-aarch64" in text


def test_table_in_a_pipe_has_one_line_per_row_however_narrow_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    text = show(["virtual", "profiles"], terminal=False, encoding="ascii")
    assert "\x1b" not in text
    assert [line.split()[0] for line in text.splitlines()][:2] == ["PROFILE", "axis-os-10-armv7hf"]
    assert all(line.count("axis-os-") <= 1 for line in text.splitlines())


def test_table_on_a_terminal_has_a_bold_head_unless_no_color_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    assert show(["virtual", "profiles"], terminal=True).startswith("\x1b[1mPROFILE")


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", ["run", "debug", "audit", "share attach"])
def test_help_breaks_lines_between_words_and_not_in_code(
    command: str, columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    with pytest.raises(SystemExit):
        make_parser([command.split()[0]]).parse_args([*command.split(), "--help"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= min(columns, 100)
    assert [line for line in lines if line.count("`") % 2 or line.endswith("-")] == []


QUANTITIES = ("284.9 s", "44.7 MB", "11.2 MB/s,", "(40 days", "97 %", "3 min", "120 ms", "2 Mbit/s)", "30 fps.")


@pytest.mark.parametrize("way", ["table", "paragraph", "info", "warn", "step", "help"])
def test_number_and_its_unit_stay_in_one_line(
    way: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = " and some words ".join(QUANTITIES)
    for columns in range(24, 48):
        monkeypatch.setenv("COLUMNS", str(columns))
        raw = io.BytesIO()
        stream = Terminal(raw, encoding="utf-8")
        console = Console(output=stream, messages=stream, environment={"TERM": "xterm", "NO_COLOR": "1"})
        if way == "table":
            console.table(("NAME", "A", "SIZE"), [("name", quantity, quantity) for quantity in QUANTITIES])
        elif way == "step":
            with console.step("name") as step:
                step.note(text)
        elif way == "help":
            with pytest.raises(SystemExit):
                Parser(prog="x", description=text).parse_args(["--help"])
        else:
            getattr(console, way)(text)
        shown = (capsys.readouterr().out if way == "help" else raw.getvalue().decode()).splitlines()
        assert [quantity for quantity in QUANTITIES if not any(quantity in line for line in shown)] == []
        assert len(shown) > 3


def test_progress_of_a_long_label_stays_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    raw = io.BytesIO()
    stream = Terminal(raw, encoding="utf-8")
    console = Console(output=stream, messages=stream, environment={"TERM": "xterm", "NO_COLOR": "1"})
    with console.progress("runtime: installing the wheels", 69_600) as advance:
        advance(69_600)
    shown = [line for line in raw.getvalue().decode().splitlines() if "runtime" in line]
    assert re.search(r"runtime: installing the wheels ━+ 69\.6/69\.6 kB", shown[-1])
