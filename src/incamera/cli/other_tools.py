"""What users of other tools type, and what does the same here. Read only when a command line is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

_ADD = "`incamera add NAME` adds a package to the project; each run installs what is missing"
_FILES = "`incamera cp FILE :data/` copies a file into the camera, and `incamera cp :data/FILE .` out of it"
_CLEAN = "`incamera store clean` frees space on this computer, `incamera device clean` in a camera"
_NO_VERBOSE = "all steps are shown without it; -q shows less"
_PYTHON = "the target says which Python it is: `--target armv7hf-cp313`"
_RESET = "`incamera stop` ends the app, `incamera virtual restart` restarts a virtual camera"

# Words in the place of a command: of uv, pip, Poetry, cargo, mpremote, Briefcase, adb and Docker.
_COMMANDS: Mapping[str, Sequence[str]] = {
    _ADD: ("pip", "mip", "pipx", "venv", "env", "requirements", "update-deps", "search"),
    "`incamera lock --upgrade` chooses the newest versions, of all packages or of those that it names": (
        "update",
        "upgrade",
        "outdated",
    ),
    "`incamera lock --explain NAME` shows why a package is there, and where it comes from": ("tree", "why"),
    "`incamera device add NAME ADDRESS` adds a camera": ("connect", "login", "pair"),
    "`incamera connections close` ends connections that are kept open": ("disconnect", "logout"),
    "`incamera device list` lists your cameras, `incamera ls` files in the camera": ("list", "devs", "scan"),
    "`incamera device info` shows what a camera is": ("info", "df", "uname", "describe"),
    "`incamera ls`, `cat`, `cp` and `rm` work on files in the camera": ("fs", "files", "file", "mkdir", "touch", "tee"),
    _FILES: ("put", "get", "push", "pull", "download", "scp", "rsync", "copy"),
    "`incamera run --watch` sends what you save, and runs it": ("watch", "mount", "edit", "reload"),
    "`incamera run --local` runs the app on this computer": ("dev", "local"),
    "`incamera python -c CODE` runs code in the camera, `incamera run` the app": ("eval", "exec"),
    _RESET: ("reset", "soft-reset", "soft_reset", "reboot", "bootloader"),
    "`incamera logs -f` shows what the app prints": ("monitor", "tail", "attach", "logcat", "console"),
    "`incamera virtual start` starts a virtual camera": ("emulator", "simulator", "qemu", "vm", "up"),
    "`incamera package` makes the .eap, the file that a camera installs": (
        "publish",
        "dist",
        "release",
        "bdist",
        "eap",
    ),
    "`incamera init` adds to a project of another tool what it lacks": ("convert", "import", "migrate", "adopt"),
    "`incamera top --flame out.svg` records where the app spends its time": ("flamegraph", "perf", "py-spy"),
    "`incamera virtual profiles` lists the kinds of virtual cameras": ("profiles",),
    _CLEAN: ("clean", "cache", "prune", "purge"),
    "incamera is updated as it was installed: `uv tool upgrade incamera`, or pip": ("self", "tool"),
    "`incamera --version` shows the version": ("version",),
    "ruff and mypy check a project of incamera as any other": ("lint", "fmt", "format", "clippy"),
    "`incamera python` is an interpreter in the camera, `incamera run` runs the app": ("ssh", "sh", "bash"),
}
# Options that do nothing here, by command; those of "" are not there in any command.
_OPTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "": {
        _NO_VERBOSE: ("-v", "-vv", "--verbose", "--debug"),
        "colours are left out where `NO_COLOR=1` is set": ("--color", "--colour", "--no-color", "--no-colour"),
    },
    "run": {
        "`incamera add NAME` adds a package to the project, `incamera add --script FILE.py NAME` to a script": (
            "--with",
            "--with-requirements",
        ),
        "an app has the variables that it sets itself; arguments follow `--`": ("--env", "-e"),
        "it is not needed: each run locks, builds and sends what has changed": (
            "-u",
            "--update",
            "--sync",
            "--no-sync",
            "--frozen",
            "--locked",
            "--release",
        ),
    },
    "build": {
        "it is not needed: what is stale is built, and there is one kind of bundle": (
            *("--release", "-r", "--clean", "--force", "-f", "--no-cache", "--rebuild"),
        ),
        "`incamera build` makes the bundle; `incamera package` makes the .eap that a camera installs": (
            *("--wheel", "--sdist", "--all", "-o", "--output"),
        ),
    },
    "package": {"it is not needed: there is one kind of package; --trim makes it smaller": ("--release", "-r")},
    "deploy": {"it is not needed: what has changed is sent, and checked": ("--force", "-f", "--clean")},
    "lock": {
        "`incamera build` ends with an error where the lockfile is stale, and changes nothing": (
            *("--check", "--locked", "--frozen"),
        ),
        "type `incamera lock --upgrade NAME`": ("--upgrade-package", "-P", "--update", "-U"),
    },
    "add": {
        "type the names of packages; in a folder without pyproject.toml, `incamera init` reads requirements.txt": (
            *("-r", "--requirement", "--requirements"),
        ),
        "to get a newer version, type `incamera lock --upgrade NAME`": ("-U", "--upgrade"),
        "write the extra behind the name: `incamera add 'requests[socks]'`": ("--extra", "--features", "-F"),
        "an extra of the project stays in pyproject.toml; --group adds to a dependency group": ("--optional", "-G"),
        "type the folder, the wheel or the address instead of a name: `incamera add ./lamp`": (
            *("-e", "--editable", "--path", "--git", "--url"),
        ),
        "package indexes are those of pip: PIP_INDEX_URL, or pip's configuration": (
            *("-i", "--index", "--index-url", "--default-index", "--extra-index-url"),
        ),
    },
    "ls": {"sizes and times are shown, and all names, without it": ("-l", "-a", "-la", "-al", "-lh")},
    "rm": {"it is not needed: nobody is asked": ("-f", "--force")},
    "cp": {"it is not needed: a file that is there is replaced": ("-f", "--force")},
    "logs": {"all lines are shown; `incamera logs --since 10m` shows the last ones": ("-n", "--tail", "--lines")},
    "stop": {"it is not needed: what does not end is killed": ("-9", "-f", "--force", "--kill")},
    "new": {"--entry says what runs: app.py, PACKAGE or PACKAGE.MODULE:FUNCTION": ("--lib", "--bin", "--app")},
    "device add": {
        "type `incamera device add NAME [USER@]HOST[:PORT]`": ("--host", "--user", "--port", "-p", "--ip", "-u"),
        "incamera logs in over SSH with keys; --password-command is for a web server": ("--password", "--pass"),
    },
    "virtual start": {"`incamera virtual profiles` lists what can be started": ("--arch", "--target", "--model")},
    "completion": {"type `incamera completion bash`": ("--shell",)},
}
# Words in the place of an action of a group.
_ACTIONS: Mapping[str, Mapping[str, Sequence[str]]] = {
    "virtual": {
        "`incamera python` is an interpreter in the camera; `incamera virtual list` shows the address for ssh": (
            *("ssh", "shell", "console", "exec", "python", "login"),
        ),
    },
    "device": {
        "`incamera status` shows the apps that are installed there, `incamera ps` what runs": ("status", "apps", "ps"),
        "remove it, and add it under the other name": ("rename", "mv"),
    },
    "store": {"`incamera store path` shows where it is, for `du -sh`": ("du", "size", "info", "list", "ls", "dir")},
}
# What the same option is called elsewhere.
_SAME: Mapping[str, Sequence[str]] = {
    "--device": ("--host", "--camera", "--cam", "--target-device", "--serial", "-s"),
    "--target": ("--arch", "--architecture", "--platform", "--triple"),
    "--to": ("--place", "--dest", "--destination", "--where"),
    "--recursive": ("-R",),
    "-m": ("--module",),
    "--script": ("--file",),
    "--project": ("--directory", "--dir", "--folder", "--manifest-path", "--cwd"),
}


def _by_word(hints: Mapping[str, Sequence[str]]) -> dict[str, str]:
    return {word: hint for hint, words in hints.items() for word in words}


def hints_for_words(command: str) -> Mapping[str, str]:
    """Return hints by the word in the place of an action of *command*, or of a command where that is empty."""
    return _by_word(_ACTIONS.get(command, {}) if command else _COMMANDS)


def hint_for_option(command: str, option: str, known: Sequence[str]) -> str | None:
    """Return the hint for *option*, which *command* (`device add`) does not have. It has those that are *known*."""
    for hints in (_OPTIONS.get(command, {}), _OPTIONS[""]):
        if hint := _by_word(hints).get(option):
            return hint
    if option in ("--python", "-p") and "--target" in known:
        return _PYTHON
    return next((f'did you mean "{own}"?' for own, other in _SAME.items() if option in other and own in known), None)
