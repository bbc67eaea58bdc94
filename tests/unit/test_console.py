"""The console: data on standard output, the rest on standard error, bars and colours on terminals only."""

import io
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress

import pytest
from tests.waiting import wait_until

from incamera.console import Console
from incamera.console_streams import OutputClosed, escaping_errors
from incamera.context import BriefReporter
from incamera.errors import ConfigError, StoreError, ToolFailed
from incamera.units import escape_controls, format_age, format_bytes


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Broken(io.StringIO):
    def __init__(self, error: OSError) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def make(
    *, terminal: bool = False, environment: Mapping[str, str] | None = None, quiet: bool = False
) -> tuple[Console, io.StringIO, io.StringIO]:
    output, messages = (Terminal(), Terminal()) if terminal else (io.StringIO(), io.StringIO())
    console = Console(output=output, messages=messages, environment=environment or {"TERM": "xterm"}, quiet=quiet)
    return console, output, messages


def test_step_is_printed_when_it_has_succeeded() -> None:
    console, output, messages = make()
    with console.step("lock") as step:
        assert messages.getvalue() == ""
        step.note("46 packages")
        step.note("armv7hf")
    assert messages.getvalue().startswith("✓ lock")
    assert messages.getvalue().endswith(" s  46 packages, armv7hf\n")
    assert output.getvalue() == ""
    assert [(kept.name, kept.cached) for kept in console.steps] == [("lock", False)]
    assert console.steps[0].seconds > 0


@pytest.mark.parametrize("terminal", [False, True])
def test_brief_reporter_leaves_out_steps_that_had_nothing_to_do(terminal: bool) -> None:
    console, _, messages = make(terminal=terminal)
    brief = BriefReporter(console)
    with brief.step("lock") as step:
        step.cached = True
    with brief.step("deploy") as step:
        step.note("2 files")
    brief.info("ready")
    shown = re.sub("\x1b\\[[0-9;]*[mK]", "", messages.getvalue()).split("\r")[-1]
    assert "lock" not in shown
    assert "deploy" in shown
    assert shown.endswith("ready\n")


def test_long_step_tells_how_far_it_is_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.console._TELL_ELSEWHERE_SECONDS", 0.01)
    monkeypatch.setattr("incamera.console_steps._LEAST_SECONDS", 0.0)
    console, _, messages = make()

    def await_line(pattern: str) -> None:
        wait_until(lambda: re.search(f"^  deploy: {pattern}$", messages.getvalue(), re.MULTILINE), "a line")

    with console.step("deploy") as step:
        await_line(r"\d+ s")
        with step.phase("sending", "sent", 30_000_000) as advance:
            advance(12_000_000)
            await_line(r"sending, 12\.0 MB of 30\.0 MB, \d+ s")
        with step.phase("checking", "checked"):
            await_line(r"checking, \d+ s")
        with step.phase("checking", "checked"):  # its times are added
            pass
        step.note("7 files")
    times = r"deploy +\d+\.\d s  7 files, sent in \d+\.\d s, checked in \d+\.\d s\n$"
    assert re.search(times, messages.getvalue())


def test_long_step_tells_how_far_it_is_in_its_line_of_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.console._TELL_SECONDS", 0.01)
    console, _, messages = make(terminal=True)
    with console.step("deploy") as step, step.phase("checking", "checked"):
        wait_until(lambda: "\x1b[2K  deploy … checking, 0 s\r" in messages.getvalue(), "a line")
        console.info("by the way")
        assert "\x1b[2Kby the way\n" in messages.getvalue()


def test_step_beside_an_app_leaves_the_line_on_the_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.console._TELL_SECONDS", 0.01)
    console, _, messages = make(terminal=True)

    def build() -> None:
        with console.step("build"):
            time.sleep(0.1)

    thread = threading.Thread(target=build)
    thread.start()
    thread.join()
    assert messages.getvalue().count("\x1b[2K") == 1


