"""The command line's parser: help, errors with hints, and arguments that go to Python, pytest or the app."""

import argparse
import re
from pathlib import Path

import pytest

from incamera.__main__ import main
from incamera.cli import other_tools
from incamera.cli.parser import COMMANDS, load_named_program, make_console, make_parser, parse_arguments
from incamera.cli.words import OTHER_NAMES
from incamera.console import Console
from incamera.context import Context


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
    streams = ("python", "test", "debug", "completion", "help", "cat")
    assert ("--json" in options) is not parser.prog.endswith(streams)
    assert not parser.allow_abbrev


def test_help_lists_the_commands_in_order() -> None:
    text = make_parser().format_help()
    places = [text.index(f"\n  {name} ") for name in COMMANDS]
    assert places == sorted(places)
    assert len(set(COMMANDS)) == len(COMMANDS)


@pytest.mark.parametrize(
    ("typed", "options", "passed_on"),
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
def test_python_passes_on_everything_after_its_own_options(
    typed: list[str], options: dict[str, object], passed_on: list[str]
) -> None:
    arguments = parse_arguments(["python", *typed])
    assert arguments.arguments == passed_on
    for name, value in options.items():
        assert getattr(arguments, name) == value


def test_help_of_python_is_not_passed_to_the_interpreter(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["python", "--help"])
    assert ended.value.code == 0
    assert "incamera python" in capsys.readouterr().out


def test_option_without_its_value_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(["python", "--device"])
    assert ended.value.code == 2
    assert "--device" in capsys.readouterr().err


def test_arguments_after_two_dashes_go_to_the_app() -> None:
    assert parse_arguments(["run", "--", "--json", "-q", "x"]).arguments == ["--json", "-q", "x"]
    assert parse_arguments(["run", "--device", "a", "--"]).arguments == []


@pytest.mark.parametrize("command", ["run", "debug"])
@pytest.mark.parametrize(
    ("typed", "program", "module", "passed_on"),
    [
        ([], None, None, []),
        (["other.py", "--device", "x", "--"], "other.py", None, ["--device", "x", "--"]),
        (["-qC", "dir", "--device", "a", "other.py"], "other.py", None, []),
        (["-Cdir", "--device=a", "-", "x"], "-", None, ["x"]),
        (["-q", "-m", "bell.main", "--loud", "--", "x"], None, "bell.main", ["--loud", "--", "x"]),
        (["-mbell", "x.py"], None, "bell", ["x.py"]),
        (["--", "other.py", "-q"], None, None, ["other.py", "-q"]),
        (["foo", "bar"], "foo", None, ["bar"]),
        (["foo", "", "bar"], "foo", None, ["", "bar"]),
    ],
)
def test_first_word_or_module_is_what_runs_and_the_rest_are_its_arguments(
    command: str, typed: list[str], program: str | None, module: str | None, passed_on: list[str]
) -> None:
    arguments = parse_arguments([command, *typed])
    assert (arguments.program, arguments.module, arguments.arguments) == (program, module, passed_on)


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        (["buld"], 'did you mean "build"?'),
        (["deploy", "--to", "flash"], 'did you mean "package"?'),
        (["build", "--qiet"], 'did you mean "--quiet"?'),
        (["device", "lst"], 'did you mean "list"?'),
        (["store", "clean", "--dayz", "3"], 'did you mean "--days"?'),
        (["device", "ls"], 'did you mean "list"?'),
        (["shares", "rm"], 'did you mean "remove"?'),
        (["shell"], 'did you mean "python"?'),
        (["share", "start"], 'did you mean "serve"?'),
        (["run", "--wach"], 'did you mean "--watch"?'),
        (["run", "-d", "lobby"], 'did you mean "--device"?'),
        (["build", "blink.py"], "`incamera build --script blink.py`"),
        (["blink.py"], "`incamera run blink.py`"),
    ],
)
def test_mistyped_name_gets_the_closest_one_as_hint(
    typed: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed)
    assert ended.value.code == 2
    assert hint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ([], "`incamera help`"),
        (["xyzzy"], "`incamera --help`"),
        (["build", "--xyzzy"], "`incamera build --help`"),
        (["store", "clean", "--days", "soon"], "`incamera store clean --help`"),
        (["run", "--to", "moon"], "choose one of: ram, package, sdcard, share"),
        (["run", "--xyzzy"], "incamera run -- --verbose"),
        (["audit", "--xyzzy"], "`incamera audit --help`"),
        (["device", "info", "--device", "lobby"], "`incamera device info NAME`, without --device"),
        (["device", "add", "--address", "192.0.2.1"], "`incamera device add NAME ADDRESS`, without --address"),
        (["add", "-r", "requirements.txt"], "`incamera init` reads requirements.txt"),
        (["add", "-U", "attrs"], "`incamera lock --upgrade NAME`"),
        (["audit", "--profile", "a", "--device", "b"], "leave out one of them"),
        (["virtual", "start", "--profile", "x"], "`incamera virtual start PROFILE`, without --profile"),
        (["share", "attach", "--share", "nas"], "`incamera share attach NAME`, without --share"),
        (["start", "bell"], "`incamera start --app bell`"),
        (["status", "lobby"], "`incamera status --device lobby`"),
    ],
)
def test_other_errors_hint_at_help_or_at_two_dashes(
    typed: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(typed)
    message = capsys.readouterr().err
    assert "error: " in message
    assert "did you mean" not in message
    assert hint in message.splitlines()[-1]


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("pip install requests", "`incamera add NAME`"),
        ("upgade", "`incamera lock --upgrade`"),  # similar to a word of other tools alone
        ("connect cam", "`incamera device add NAME ADDRESS`"),
        ("mount .", "`incamera run --watch`"),
        ("virtual ssh", "`incamera python`"),
        ("virtual reset", 'did you mean "restart"?'),
        ("store prune", 'did you mean "clean"?'),
        ("build --release", "it is not needed"),
        ("run -v", "-q shows less"),
        ("run --with requests app.py", "`incamera add --script FILE.py NAME`"),
        ("run -p 3.12", "--target armv7hf-cp313"),
        ("run --host cam", 'did you mean "--device"?'),
        ("-d cam run", 'did you mean "--device"?'),
        ("--verbose run", "-q shows less"),
        ("deploy --place sdcard", 'did you mean "--to"?'),
        ("rm -rf :data/x", "nobody is asked"),
        ("cp -R a :data/", 'did you mean "--recursive"?'),
        ("ls -la", "without it"),
        ("stop all", 'did you mean "--all"?'),
        ("lock numpy", "`incamera lock --upgrade numpy`"),
        ("lock --upgrade-package numpy", "`incamera lock --upgrade NAME`"),
        ("device add cam --host 192.0.2.1", "`incamera device add NAME [USER@]HOST[:PORT]`"),
    ],
)
def test_what_other_tools_have_gets_what_does_it_here(
    typed: str, hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed.split())
    assert ended.value.code == 2
    assert hint in capsys.readouterr().err.splitlines()[-1]


