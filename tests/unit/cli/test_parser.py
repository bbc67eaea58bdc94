"""Words become values: every command has help, and the interpreter's options stay the interpreter's."""

import argparse

import pytest

from incamera.cli.parser import COMMANDS, make_console, make_parser, parse_arguments


def parsers(parser: argparse.ArgumentParser) -> list[argparse.ArgumentParser]:
    found = [parser]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for child in action.choices.values():
                found += parsers(child)
    return found


ALL = parsers(make_parser())
LEAVES = [parser for parser in ALL if parser.get_default("execute")]


@pytest.mark.parametrize("parser", ALL, ids=lambda parser: parser.prog)
def test_every_command_and_option_has_help(parser: argparse.ArgumentParser) -> None:
    assert parser.description
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert {choice.dest for choice in action._choices_actions if choice.help} == set(action.choices)
        elif action.metavar != "NAME":
            assert action.help, f"{parser.prog}: {action.dest}"
    assert parser.format_help()


@pytest.mark.parametrize("parser", LEAVES, ids=lambda parser: parser.prog)
def test_every_command_can_be_quiet(parser: argparse.ArgumentParser) -> None:
    options = {option for action in parser._actions for option in action.option_strings}
    assert {"-q", "--quiet", "-h"} <= options
    streams = ("python", "test", "debug", "completion")
    assert ("--json" in options) is not parser.prog.endswith(streams)
    assert not parser.allow_abbrev


def test_the_commands_are_those_of_the_help() -> None:
    text = make_parser().format_help()
    places = [text.index(f"\n    {name} ") for name in COMMANDS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("typed", "ours", "theirs"),
    [
        ([], {}, []),
        (["-c", "print(1)"], {}, ["-c", "print(1)"]),
        (["-m", "http.server", "--bind", "x"], {}, ["-m", "http.server", "--bind", "x"]),
        (["--device", "lobby", "-c", "x"], {"device": "lobby"}, ["-c", "x"]),
        (["--device=lobby", "-q", "-c", "x"], {"device": "lobby", "quiet": True}, ["-c", "x"]),
        (["-C", "dir", "script.py", "-C", "other"], {"project": "dir"}, ["script.py", "-C", "other"]),
        (["-c", "x", "--device", "y"], {"device": None}, ["-c", "x", "--device", "y"]),
        (["--", "-q"], {"quiet": False}, ["-q"]),
        (["-V"], {}, ["-V"]),
        (["-"], {}, ["-"]),
    ],
)
def test_the_interpreters_arguments(typed: list[str], ours: dict[str, object], theirs: list[str]) -> None:
    arguments = parse_arguments(["python", *typed])
    assert arguments.arguments == theirs
    for name, value in ours.items():
        assert getattr(arguments, name) == value


def test_the_interpreters_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["python", "--help"])
    assert ended.value.code == 0
    assert "incamera python" in capsys.readouterr().out


def test_an_option_that_lacks_its_value(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["python", "--device"])
    assert ended.value.code == 2
    assert "--device" in capsys.readouterr().err


def test_the_apps_arguments_follow_two_dashes() -> None:
    assert parse_arguments(["run", "--", "--json", "-q", "x"]).arguments == ["--json", "-q", "x"]
    assert parse_arguments(["run", "--device", "a", "--"]).arguments == []


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["buld"], 'did you mean "build"?'),
        (["build", "--qiet"], 'did you mean "--quiet"?'),
        (["device", "lst"], 'did you mean "list"?'),
        (["store", "clean", "--dayz", "3"], 'did you mean "--days"?'),
    ],
)
def test_the_closest_name(typed: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize("typed", [["xyzzy"], ["build", "--xyzzy"], ["store", "clean", "--days", "soon"], []])
def test_nothing_is_guessed_where_nothing_is_close(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(typed)
    said = capsys.readouterr().err
    assert "error: " in said
    assert "did you mean" not in said


def test_a_console_as_asked_for() -> None:
    console = make_console(parse_arguments(["store", "path", "--json", "-q"]))
    assert console.json_output
    assert console.quiet
    assert not make_console(parse_arguments(["run"])).json_output


@pytest.mark.parametrize(
    ("typed", "device", "quiet", "pytests"),
    [
        (["-k", "dark or light", "-x"], None, False, ["-k", "dark or light", "-x"]),
        (["-k", "dark", "--device", "cam", "tests/test_a.py"], "cam", False, ["-k", "dark", "tests/test_a.py"]),
        (["--device=cam", "--", "--device", "other"], "cam", False, ["--device", "other"]),
        (["-q", "--maxfail=1"], None, True, ["-q", "--maxfail=1"]),
        ([], None, False, []),
    ],
)
def test_what_test_does_not_know_is_pytest_s(
    typed: list[str], device: str | None, quiet: bool, pytests: list[str]
) -> None:
    command = parse_arguments(["test", *typed])
    assert (command.device, command.quiet, command.arguments) == (device, quiet, pytests)
