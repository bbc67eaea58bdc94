"""What a build can see, change and reach in its private root folder, with real processes."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.waiting import wait_until

from incamera.build.isolation import check_isolation
from incamera.context import Context
from incamera.errors import BuildError, ConfigError
from incamera.project.settings_parsing import parse_project
from incamera.store import Store
from incamera.toolchain import isolation
from incamera.toolchain.isolation import Entry, find_isolation_fault, make_root, system_folders
from incamera.toolchain.network import refusing_downloads

pytestmark = [
    pytest.mark.starts_processes,
    pytest.mark.skipif("not is_allowed()", reason="this system allows no user namespaces"),
]


def is_allowed() -> bool:
    return find_isolation_fault() is None


def entry(folder: Path, **environment: str) -> Entry:
    root = folder / "root"
    make_root(root)
    writable = {"/tmp": folder / "tmp", "/dev/shm": folder / "shm", str(folder / "build"): folder / "build"}
    for path in writable.values():
        path.mkdir(exist_ok=True)
    return Entry(
        root=root,
        cwd=str(folder / "build"),
        environment={"PATH": "/usr/bin:/bin", **environment},
        read_only=system_folders(root),
        writable=writable,
    )


def run(folder: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = entry(folder, **environment).command(["/bin/sh", "-c", script])
    return subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd=folder)


def test_build_sees_no_home_and_no_other_folder(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("s3cret")
    done = run(tmp_path, f"ls -d {Path.home()}/* /root/* /home/* /var/* /etc/shadow; cat {tmp_path}/secret; ls /")
    assert "s3cret" not in done.stdout
    assert set(done.stdout.split()) <= {
        *("bin", "dev", "etc", "gnu", "lib", "lib32", "lib64", "libx32", "nix", "proc", "sbin", "tmp", "usr")
    }


def test_build_gets_its_own_environment_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:s3cret@example.org/simple")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    command = entry(tmp_path, ONLY="this").command(["/bin/sh", "-c", "env; cat /proc/*/environ"])
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # with the whole environment
    assert "ONLY=this" in done.stdout
    assert "s3cret" not in done.stdout + done.stderr


def test_build_writes_to_its_own_folders_only(tmp_path: Path) -> None:
    run(tmp_path, "touch here /tmp/there; for f in / /usr /etc /proc/sys/kernel /usr/bin; do touch $f/incamera-x; done")
    assert (tmp_path / "build/here").exists()
    assert (tmp_path / "tmp/there").exists()
    assert not Path("/tmp/there").exists()
    assert not any(Path(folder, "incamera-x").exists() for folder in ("/", "/usr", "/etc", "/usr/bin"))
    # A setting of the kernel, which the user with the number 0 could change.
    done = run(tmp_path, "cat /proc/sys/kernel/hostname > /proc/sys/kernel/domainname && echo changed")
    assert "changed" not in done.stdout


def test_folder_with_characters_that_end_lines_elsewhere_is_mounted(tmp_path: Path) -> None:
    odd = tmp_path / "a\rb\x0c\x85\u2028 c"
    odd.mkdir()
    (odd / "file").write_text("read")
    made = entry(tmp_path)
    made = replace(made, read_only={**made.read_only, str(odd): odd})
    script = f"cat '{odd}/file'; touch '{odd}/new' || echo refused"
    done = subprocess.run(made.command(["/bin/sh", "-c", script]), capture_output=True, text=True, check=False, env={})
    assert done.stdout == "readrefused\n", done.stderr


def test_build_has_no_rights_in_its_namespaces(tmp_path: Path) -> None:
    done = run(tmp_path, "grep ^Cap /proc/self/status; umount /tmp || mount -o remount,rw /usr || echo refused")
    assert {line.split()[1] for line in done.stdout.splitlines() if line.startswith("Cap")} == {"0" * 16}
    assert "refused" in done.stdout


def test_build_sees_and_ends_its_own_processes_only(tmp_path: Path) -> None:
    done = run(tmp_path, f"echo /proc/[0-9]*; kill -0 {os.getpid()} || echo none")
    assert len(done.stdout.splitlines()[0].split()) <= 4
    assert "none" in done.stdout


def test_build_has_no_network(tmp_path: Path) -> None:
    def reaching(*addresses: str) -> list[str]:
        tries = "; ".join(f"(exec 3<>/dev/tcp/{address}) 2>/dev/null && echo reached" for address in addresses)
        return ["/bin/bash", "-c", f"{tries}; :"]

    with socket.create_server(("127.0.0.1", 0)) as server:
        here = f"127.0.0.1/{server.getsockname()[1]}"
        outside = subprocess.run(reaching(here), capture_output=True, text=True, check=True)
        command = entry(tmp_path).command(reaching(here, "192.0.2.1/80"))
        inside = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (outside.stdout, inside.stdout) == ("reached\n", "")


@pytest.mark.skipif(not Path("/usr/bin/perl").exists(), reason="this computer has no perl")
def test_build_has_only_sockets_that_a_network_namespace_confines(tmp_path: Path) -> None:
    # unix, inet, inet6, netlink; kernel cryptography, and the host of a virtual machine.
    kinds = {1: 1, 2: 1, 10: 1, 16: 3, 38: 5, 40: 1}
    script = " ".join(f'print socket(S, {kind}, {type_}, 0) ? "yes " : $!+0, " ";' for kind, type_ in kinds.items())
    done = run(tmp_path, f"perl -e '{script}'")
    assert done.stdout.split() == ["yes", "yes", "yes", "yes", str(errno.EAFNOSUPPORT), str(errno.EAFNOSUPPORT)]


def test_build_has_no_terminal(tmp_path: Path) -> None:
    done = run(tmp_path, "test -e /dev/tty || echo none; cut -d' ' -f7 /proc/self/stat")
    assert done.stdout.split() == ["none", "0"]


def test_download_of_an_isolated_build_is_refused_and_recorded(tmp_path: Path) -> None:
    deep = tmp_path / ("x" * 120)  # longer than the path of a socket may be
    deep.mkdir()
    before = set(threading.enumerate())
    with refusing_downloads(deep) as refusals:
        made = entry(tmp_path, **refusals.environment)
        made = Entry(**{name: getattr(made, name) for name in Entry.__slots__} | {"refusals": refusals.socket})
        script = "exec 3<>/dev/tcp/127.0.0.1/3128; printf 'CONNECT example.org:443 HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3"
        for _ in range(2):  # each hook has a network of its own
            done = subprocess.run(
                made.command(["/bin/bash", "-c", script]), capture_output=True, text=True, check=False
            )
            assert "403 Builds may not download" in done.stdout, done.stderr
    assert refusals.wanted == ["example.org"]
    wait_until(lambda: not set(threading.enumerate()) - before, lambda: f"no threads are left: {threading.enumerate()}")


def test_exit_code_and_output_come_through(tmp_path: Path) -> None:
    done = run(tmp_path, "echo out; echo err >&2; exit 7")
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")
    assert run(tmp_path, "kill -SEGV $$").returncode == 128 + signal.SIGSEGV


@contextmanager
def sleeping(folder: Path, seconds: str) -> Iterator[subprocess.Popen[bytes]]:
    command = entry(folder).command(["/bin/sh", "-c", f"setsid sleep {seconds} & sleep {seconds}"])
    starter = f"import subprocess, sys; subprocess.run({command!r}, env={{}})"
    with subprocess.Popen([sys.executable, "-c", starter]) as process:
        wait_until(lambda: len(find_processes(seconds)) >= 2, "the build's processes run")
        yield process
        wait_until(lambda: not find_processes(seconds), "the build's processes have ended")


def find_processes(seconds: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes().split(b"\0")[:2] == [b"sleep", seconds.encode()]:
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_no_process_outlives_a_killed_command(tmp_path: Path) -> None:
    with sleeping(tmp_path, f"61.{os.getpid()}") as process:
        process.kill()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()


def test_host_that_forbids_namespaces_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # In a namespace in which no further ones may be made, as in a container.
    code = (
        "import ctypes, os, sys\n"
        "from pathlib import Path\n"
        "uid, gid = os.getuid(), os.getgid()\n"
        "assert ctypes.CDLL(None).unshare(0x10000000) == 0\n"
        "Path('/proc/self/setgroups').write_text('deny')\n"
        "Path('/proc/self/uid_map').write_text(f'{uid} {uid} 1')\n"
        "Path('/proc/self/gid_map').write_text(f'{gid} {gid} 1')\n"
        "Path('/proc/sys/user/max_user_namespaces').write_text('0')\n"
        "from incamera.toolchain.isolation import find_isolation_fault\n"
        "print(find_isolation_fault())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "unshare: No space left on device\n"


def test_seccomp_filter_that_forbids_namespaces_is_noticed(tmp_path: Path) -> None:
    # As Docker's: unshare gives EPERM.
    code = (
        "import ctypes, platform, struct\n"
        "call = {'x86_64': 272, 'aarch64': 97}[platform.machine()]\n"
        "words = [(0x20, 0, 0, 0), (0x15, 0, 1, call), (0x06, 0, 0, 0x00050001), (0x06, 0, 0, 0x7fff0000)]\n"
        "code = ctypes.create_string_buffer(b''.join(struct.pack('HBBI', *word) for word in words))\n"
        "libc = ctypes.CDLL(None)\n"
        "assert libc.prctl(38, 1, 0, 0, 0) == 0\n"
        "assert libc.prctl(22, 2, struct.pack('HP', len(words), ctypes.addressof(code)), 0, 0) == 0\n"
        "from incamera.toolchain.isolation import find_isolation_fault\n"
        "print(find_isolation_fault())\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "unshare: Operation not permitted\n"


def test_command_line_shows_the_command_and_the_file_has_the_rest(tmp_path: Path) -> None:
    command = entry(tmp_path, SECRET="s3cret").command(["python", "hooks.py", "build_wheel", "/call"])
    assert command[-4:] == ["python", "hooks.py", "build_wheel", "/call"]
    assert "s3cret" not in " ".join(command)
    assert json.loads(Path(command[-5]).read_text())["environment"]["SECRET"] == "s3cret"
    assert Path(command[-6]) == isolation._ENTER


def test_setting_refuses_or_warns_once_where_builds_cannot_be_isolated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("incamera.build.isolation.find_isolation_fault", lambda: "unshare: Operation not permitted")
    reporter = Warnings()
    context = Context(Store(tmp_path / "store"), reporter)  # type: ignore[arg-type]
    for _ in range(2):
        check_isolation(context, "auto")
    (warning,) = reporter.warnings
    assert "unshare: Operation not permitted" in warning
    with pytest.raises(BuildError, match="unshare: Operation not permitted") as caught:
        check_isolation(context, "require")
    assert 'build-isolation = "auto"' in (caught.value.hint or "")


class Warnings:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def test_setting_has_two_values(tmp_path: Path) -> None:
    (tmp_path / "app.py").touch()
    table: dict[str, Any] = {"project": {"name": "bell"}, "tool": {"incamera": {"build-isolation": "require"}}}
    assert parse_project(table, tmp_path).build_isolation == "require"
    table["tool"]["incamera"]["build-isolation"] = "requires"
    with pytest.raises(ConfigError, match='unknown value "requires"') as caught:
        parse_project(table, tmp_path)
    assert caught.value.hint == 'did you mean "require"?'
