"""Login shells that read commands otherwise than sh does, unpacked from Debian packages."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from incamera.build.deb_trees import ensure_deb_tree
from incamera.targets.host import require_host
from incamera.targets.packages import DebSet
from incamera.transport.protocols import Program

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from incamera.context import Context

    from ..ssh_server import SshServer

# Takes what has come on standard input, as programs in start-up files may do.
GREEDY = """#!/bin/sh
timeout 0.3 head -c 1000 >/dev/null
exec /bin/sh "$@"
"""
# Waits until there is input, before it starts the program.
PATIENT = f"""#!{sys.executable}
import os, select, sys
select.select([0], [], [])
os.execv("/bin/sh", ["sh", *sys.argv[1:]])
"""
SHELLS = {"tcsh": ("usr/bin/tcsh", ".cshrc"), "fish": ("usr/bin/fish", ".config/fish/config.fish")}
ODD = ("", "it's", "hi!! !x", "a\\'b\\\\", "two\nlines", "50% of %s", "\t\x1b", "$HOME `date`", "ü", "\udcff")


@pytest.mark.matrix
@pytest.mark.parametrize("name", SHELLS)
def test_shell_passes_arguments_on_and_what_it_prints_is_dropped(
    name: str, context: Context, server: SshServer, opened: Callable[..., Any]
) -> None:
    packages = DebSet(suite="bookworm", architecture=require_host().debian, roots=(name,))
    tree = ensure_deb_tree(context, "login-shell", packages)
    program, start_file = SHELLS[name]
    loader = next(tree.glob("usr/lib*/**/ld-linux*.so.*"))
    libraries = next(tree.glob("usr/lib/*-linux-gnu"))
    shell = server.folder / "shell"
    found = next(path for path in (tree / program, tree / program.removeprefix("usr/")) if path.exists())
    shell.write_text(f'#!/bin/sh\nexec {loader} --library-path {libraries} {found} "$@"\n')
    shell.chmod(0o755)
    (server.folder / start_file).parent.mkdir(parents=True, exist_ok=True)
    (server.folder / start_file).write_text('echo Welcome; printf "prompt> "\n')
    server.login_shell = str(shell)
    with opened(server.device()) as session:
        told = session.run(Program(("printf", "%s\\0", *ODD), environment={"A": "it's\n$HOME!"}, folder="/"))
        assert told.stdout.split(b"\0")[:-1] == [os.fsencode(word) for word in ODD]
        data = os.urandom(100_000)
        session.put(f"{server.folder}/it's!", data)
        assert session.get(f"{server.folder}/it's!", limit=1 << 20) == data


def test_input_is_kept_from_start_files_that_read(server: SshServer, opened: Callable[..., Any]) -> None:
    shell = server.folder / "greedy"
    shell.write_text(GREEDY)
    shell.chmod(0o755)
    server.login_shell = str(shell)
    with opened(server.device()) as session:
        assert session.run(Program(("echo", "first"))).text == "first\n"
        data = os.urandom(50_000)
        assert session.run(Program(("cat",)), input=data).stdout == data


def test_input_is_sent_with_the_command_where_nothing_else_reads_it(
    server: SshServer, opened: Callable[..., Any]
) -> None:
    shell = server.folder / "patient"
    shell.write_text(PATIENT)
    shell.chmod(0o755)
    server.login_shell = str(shell)
    with opened(server.device()) as session:
        assert session.run(Program(("echo", "first"))).text == "first\n"
        assert session.run(Program(("wc", "-c")), input=bytes(5000)).text.strip() == "5000"
