"""What can go wrong with a camera, and with what runs in it. One virtual camera serves all."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from .conftest import Finished, command_environment
from .helpers import Line, eventually, inside, running, write_project

if TYPE_CHECKING:
    from incamera.virtual.camera import VirtualCamera

Run = Callable[..., Finished]

# What an app may do, by its first argument.
APP = """
import os, signal, sys, time
def main(what, *rest):
    if what == "raise":
        raise ValueError("what the app says")
    if what == "exit":
        sys.exit(3)
    if what == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "flood":
        line = "x" * 999
        while True:
            print(line)
    if what == "read":
        data = sys.stdin.buffer.read()
        print(len(data), data[-4:])
    if what == "lines":
        for line in sys.stdin:
            print("heard", line.strip(), flush=True)
    if what == "sleep":
        print("asleep as", os.getpid(), flush=True)
        time.sleep(1000)
    if what == "stubborn":
        signal.signal(signal.SIGINT, lambda *_: print("not yet", flush=True))
        print("deaf", flush=True)
        while True:
            time.sleep(1)
    if what == "family":
        import subprocess
        child = subprocess.Popen(["sleep", "4321"])
        print("parent of", child.pid, flush=True)
        time.sleep(1000)
    if what == "print":
        print(*rest)
        print("to standard error", file=sys.stderr)
main(*sys.argv[1:])
"""


@pytest.fixture(scope="module")
def axiscam(start_virtual: Callable[..., VirtualCamera]) -> VirtualCamera:
    return start_virtual("axis-os-11-armv7hf", name="faults")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("apps") / "moody", app=APP, name="moody")


@pytest.fixture(scope="module", autouse=True)
def run_app(axiscam: VirtualCamera, app: Path, incamera: Run) -> Run:
    # All that the other tests' bundles have in common with it need not be sent again.
    assert incamera("deploy", "-C", app, "--device", axiscam.name).code == 0

    def run(*words: str, **options: object) -> Finished:
        return incamera("run", "-q", "-C", app, "--device", axiscam.name, "--", *words, **options)

    return run


def complain(done: Finished, code: int, *words: str) -> None:
    assert done.code == code, done.err
    assert done.err.count("error:") == 1, done.err
    assert "hint:" in done.err
    assert "Traceback" not in done.err
    for word in words:
        assert re.search(word, done.err), done.err


def left_in(camera: VirtualCamera, what: str) -> str:
    """Return what of the processes in the camera mentions *what*."""
    script = 'for p in /proc/[0-9]*; do tr "\\0" " " <$p/cmdline 2>/dev/null && echo; done'
    return "\n".join(line for line in inside(camera, script).splitlines() if what in line and "/proc/" not in line)


def fingerprint(key: str) -> str:
    import asyncssh

    return asyncssh.import_public_key(key).get_fingerprint()


# The way to it


@pytest.fixture
def line(axiscam: VirtualCamera) -> Iterator[Line]:
    line = Line(axiscam.ssh_port)
    yield line
    line.close()


@pytest.fixture
def home(tmp_path: Path, axiscam: VirtualCamera, line: Line) -> Path:
    """A user's home: `cut` is the camera at the end of a line that can be cut."""
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True, mode=0o700)
    (home / ".ssh" / "config").write_text(
        f"Host cut\n  HostName 127.0.0.1\n  Port {line.port}\n  User root\n  IdentityFile {axiscam.key}\n"
    )
    (home / ".ssh" / "known_hosts").write_text(f"[127.0.0.1]:{line.port} {axiscam.host_public_key}\n")
    return home


def at_home(home: Path) -> dict[str, str]:
    return {"HOME": str(home), "SSH_AUTH_SOCK": ""}