def test_hints_about_other_tools_name_commands_and_options_that_there_are() -> None:
    hints = [hint for group in (other_tools._ACTIONS, other_tools._OPTIONS) for each in group.values() for hint in each]
    known = {parser.prog: parser for parser in ALL}
    quoted = re.findall(r"`(incamera [^`]*)`", "".join([*other_tools._COMMANDS, *hints]))
    assert len(quoted) > 30
    for words in (words.split() for words in quoted if words != "incamera python -c CODE"):
        parser = known.get(" ".join(words[:3])) or known.get(" ".join(words[:2])) or known["incamera"]
        assert len(words) == len(parser.prog.split()) or parser in [*LEAVES, known["incamera"]], words
        assert {word for word in words if word.startswith("-")} <= set(parser._option_string_actions), words


def test_no_word_of_another_tool_is_one_of_ours() -> None:
    assert not set(other_tools.hints_for_words("")) & {*COMMANDS, *OTHER_NAMES}
    known = {parser.prog: parser for parser in ALL}
    for command in (*other_tools._ACTIONS, *other_tools._OPTIONS):
        if command:
            parser = known[f"incamera {command}"]
            options = {option for group in other_tools._OPTIONS.get(command, {}).values() for option in group}
            assert not options & set(parser._option_string_actions), command
            actions = set(other_tools.hints_for_words(command)) if command in other_tools._ACTIONS else set()
            assert not actions & {prog.split()[-1] for prog in known if prog.startswith(f"{parser.prog} ")}, command


@pytest.mark.parametrize("typed", [["device"], ["virtual"], ["store"], []])
def test_group_without_an_action_lists_its_actions(typed: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed)
    assert ended.value.code == 2
    shown = capsys.readouterr().err
    actions = {"device": ("add", "list", "info"), "virtual": ("start", "stop"), "store": ("path", "clean")}
    for action in actions[typed[0]] if typed else ("run", "device"):
        assert re.search(rf"\n +{action} ", shown)


@pytest.mark.parametrize(
    ("typed", "prog"),
    [
        (["devices"], "incamera device list"),
        (["devices", "--json"], "incamera device list"),
        (["devices", "add", "lobby"], "incamera device add"),
        (["shares"], "incamera share list"),
        (["sdks"], "incamera sdk list"),
        (["connections"], "incamera connections list"),
        (["connections", "--json"], "incamera connections list"),
        (["connections", "close"], "incamera connections close"),
        (["connection", "list"], "incamera connections list"),
        (["virtuals", "profiles"], "incamera virtual profiles"),
    ],
)
def test_groups_may_be_typed_in_the_plural(typed: list[str], prog: str) -> None:
    assert parse_arguments(typed).parser.prog == prog


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        ([], "usage: incamera "),
        (["run"], "usage: incamera run "),
        (["python"], "usage: incamera python "),
        (["device"], "usage: incamera device "),
        (["devices"], "usage: incamera device "),
        (["device", "add"], "usage: incamera device add "),
        (["run", "blink.py"], "usage: incamera run "),
    ],
)
def test_help_describes_a_command(words: list[str], usage: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["help", *words])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(usage)


