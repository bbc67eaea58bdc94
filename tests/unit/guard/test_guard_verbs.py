"""The guard's small verbs, as built for this computer: processes, attach sockets, folders of ours."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.waiting import wait_until

from incamera.errors import DeviceError
from incamera.guard import verbs
from incamera.runtime.launcher.protocol import AGENTS_FOLDER, OWN_FOLDER, RUN_FOLDER, RUN_VARIABLE, Process, Sample
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera_agent.wire import protocol as wire

if TYPE_CHECKING:
    from incamera.transport.session import Session

pytestmark = pytest.mark.starts_processes

RUN = f"incamera-run-{secrets.token_hex(4)}"
Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def session() -> Iterator[Session]:
    with open_local(Device(name="cam", address=SshAddress(host="127.0.0.1"))) as session:
        yield session


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts a program of a run, and returns when it has printed a line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, run: str = RUN) -> subprocess.Popen[bytes]:
        environment = {**os.environ, RUN_VARIABLE: run}
        process = subprocess.Popen(arguments, env=environment, stdout=subprocess.PIPE, cwd="/usr")
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def of_run(sample: Sample) -> list[Process]:
    return [process for process in sample.processes if process.run == RUN]


# Processes


def test_process_of_a_run_is_listed_with_what_it_uses(session: Session, guard: Path, start: Start) -> None:
    odd = "it's\n\x07 ü \udcff"
    code = "import time; print(flush=True); [i for i in range(2_000_000)]; time.sleep(1000)"
    process = start(sys.executable, "-ISc", code, odd)
    sample = verbs.list_processes(session, str(guard))
    (found,) = of_run(sample)
    assert (found.pid, found.parent, found.arguments[-1]) == (process.pid, os.getpid(), odd)
    assert found.folder == "/usr"
    assert found.state in "RSD"
    assert found.threads == 1
    assert found.files >= 3
    assert found.resident is not None
    assert found.peak is not None
    assert 1 << 20 < found.resident <= found.peak
    assert found.proportional is None or found.proportional <= found.resident
    assert 0 <= sample.uptime / 1000 - found.began / 100 < 60
    wait_until(lambda: of_run(verbs.list_processes(session, str(guard)))[0].ticks, "it has used the processor")
    assert 0 < sample.free < sample.total


def test_processes_of_others_are_not_listed(session: Session, guard: Path) -> None:
    assert os.getpid() not in [process.pid for process in verbs.list_processes(session, str(guard)).processes]


def test_processes_are_listed_again_and_again_until_nobody_reads(session: Session, guard: Path, start: Start) -> None:
    start("sh", "-c", "echo; exec sleep 1000")

    async def watch() -> list[int]:
        samples = verbs.watch_processes(session.transport, str(guard), every=0.05)
        try:
            return [len(of_run(await anext(samples))) for _ in range(3)]
        finally:
            await samples.aclose()

    assert session.call(watch()) == [1, 1, 1]


def test_listing_ends_with_its_input_though_somebody_could_read_on(guard: Path) -> None:
    # As an SSH server does that keeps the pipe of a closed channel until the program has ended.
    listing = subprocess.Popen(
        [guard, "processes", "every", "50"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    with listing:
        assert listing.stdin is not None
        assert listing.stdout is not None
        try:
            assert listing.stdout.read(1)
            listing.stdin.close()
            assert listing.wait(timeout=60) == 0
        finally:
            listing.kill()


# Ending


def test_process_ends_politely_and_a_stubborn_one_is_killed(session: Session, guard: Path, start: Start) -> None:
    polite = start("sh", "-c", "trap 'exit 7' TERM; echo; while :; do sleep 0.05; done")
    stubborn = start("sh", "-c", "trap '' TERM; echo; while :; do sleep 0.05; done")
    stopped = start("sh", "-c", "trap 'exit 8' TERM; echo; while :; do sleep 0.05; done")
    stopped.send_signal(signal.SIGSTOP)
    pids = [polite.pid, stubborn.pid, stopped.pid]
    assert verbs.end_processes(session, str(guard), pids, grace=1) == ()
    assert [polite.wait(), stubborn.wait(), stopped.wait()] == [7, -signal.SIGKILL, 8]


def test_agent_gets_a_signal_of_its_own(session: Session, guard: Path, start: Start) -> None:
    agent = start("sh", "-c", "trap 'exit 9' USR1; echo; while :; do sleep 0.05; done")
    assert verbs.end_processes(session, str(guard), [agent.pid], agents=[agent.pid], grace=5) == ()
    assert agent.wait() == 9


@pytest.mark.parametrize("target", ["1", "0", "-5", "12x", "12:TERM", ""])
def test_nothing_but_a_process_is_ended(guard: Path, target: str) -> None:
    done = subprocess.run([guard, "end", "1", target], capture_output=True)
    assert (done.returncode, done.stderr.strip()) == (2, f"incamera-guard: not a process: {target}".strip().encode())


# Attach sockets


@pytest.fixture
def socket_folders() -> Iterator[tuple[Path, Path]]:
    """The folders of a run and of an agent."""
    name = f"test-{secrets.token_hex(4)}"
    run, agent = Path(f"{RUN_FOLDER}{name}"), Path(AGENTS_FOLDER, name)
    for folder in (run, agent):
        folder.mkdir(parents=True)
    yield run, agent
    for folder in (run, agent):
        shutil.rmtree(folder)


def test_attach_sockets_are_listed_newest_first(
    session: Session, guard: Path, socket_folders: tuple[Path, Path]
) -> None:
    run, agent = socket_folders
    older, newer = run / "bell.socket", agent / "socket"
    for path in (older, newer):
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    os.utime(older, (1, 1))
    (run / "other.socket").write_text("a file")
    found = [path for path in verbs.list_sockets(session, str(guard)) if run.name in path or agent.name in path]
    assert found == [str(newer), str(older)]


def test_host_agent_and_guard_agree_where_an_agent_answers() -> None:
    assert wire.AGENTS_FOLDER == AGENTS_FOLDER


# Folders


@pytest.fixture
def own_folder() -> Iterator[str]:
    path = f"{OWN_FOLDER}unit-{secrets.token_hex(4)}"
    yield path
    shutil.rmtree(path, ignore_errors=True)


def test_folder_is_made_for_us_alone_and_removed_with_its_files(session: Session, guard: Path, own_folder: str) -> None:
    path = f"{own_folder}/inner/one-1"
    verbs.make_folder(session, str(guard), path)
    assert Path(path).stat().st_mode & 0o777 == 0o700
    with pytest.raises(DeviceError, match=f"cannot make {path} on cam: .*File exists"):
        verbs.make_folder(session, str(guard), path)
    Path(path, "file").write_text("")
    verbs.remove_folder(session, str(guard), own_folder)
    verbs.remove_folder(session, str(guard), own_folder)
    assert not Path(own_folder).exists()


def test_folders_that_were_forgotten_are_removed(session: Session, guard: Path, own_folder: str) -> None:
    names = ("one-old", "one-new", "other-old")
    for name in names:
        Path(own_folder, name).mkdir(parents=True)
    day_before = time.time() - 90_000
    for name in ("one-old", "other-old"):
        os.utime(Path(own_folder, name), (day_before, day_before))
    verbs.make_folder(session, str(guard), f"{own_folder}/one-3")
    assert sorted(path.name for path in Path(own_folder).iterdir()) == ["one-3", "one-new", "other-old"]


def test_folder_is_copied_as_links_in_place_of_what_was_there(
    session: Session, guard: Path, own_folder: str, tmp_path: Path
) -> None:
    source = tmp_path / "app"
    (source / "package").mkdir(parents=True)
    (source / "package" / "module.py").write_text("1")
    (source / "run").write_text("2")
    (source / "run").chmod(0o755)
    (source / "link").symlink_to("package/module.py")
    (tmp_path / "current").symlink_to(source)
    for _ in range(2):
        assert verbs.copy_folder(session, str(guard), str(tmp_path / "current"), f"{own_folder}/app")
        copy = Path(own_folder, "app")
        assert sorted(str(path.relative_to(copy)) for path in copy.rglob("*")) == [
            *("link", "package", "package/module.py", "run"),
        ]
        assert (copy / "link").readlink() == Path("package/module.py")
        assert (copy / "package" / "module.py").read_text() == "1"
        assert os.access(copy / "run", os.X_OK)
        (copy / "of-before").write_text("")


def test_folder_that_a_process_works_in_is_not_replaced(
    session: Session, guard: Path, own_folder: str, tmp_path: Path
) -> None:
    (tmp_path / "app").mkdir()
    inner = Path(own_folder, "app", "inner")
    inner.mkdir(parents=True)
    with subprocess.Popen(["sleep", "1000"], cwd=inner) as process:
        assert not verbs.copy_folder(session, str(guard), str(tmp_path / "app"), f"{own_folder}/app")
        process.kill()
    assert inner.exists()
    assert verbs.copy_folder(session, str(guard), str(tmp_path / "app"), f"{own_folder}/app")


NOT_OURS = ["/tmp/other", "/etc", OWN_FOLDER, f"{OWN_FOLDER}/", f"{OWN_FOLDER}a/../../etc", f"{OWN_FOLDER}a/"]


@pytest.mark.parametrize("path", NOT_OURS)
def test_folder_that_is_not_ours_is_neither_made_nor_removed(session: Session, guard: Path, path: str) -> None:
    for verb in (["make-folder"], ["remove-folder"], ["copy-folder", "/usr/share"]):
        done = subprocess.run([guard, *verb, path], capture_output=True)
        assert (done.returncode, done.stderr) == (2, f"incamera-guard: not a folder of ours: {path}\n".encode())
    with pytest.raises(ValueError, match="not a folder of ours"):
        verbs.remove_folder(session, str(guard), path)


def test_nothing_is_made_in_another_users_folder(session: Session, guard: Path, own_folder: str) -> None:
    if os.geteuid():
        pytest.skip("only root can give a folder to another user")
    Path(own_folder).mkdir()
    os.chown(own_folder, 65534, 65534)
    with pytest.raises(DeviceError, match="another user has taken"):
        verbs.make_folder(session, str(guard), f"{own_folder}/mine-1")


# Places


def test_place_that_cannot_be_remounted_is_named(session: Session, guard: Path, tmp_path: Path) -> None:
    done = verbs.allow_exec(session, str(guard), str(tmp_path))
    assert done.error
    assert done.problem is not None
    assert done.problem.startswith(f"cannot remount {tmp_path}: ")