def test_failed_step_is_not_printed() -> None:
    console, _, messages = make()
    with pytest.raises(ConfigError), console.step("lock"):
        raise ConfigError("no")
    assert messages.getvalue() == ""


def test_quiet_prints_only_results_warnings_and_errors() -> None:
    console, output, messages = make(quiet=True)
    with console.step("lock"):
        console.info("by the way")
    console.warn("mind the gap")
    console.print("result")
    assert messages.getvalue() == "warning: mind the gap\n"
    assert output.getvalue() == "result\n"


def test_emit_prints_one_json_document() -> None:
    console, output, messages = make()
    console.emit({"path": "/ä", "steps": []})
    assert json.loads(output.getvalue()) == {"schema": 1, "path": "/ä", "steps": []}
    assert messages.getvalue() == ""


def test_no_escape_sequences_without_a_terminal() -> None:
    console, output, messages = make()
    with console.step("fetch") as step, step.progress(100) as advance:
        advance(50)
    console.error(ToolFailed("no", hint="yes", tail="line"))
    console.table(("NAME",), [("a",)])
    assert "\x1b" not in messages.getvalue() + output.getvalue()
    assert "\r" not in messages.getvalue()


@pytest.mark.parametrize("environment", [{"TERM": "xterm", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_with_no_color_or_on_a_dumb_terminal(environment: dict[str, str]) -> None:
    console, output, messages = make(terminal=True, environment=environment)
    with console.step("lock"):
        console.warn("careful")
    console.error(ConfigError("no", hint="yes"))
    console.table(("NAME",), [("a",)])
    printed = messages.getvalue().replace("\x1b[2K", "")  # clears a line, and is no colour
    assert "\x1b" not in printed + output.getvalue()


def test_errors_and_table_heads_have_colours_on_a_terminal() -> None:
    console, output, messages = make(terminal=True)
    console.error(ConfigError("no", hint="yes"))
    console.table(("NAME",), [("a",)])
    assert "\x1b[31;1merror:\x1b[0m no" in messages.getvalue()
    assert "\x1b[1mNAME\x1b[0m" in output.getvalue()


def test_error_is_printed_with_the_programs_output_and_the_hint() -> None:
    console, _, messages = make()
    console.error(ToolFailed("cannot compile: gcc: exit code 1", hint="mend it", tail="a.c:1: error\na.c:2: error"))
    assert messages.getvalue().splitlines() == [
        "error: cannot compile: gcc: exit code 1",
        "  | a.c:1: error",
        "  | a.c:2: error",
        "hint: mend it",
    ]


def test_endless_texts_of_strangers_are_shortened() -> None:
    messages = io.StringIO()
    console = Console(messages=messages)
    tail = "\n".join(f"{number} {'x' * 10_000}" for number in range(1000))
    console.error(ToolFailed("y" * 100_000 + "\n" * 50_000, hint="z" * 100_000, tail=tail))
    console.warn("line\n" * 50_000)
    text = messages.getvalue()
    assert len(text) < 20_000
    assert text.count("\n") < 80
    assert "error: y" in text
    assert "999 x" in text  # the last lines of a program say why it failed
    assert "hint: z" in text


def test_error_without_a_hint_is_one_line() -> None:
    console, _, messages = make()
    console.error(ConfigError("no"))
    assert messages.getvalue() == "error: no\n"


def test_progress_bar_is_shown_on_a_terminal() -> None:
    console, output, messages = make(terminal=True)
    with console.progress("fetch", 1000) as advance:
        advance(500)
    assert "fetch" in messages.getvalue()
    assert output.getvalue() == ""


def test_table_columns_are_padded() -> None:
    console, output, _ = make()
    console.table(("NAME", "PORT"), [("a-long-name", "1"), ("b", "22")])
    assert output.getvalue().splitlines() == ["NAME         PORT", "a-long-name  1", "b            22"]


def test_confirm_is_false_without_a_terminal() -> None:
    console, _, messages = make()
    assert not console.confirm("Trust it?")
    assert messages.getvalue() == ""


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), (" YES \n", True), ("n\n", False), ("\n", False), ("", False), ("yo\n", False)]
)
def test_confirm_is_true_for_y_and_yes_only(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool) -> None:
    console, _, messages = make(terminal=True)
    monkeypatch.setattr("sys.stdin", Terminal(typed))
    assert console.confirm("Trust it?") is answer
    assert messages.getvalue() == "Trust it? [y/N] "