def test_console_follows_json_and_quiet() -> None:
    console = make_console(parse_arguments(["store", "path", "--json", "-q"]))
    assert console.json_output
    assert console.quiet
    assert not make_console(parse_arguments(["run"])).json_output


@pytest.mark.parametrize(
    ("typed", "device", "quiet", "passed_on"),
    [
        (["-k", "dark or light", "-x"], None, False, ["-k", "dark or light", "-x"]),
        (["-k", "dark", "--device", "cam", "tests/test_a.py"], "cam", False, ["-k", "dark", "tests/test_a.py"]),
        (["--device=cam", "--", "--device", "other"], "cam", False, ["--device", "other"]),
        (["-q", "--maxfail=1"], None, True, ["-q", "--maxfail=1"]),
        ([], None, False, []),
    ],
)
def test_unknown_options_of_test_go_to_pytest(
    typed: list[str], device: str | None, quiet: bool, passed_on: list[str]
) -> None:
    command = parse_arguments(["test", *typed])
    assert (command.device, command.quiet, command.arguments) == (device, quiet, passed_on)


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ([], "error: a command is missing"),
        (["device"], "error: an action is missing"),
        (["xyzzy"], "error: there is no command `incamera xyzzy`"),
        (["device", "lst"], "error: there is no command `incamera device lst`"),
        (["--quiet"], "error: --quiet must follow a command\nhint: type `incamera run --quiet`"),
        (["--device", "lobby", "ps", "-q"], "hint: type `incamera ps --device lobby -q`"),
        (["debug", "--port", "abc"], 'error: --port: "abc" is not a whole number'),
        (["run", "--to", "moon"], 'error: --to cannot be "moon"'),
        (["run", "-C"], "error: the value of -C is missing"),
        (["run", "--cold=yes"], 'error: --cold takes no value, and "yes" is one'),
        (["--json"], "hint: type `incamera run --json`"),
        (["--junit", "x"], "hint: type `incamera test --junit x`"),
        (["rm", "-rf", ":data/x"], "error: there is no option -f"),
        (["rm", "--recursive=f", ":data/x"], 'error: --recursive takes no value, and "f" is one'),
        (["test", "--junit"], "error: the value of --junit is missing"),
        (["--xyzzy"], "error: there is no option --xyzzy"),
        ([""], "error: COMMAND is empty"),
        ([" ", "run"], "error: COMMAND is empty"),
        (["store", "clean", "--all", "--days", "1"], "error: --all and --days cannot be used together"),
        (["store", "clean", "--days", "x"], 'error: --days: "x" is not a number of days'),
        (["top", "--every", "x"], 'error: --every: "x" is not a number'),
        (["debug", "--write-launch", "--show-launch"], "--write-launch and --show-launch cannot be used together"),
        (["build", "--xyzzy", "x"], "error: there is no option --xyzzy"),
        (["build", "a", "b"], 'error: "a" is one argument too many'),
        (["add", "x", "--dev", "--group", "y"], "error: --dev and --group cannot be used together"),
        (["cp", ":data/x"], "error: DESTINATION is missing"),
        (["cp"], "error: SOURCE and DESTINATION are missing"),
        (["new", ""], "error: NAME is empty"),
        (["init", " "], "error: FOLDER is empty"),
        (["run", ""], "error: FILE.py is empty"),
        (["run", "--device", "", "app.py"], "error: --device is empty"),
        (["lock", "--project="], "error: --project is empty"),
        (["rm", ":data/x", ""], "error: PATH is empty"),
    ],
)
def test_errors_name_what_was_typed(typed: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse_arguments(typed)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_options_of_ours_behind_a_file_that_does_not_know_them_are_warned_about(tmp_path: Path) -> None:
    (tmp_path / "blink.py").write_text("parser.add_argument('--device')\n")
    words = ["run", str(tmp_path / "blink.py"), "--watch", "--device=x", "--loud"]
    console = Warnings()
    context = Context.open(console, {"INCAMERA_STORE": str(tmp_path / "store")})
    load_named_program(parse_arguments(words), context)
    assert len(console.warnings) == 1
    assert f"--watch goes to {tmp_path}/blink.py" in console.warnings[0]


class Warnings(Console):
    def __init__(self) -> None:
        super().__init__()
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize("command", [["run"], ["build"], ["ps"], ["share", "attach"], ["stop", "--all"]])
def test_missing_project_folder_is_refused_with_the_projects_that_are_there(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INCAMERA_STORE", str(tmp_path / "store"))
    for name in ("bell", "chime", "notes"):
        (tmp_path / name).mkdir()
    for folder in (tmp_path, tmp_path / "bell", tmp_path / "chime"):
        (folder / "pyproject.toml").write_text('[project]\nname = "bell"\n')
    assert main([*command, "-C", str(tmp_path / "nowhere")]) == 2
    assert f"projects in {tmp_path}: bell, chime" in capsys.readouterr().err
    assert main([*command, "-C", str(tmp_path / "bel")]) == 2
    assert 'did you mean "bell"?' in capsys.readouterr().err


def test_script_has_no_tests(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--script", "blink.py"]) == 2
    assert "a script has no tests" in capsys.readouterr().err