def test_a_device_that_is_off(app: Path, incamera: Run, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    done = incamera("deploy", "-C", app, "--device", f"127.0.0.1:{port}", env=at_home(tmp_path))
    complain(done, 4, "cannot reach 127.0.0.1.*nothing answers", "is it on")
    assert done.out == ""


def test_a_device_that_says_nothing(app: Path, incamera: Run, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        complain(incamera("deploy", "-C", app, "--device", address, env=at_home(tmp_path)), 4, "is it on")


def test_a_device_that_nobody_knows(app: Path, incamera: Run, tmp_path: Path) -> None:
    complain(
        incamera("deploy", "-C", app, "--device", "axis-os-11-armv7h", env=at_home(tmp_path)),
        2,
        'there is no device "axis-os-11-armv7h"',
    )
    complain(incamera("deploy", "-C", app, "--device", "camera.invalid", env=at_home(tmp_path)), 4, "no host called")


def test_a_device_that_refuses_the_key(app: Path, incamera: Run, home: Path) -> None:
    import asyncssh

    stranger = asyncssh.generate_private_key("ssh-ed25519")
    stranger.write_private_key(home / ".ssh" / "other")
    config = home / ".ssh" / "config"
    config.write_text(re.sub(r"IdentityFile .*", f"IdentityFile {home}/.ssh/other", config.read_text()))
    done = incamera("deploy", "-C", app, "--device", "cut", env=at_home(home))
    complain(done, 4, "does not let root in with any of your keys", "ssh-copy-id")


def test_a_device_with_another_host_key(
    app: Path, incamera: Run, home: Path, line: Line, axiscam: VirtualCamera
) -> None:
    import asyncssh

    other = asyncssh.generate_private_key("ssh-ed25519").export_public_key("openssh").decode().strip()
    known = home / ".ssh" / "known_hosts"
    known.write_text(f"# mine\n[127.0.0.1]:{line.port} {other}\n")
    done = incamera("deploy", "-C", app, "--device", "cut", env=at_home(home))
    both = [re.escape(fingerprint(axiscam.host_public_key)), re.escape(fingerprint(other))]
    complain(done, 4, "another host key than before", *both, f"{known}, line 2", "ssh-keygen -R")
    assert known.read_text().endswith(f"{other}\n")


def test_a_device_that_is_new_is_trusted_only_when_told(
    incamera: Run, home: Path, line: Line, axiscam: VirtualCamera, tmp_path: Path
) -> None:
    (home / ".ssh" / "known_hosts").unlink()
    env = at_home(home) | {"INCAMERA_STORE": str(tmp_path / "store")}
    shown = fingerprint(axiscam.host_public_key)
    complain(
        incamera("device", "add", "cut", env=env),
        4,
        "is not known yet",
        re.escape(shown),
        f"accept-key {re.escape(shown)}",
    )
    wrong = shown[:-1] + ("A" if shown[-1] != "A" else "B")
    complain(incamera("device", "add", "cut", "--accept-key", wrong, env=env), 4, re.escape(shown))
    assert json.loads(incamera("device", "list", "--json", env=env).out)["devices"] == []
    done = incamera("device", "add", "cut", "--accept-key", shown, "--json", env=env)
    assert done.code == 0, done.err
    assert json.loads(done.out)["facts"]["architecture"] == "armv7l"
    assert incamera("device", "info", "cut", env=env).code == 0


# Fit for it


def test_a_device_with_the_other_architecture(app: Path, incamera: Run, axiscam: VirtualCamera) -> None:
    done = incamera("deploy", "-C", app, "--device", axiscam.name, "--target", "aarch64")
    complain(done, 4, f"{axiscam.name} is armv7hf", "aarch64", "--target")


PLACES = ("/tmp", "/usr/local/packages")


# Fills the flash, and of RAM all but what a camera needs to live; there is no card.
CARD = "/var/spool/storage/SD_DISK"
PULL = f"""
awk '$2 == "{CARD}" {{print $1}}' /proc/mounts >/run/card; umount {CARD}
"""
PUT_BACK = f"""
mount -t vfat -o noexec,nosuid,nodev,utf8 $(cat /run/card) {CARD}
"""
FILL = (
    PULL
    + """
left() { df -k $1 | awk 'END {print int($4 / 1024)}'; }
ram() { awk '/MemAvailable/ {print int($2 / 1024) - 40}' /proc/meminfo; }
fallocate -l $(left /usr/local/packages)m /usr/local/packages/fill
dd if=/dev/zero of=/tmp/fill bs=1M count=$(ram) 2>/dev/null
dd if=/dev/zero of=$HOME/fill bs=1M count=$(ram) 2>/dev/null
"""
)


def test_a_device_without_space(tmp_path: Path, incamera: Run, axiscam: VirtualCamera) -> None:
    project = write_project(tmp_path / "newcomer", name="newcomer")
    try:
        inside(axiscam, FILL)
        done = incamera("deploy", "-C", project, "--device", axiscam.name)
        complain(done, 4, "has no place for 2[0-9] MB", "/tmp (is RAM|has)", "/usr/local/packages has", "remove what")
    finally:
        inside(axiscam, "rm -f /tmp/fill $HOME/fill /usr/local/packages/fill" + PUT_BACK)
    assert incamera("deploy", "-C", project, "--device", axiscam.name).code == 0
    inside(axiscam, "rm -rf /tmp/incamera/newcomer /usr/local/packages/incamera/newcomer")


# A camera whose every place is noexec; its folder for root keeps the key that lets us in.
NOEXEC = (
    PULL
    + """
mount -o remount,noexec /tmp; mount -o remount,noexec /usr/local/packages
mount -t tmpfs -o noexec,size=1m none /var/spool/storage/NetworkShare
cp -a $HOME/. /run/root-home; mount -t tmpfs -o noexec,size=1m,mode=700 none $HOME; cp -a /run/root-home/. $HOME
"""
)
EXEC = (
    PUT_BACK
    + """
umount $HOME /var/spool/storage/NetworkShare; rm -rf /run/root-home
mount -o remount,exec /tmp; mount -o remount,exec /usr/local/packages
"""
)


def test_a_device_with_only_noexec_places(tmp_path: Path, incamera: Run, axiscam: VirtualCamera) -> None:
    project = write_project(tmp_path / "newcomer", name="newcomer")
    inside(axiscam, NOEXEC)
    try:
        done = incamera("deploy", "-C", project, "--device", axiscam.name)
        complain(done, 4, "no place on .* lets programs run", "/tmp is mounted noexec", "remount,exec")
        facts = json.loads(incamera("device", "info", axiscam.name, "--json").out)["facts"]
        assert not any(place["executable"] for place in facts["places"])
    finally:
        inside(axiscam, EXEC)
    facts = json.loads(incamera("device", "info", axiscam.name, "--json").out)["facts"]
    assert {place["path"] for place in facts["places"] if place["executable"]} >= {"/tmp", "/usr/local/packages"}


# Deploy


def test_only_an_edited_file_is_sent(tmp_path: Path, incamera: Run, axiscam: VirtualCamera) -> None:
    project = write_project(tmp_path / "edited", name="edited", app="print('one')\n")
    (project / "more.py").write_text("X = 1\n")
    deploy = ("deploy", "--json", "-C", project, "--device", axiscam.name)
    first = json.loads(incamera(*deploy).out)
    same = json.loads(incamera(*deploy).out)
    assert (same["files_sent"], same["bytes_sent"]) == (0, 0)
    assert same["destination"] == first["destination"]
    (project / "app.py").write_text("print('two')\n")
    edited = json.loads(incamera(*deploy).out)
    # The source and its byte-code.
    assert edited["files_sent"] == 2
    assert 0 < edited["bytes_sent"] < 2000
    assert edited["files_unchanged"] > 500
    assert incamera("run", "-q", "-C", project, "--device", axiscam.name).out == "two\n"
    inside(axiscam, "rm -rf /tmp/incamera/edited /usr/local/packages/incamera/edited")


@pytest.mark.parametrize("how", ["cut", "ctrl-c", "kill-9"])
def test_an_interrupted_deploy_goes_on_where_it_stopped(
    tmp_path: Path, incamera: Run, axiscam: VirtualCamera, home: Path, line: Line, how: str
) -> None:
    name = f"torn-{how}"
    project = write_project(tmp_path / name, name=name, app="print('one')\n")
    env = at_home(home)
    deploy = ("deploy", "--json", "-C", project, "--device", "cut")
    first = incamera(*deploy, env=env)
    assert first.code == 0, first.err
    before, root = (json.loads(first.out)[key] for key in ("destination", "root"))

    (project / "app.py").write_text("print('two')\n")
    for number in range(16):
        (project / f"{number}.bin").write_bytes(os.urandom(500_000))
    assert incamera("build", "-C", project, "--target", "armv7hf").code == 0
    begun = line.sent
    if how == "cut":
        line.cut_after(5_000_000)
    with running(*deploy, env=command_environment(env)) as command:
        if how != "cut":
            eventually(lambda: line.sent > begun + 5_000_000 or command.process.poll() is not None, "half is sent")
            assert command.process.poll() is None, "all was sent before it could be interrupted"
            if how == "ctrl-c":
                command.press_ctrl_c()
            else:
                command.process.kill()
        code = command.finish()
    assert code == {"cut": 4, "ctrl-c": 130, "kill-9": -9}[how], command.text
    if how == "cut":
        assert "was lost" in command.text
        assert "hint:" in command.text
    line.cut_after(None)

    # What ran before still does.
    parent = before.rpartition("/")[0]
    assert inside(axiscam, f"{root}/bin/python3 {root}/app/app.py") == "one\n"
    done = incamera(*deploy, env=env)
    assert done.code == 0, done.err
    again = json.loads(done.out)
    assert 0 < again["files_sent"] < 16
    assert again["destination"] != before
    ran = incamera("run", "-q", "-C", project, "--device", "cut", env=env)
    assert (ran.code, ran.out) == (0, "two\n")
    assert "partial" not in inside(axiscam, f"ls {parent}")
    inside(axiscam, f"rm -rf {parent}")


def test_two_deploys_at_once(tmp_path: Path, incamera: Run, axiscam: VirtualCamera) -> None:
    project = write_project(tmp_path / "twice", name="twice", app="print('done')\n")
    assert incamera("build", "-C", project).code == 0
    words = ("run", "-q", "-C", project, "--device", axiscam.name)
    with running(*words, env=command_environment()) as one, running(*words, env=command_environment()) as two:
        assert one.finish() == 0, one.text
        assert two.finish() == 0, two.text
    assert one.out == two.out == b"done\n"
    inside(axiscam, "rm -rf /tmp/incamera/twice /usr/local/packages/incamera/twice")


# The app


def test_an_app_that_raises(run_app: Run) -> None:
    done = run_app("raise")
    assert done.code == 1
    assert 'app.py", line 5, in main' in done.err
    assert done.err.rstrip().endswith("ValueError: what the app says")
    assert "error:" not in done.err.replace("ValueError:", "")


@pytest.mark.parametrize(("what", "code"), [("exit", 3), ("kill", 137), ("print", 0)])
def test_an_apps_exit_code_is_ours(run_app: Run, what: str, code: int) -> None:
    assert run_app(what).code == code


def test_arguments_and_streams_arrive_as_they_are(run_app: Run) -> None:
    done = run_app("print", "a b", "$HOME", "'\"", "--json", "-c", "ü\n")
    assert done.out == "a b $HOME '\" --json -c ü\n\n"
    assert done.err == "to standard error\n"


def test_an_app_reads_standard_input_to_its_end(run_app: Run) -> None:
    assert run_app("read").out == "0 b''\n"
    assert run_app("read", input="x" * 3_000_000 + "last").out == "3000004 b'last'\n"


def test_an_app_answers_line_by_line(app: Path, axiscam: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", axiscam.name, "--", "lines")
    read, write = os.pipe()
    with running(*words, env=command_environment(), stdin=read) as command:
        os.close(read)
        for word in ("one", "two"):
            os.write(write, f"{word}\n".encode())
            command.await_output(f"heard {word}\n")
        os.close(write)
        assert command.finish() == 0


def resident(pid: int) -> int:
    """Return the memory of a process, in bytes."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def test_an_app_that_prints_without_end(app: Path, axiscam: VirtualCamera) -> None:
    """While nobody reads, our memory doesn't grow; Ctrl-C ends it."""
    words = ("run", "-q", "-C", app, "--device", axiscam.name, "--", "flood")
    read, write = os.pipe()
    with running(*words, env=command_environment(), stdout=write) as command:
        os.close(write)
        got = 0
        while got < 5_000_000:
            got += len(os.read(read, 1 << 20))
        usual = resident(command.process.pid)
        # Nothing is read now; the app is stopped by its full pipe when it takes no more processor time.
        seen = [-1, -2, -3]

        def stands_still() -> bool:
            ticks = inside(axiscam, "cat /proc/[0-9]*/stat | grep ' (python3' | awk '{s += $14 + $15} END {print s}'")
            seen.append(int(ticks.strip() or 0))
            return seen[-1] == seen[-2]

        eventually(stands_still, "the app waits for its reader")
        assert resident(command.process.pid) < usual + 30_000_000
        command.press_ctrl_c()
        while os.read(read, 1 << 20):
            pass
        assert command.finish() == 130
        os.close(read)
    eventually(lambda: left_in(axiscam, "flood") == "", "the app is gone")


def test_ctrl_c_stops_the_app_and_its_children(app: Path, axiscam: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", axiscam.name, "--", "family")
    with running(*words, env=command_environment()) as command:
        command.await_output("parent of")
        assert "sleep 4321" in left_in(axiscam, "sleep 4321")
        command.press_ctrl_c()
        assert command.finish() == 130
    assert "KeyboardInterrupt" in command.text
    assert "this is a bug" not in command.text
    eventually(lambda: left_in(axiscam, "family") + left_in(axiscam, "sleep 4321") == "", "nothing is left")


def test_a_second_ctrl_c_kills_what_would_not_end(app: Path, axiscam: VirtualCamera) -> None:
    words = ("run", "-q", "-C", app, "--device", axiscam.name, "--", "stubborn")
    with running(*words, env=command_environment()) as command:
        command.await_output("deaf")
        command.press_ctrl_c()
        command.await_output("not yet")
        command.press_ctrl_c()
        assert command.finish() == 137
    eventually(lambda: left_in(axiscam, "stubborn") == "", "nothing is left")


@pytest.mark.parametrize("how", ["cut", "frozen", "kill-9", "terminated"])
def test_a_run_whose_connection_ends(app: Path, axiscam: VirtualCamera, home: Path, line: Line, how: str) -> None:
    words = ("run", "-q", "-C", app, "--device", "cut", "--", "sleep")
    with running(*words, env=command_environment(at_home(home))) as command:
        command.await_output("asleep")
        if how == "cut":
            line.cut()
        elif how == "frozen":
            line.freeze()
        elif how == "kill-9":
            command.process.kill()
        else:
            command.process.send_signal(signal.SIGTERM)
        code = command.finish(seconds=90)
    assert code == {"cut": 4, "frozen": 4, "kill-9": -9, "terminated": 143}[how], command.text
    if how in ("cut", "frozen"):
        assert "the connection to cut was lost" in command.text
        assert "hint:" in command.text
        assert "Traceback" not in command.text
    eventually(lambda: left_in(axiscam, "app.py sleep") == "", "the guard ends the app", seconds=90)
    eventually(lambda: "incamera-run" not in inside(axiscam, "ls /tmp"), "nothing is left in /tmp")