def test_question_is_wrapped_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    console, _, messages = make(terminal=True)
    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    key = "SHA256:XY06eBsv7uDsdZCOLFeH5tGe6940qMiHdAXmJX/y1eA"
    console.confirm(f"axiscam (192.0.2.10) is new here. Its ssh-ed25519 key is {key}. Trust it?")
    lines = messages.getvalue().splitlines()
    assert len(lines) > 1
    assert any(key in line for line in lines)
    assert max(map(len, lines)) <= 60


def test_characters_missing_in_the_encoding_are_replaced() -> None:
    messages = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    console = Console(output=io.StringIO(), messages=messages, environment={})
    with console.step("lock"):
        pass
    console.warn("naïve")
    messages.seek(0)
    assert messages.read().splitlines()[-1] == "warning: na?ve"


def test_closed_pipe_and_full_disk_raise_different_errors() -> None:
    gone = Console(output=Broken(BrokenPipeError()), messages=io.StringIO(), environment={})
    with pytest.raises(OutputClosed):
        gone.print("x")
    full = Console(output=Broken(OSError(28, "No space left on device")), messages=io.StringIO(), environment={})
    with pytest.raises(StoreError, match="cannot print: No space left"):
        full.emit({})


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (44_700_000, "44.7 MB"),
        (-5_000, "-5.0 kB"),
        (2 * 10**12, "2000.0 GB"),
    ],
)
def test_format_bytes_uses_decimal_units(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_table_too_wide_for_the_terminal_is_printed_as_paragraphs(monkeypatch: pytest.MonkeyPatch) -> None:
    columns, rows = (
        ("KIND", "PLACE", "EXEC"),
        [("ram", "/tmp", "yes"), ("share", "/var/spool/storage/NetworkShare", "")],
    )
    for wide, text in (
        ("60", "KIND   PLACE                            EXEC\n"),
        ("40", "ram\n  place: /tmp, exec: yes\nshare\n  place: /var/spool/storage/NetworkShare\n"),
        (
            "24",
            "ram\n  place: /tmp, exec: yes\nshare\n  place:\n    /var/spool/storage/NetworkShare\n",
        ),  # can be copied
    ):
        monkeypatch.setenv("COLUMNS", wide)
        console, output, _ = make(terminal=True, environment={"TERM": "xterm", "NO_COLOR": "1"})
        console.table(columns, rows)
        assert output.getvalue().startswith(text)


def test_messages_are_wrapped_between_words_on_a_terminal_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    error = ConfigError("the project has no entry, and nothing else to run", hint="type `incamera run -- --name anna`")
    for terminal in (True, False):
        console, output, messages = make(terminal=terminal, environment={"TERM": "xterm", "NO_COLOR": "1"})
        console.error(error)
        console.paragraph("missing-library: ask for a wheel that has it")
        assert output.getvalue() == (
            "missing-library: ask for a\n  wheel that has it\n"
            if terminal
            else "missing-library: ask for a wheel that has it\n"
        )
        assert messages.getvalue() == (
            "error: the project has no\n  entry, and nothing else to\n  run\n"
            "hint: type\n  `incamera run -- --name anna`\n"
            if terminal
            else f"error: {error}\nhint: {error.hint}\n"
        )


def test_colours_of_a_message_end_where_its_first_word_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    console, _, messages = make(terminal=True, environment={"TERM": "xterm"})
    console.warn("\x1b[2Jthe camera's name is long")
    assert messages.getvalue().splitlines()[0] == "\x1b[35;1mwarning:\x1b[0m \\x1b[2Jthe"


def screen(text: str) -> list[str]:
    """Return what a terminal shows after *text*: its lines, without those that were cleared."""
    lines, row = [""], 0
    for part in re.findall(r"\x1b\[[?0-9;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", text):
        if part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part == "\x1b[2K":
            lines[row] = ""
        elif part == "\x1b[1A":
            row -= 1
        elif part not in ("\r", "\x1b[?25l", "\x1b[?25h"):
            lines[row] += part
    return [line for line in lines if line]


@pytest.mark.parametrize("terminal", [False, True])
def test_live_table_replaces_the_one_before_on_a_terminal_only(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    columns = ("pid", "role", "CPU %", "command")
    console, output, _ = make(terminal=terminal, environment={"TERM": "xterm", "NO_COLOR": "1"})
    with console.live_table() as show:
        show("two run", columns, [["7", "app", "12.5", "[x]"], ["10", "guard", "–", "y"]])
        first = output.getvalue()
        show("nothing runs", columns, [])
    # Numbers are aligned right. On a terminal, lines that are too long are cut.
    table = (
        ["two run", "pid  role   CPU %  …", "  7  app     12.5  …", " 10  guard      –  y"]
        if terminal
        else ["two run", "pid  role   CPU %  command", "  7  app     12.5  [x]", " 10  guard      –  y"]
    )
    assert screen(first) == table
    assert screen(output.getvalue()) == (["nothing runs"] if terminal else [*table, "nothing runs"])


def test_live_table_shows_the_cursor_again_at_its_end() -> None:
    console, output, _ = make(terminal=True)
    with suppress(KeyboardInterrupt), console.live_table() as show:
        show("one runs", ("pid",), [["7"]])
        raise KeyboardInterrupt
    assert output.getvalue().endswith("\x1b[?25h")


def test_live_table_ends_when_its_reader_has_closed_the_pipe() -> None:
    class BrokenTerminal(Broken):
        def isatty(self) -> bool:
            return True

    console = Console(output=BrokenTerminal(BrokenPipeError()), messages=Terminal(), environment={"TERM": "xterm"})
    with pytest.raises(OutputClosed), console.live_table() as show:
        show("one runs", ("pid",), [["7"]])


# What strangers name things: a title, a clipboard, a cursor, C1, bidi, separators of lines, a byte that is not UTF-8.
HOSTILE = "a\x1b]0;x\x07b\x1b[2Jc\rd\x00\x7f\x9b31m\u202ee\u2066\u2028\u200b\x85" + os.fsdecode(b"\xff")
SHOWN = r"a\x1b]0;x\x07b\x1b[2Jc\rd\x00\x7f\x9b31m\u202ee\u2066\u2028\u200b\x85\xff"


def test_control_characters_become_escapes_and_other_text_stays() -> None:
    assert escape_controls(HOSTILE) == SHOWN
    assert escape_controls("tab\tline\n") == r"tab\tline\n"
    assert escape_controls("tab\tline\n", keep="\n\t") == "tab\tline\n"
    for text in ("naïve 相机 \xa0 😀 عربي", "", "C:\\x1b"):
        assert escape_controls(text) == text


def test_every_way_to_print_shows_control_characters_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    console, output, messages = make()
    with console.step(HOSTILE) as step:
        step.note(HOSTILE)
    console.info(HOSTILE)
    console.warn(HOSTILE)
    console.error(ToolFailed(HOSTILE, hint=HOSTILE, tail=f"x{HOSTILE}"))
    console.print(HOSTILE)
    console.table(("NAME",), [(HOSTILE,)])
    console.emit({HOSTILE: HOSTILE})
    console.emit_line({"name": HOSTILE})
    with console.live_table() as show:
        show(HOSTILE, (HOSTILE,), [[HOSTILE]])
    try:
        raise ValueError(HOSTILE)
    except ValueError:
        console.traceback()
    printed = messages.getvalue() + output.getvalue()
    assert set(printed) - {"\n"} == {character for character in printed if character.isprintable()}
    assert messages.getvalue().count(SHOWN) == 7  # the tail is split into lines
    assert output.getvalue().count(SHOWN) == 5


def test_names_reach_a_terminal_without_their_sequences(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    console, output, messages = make(terminal=True)
    monkeypatch.setattr("sys.stdin", Terminal("n\n"))
    console.confirm(HOSTILE)
    with console.step(HOSTILE) as step, step.progress(10) as advance:
        advance(5)
    with console.live_table() as show:
        show(HOSTILE, ("NAME",), [[HOSTILE], ["[red]x"]])
    console.table(("NAME", "PORT"), [(HOSTILE * 3, "1")])
    printed = messages.getvalue() + output.getvalue()
    for sequence in ("\x1b]", "\x07", "\x1b[2J", "\x9b", "\x7f", "\u202e", "\u2028"):
        assert sequence not in printed
    assert "[red]x" in printed


def test_text_of_a_stranger_cannot_pass_for_a_message() -> None:
    console, _, messages = make()
    forged = "wrong\nerror: forged\r\nhint: forged\n\n  already indented"
    console.warn(forged)
    console.info(forged)
    console.error(ToolFailed(forged, hint=forged, tail=forged))
    lines = messages.getvalue().splitlines()
    assert [line for line in lines if "forged" in line and not line.startswith("  ")] == []
    assert lines.count("  hint: forged") == 4
    assert lines.count("  already indented") == 4


def test_newline_in_a_cell_or_a_step_is_shown_as_text() -> None:
    console, output, messages = make()
    with console.step("a\nb") as step:
        step.note("c\td\n")
    console.table(("NAME",), [("one\ntwo",)])
    assert messages.getvalue().count("\n") == 1
    assert output.getvalue().splitlines() == ["NAME", r"one\ntwo"]


def test_stored_line_of_the_app_is_printed_as_it_is() -> None:
    console, output, _ = make()
    console.app_line("12:00:00.000", "\u202eגשר\x9b1m\t|", is_error=True)
    assert output.getvalue() == "12:00:00.000 \u202eגשר\x9b1m\t|\n"


def test_json_is_ascii_without_control_characters() -> None:
    console, output, _ = make()
    console.emit({"name": HOSTILE})
    assert output.getvalue().isascii()
    assert "\x7f" not in output.getvalue()
    assert json.loads(output.getvalue())["name"] == HOSTILE


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_data_is_printed_in_any_encoding(encoding: str) -> None:
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(output=output, messages=io.StringIO(), environment={})
    console.print(f"相机 {os.fsdecode(b'caf' + bytes([0xE9]))}")
    console.table(("NAME",), [("相",)])
    output.seek(0)
    assert output.read().splitlines() == [r"\u76f8\u673a caf\xe9", "NAME", r"\u76f8"]


def test_what_libraries_print_on_standard_error_is_escaped_too(monkeypatch: pytest.MonkeyPatch) -> None:
    messages = io.StringIO()
    monkeypatch.setattr("sys.stderr", messages)
    with escaping_errors():
        assert logging.lastResort is not None
        logging.lastResort.handle(logging.makeLogRecord({"msg": HOSTILE, "levelno": logging.ERROR}))
        sys.stderr.write(f"{HOSTILE}\n")
    assert messages.getvalue() == f"{SHOWN}\n" * 2
    assert sys.stderr is messages


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-5, "0 s"), (59.4, "59 s"), (61, "1 min"), (7200, "2 h"), (86_400, "1 day"), (9e5, "10 days")],
)
def test_ages_are_in_the_largest_unit_that_fits(seconds: float, text: str) -> None:
    assert format_age(seconds) == text


def test_messages_in_ascii_have_words_for_what_ascii_lacks() -> None:
    messages = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    Console(output=io.StringIO(), messages=messages).info("lock … done – with ü")
    messages.seek(0)
    assert messages.read() == "lock ... done - with ?\n"
