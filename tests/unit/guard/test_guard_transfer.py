"""Files that are copied to and from an app's folders, with the guard as built for this computer."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from incamera.context import SilentReporter
from incamera.errors import ConnectionLost, DeviceError, UsageError
from incamera.guard.transfer import RemoteFile, erase, look, read, write
from incamera.runtime.launcher.protocol import PARTIAL_PREFIX, ExitCode
from incamera.transport.device import Device, SshAddress
from incamera.transport.local import open_local
from incamera.transport.protocols import FileMissing
from incamera.workflows.files import Files, copy_from, copy_to
from incamera.workflows.local_files import FileSink, FileSource

if TYPE_CHECKING:
    from incamera.transport.session import Session

pytestmark = pytest.mark.starts_processes


@pytest.fixture
def session() -> Iterator[Session]:
    with open_local(Device(name="cam", address=SshAddress(host="127.0.0.1"))) as session:
        yield session


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "place" / "incamera" / ".data" / "app"
    folder.mkdir(parents=True)
    return folder


def fetch(session: Session, guard: Path, file: RemoteFile, target: Path) -> None:
    with FileSink(target, "key", lambda _: None) as sink:
        read(session, str(guard), file, sink)


def send(session: Session, guard: Path, source: Path, file: RemoteFile) -> None:
    with FileSource(source) as stream:
        write(session, str(guard), file, stream)


def partials(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(PARTIAL_PREFIX)]


def test_files_are_listed_with_odd_names(session: Session, guard: Path, root: Path) -> None:
    (root / "a b").mkdir()
    (root / "a b" / "it's.csv").write_text("1,2\n")
    Path(os.fsdecode(bytes(root) + b"/\xff\n")).touch()
    (root / "link").symlink_to("/etc")
    found = {entry.path: (entry.type, entry.size) for entry in look(session, str(guard), str(root), "", deep=True)}
    assert found == {
        "": ("d", 0),
        "a b": ("d", 0),
        "a b/it's.csv": ("f", 4),
        "\udcff\n": ("f", 0),
        "link": ("l", 0),
    }
    assert {entry.path for entry in look(session, str(guard), str(root), "")} == set(found) - {"a b/it's.csv"}


@pytest.mark.parametrize("size", [0, 1, 65536, 300_001])
def test_file_goes_there_and_back(session: Session, guard: Path, root: Path, tmp_path: Path, size: int) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(size))
    source.chmod(0o755)
    file = RemoteFile(str(root), "new/folder/fi le")
    send(session, guard, source, file)
    there = root / "new" / "folder" / "fi le"
    assert there.read_bytes() == source.read_bytes()
    assert there.stat().st_mode & 0o777 == 0o755
    fetch(session, guard, file, back)
    assert back.read_bytes() == source.read_bytes()
    assert back.stat().st_mode & 0o100
    assert not partials(there.parent)
    assert not partials(tmp_path)


def test_hole_in_a_file_stays_one(session: Session, guard: Path, root: Path, tmp_path: Path) -> None:
    with (root / "sparse").open("wb") as stream:
        stream.seek((1 << 26) - 1)
        stream.write(b"x")
    fetch(session, guard, RemoteFile(str(root), "sparse"), tmp_path / "back")
    assert (tmp_path / "back").stat().st_size == 1 << 26
    assert (tmp_path / "back").stat().st_blocks * 512 < 1 << 20


@pytest.mark.parametrize("path", ["link/passwd", "link"])
@pytest.mark.parametrize("verb", ["look", "read", "write", "erase"])
def test_no_link_is_followed_out_of_the_folder(
    session: Session, guard: Path, root: Path, tmp_path: Path, verb: str, path: str
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "passwd").write_text("secret")
    (root / "link").symlink_to(outside)
    if verb == "look" and path == "link":
        assert look(session, str(guard), str(root), path)[0].type == "l"
    elif verb == "erase" and path == "link":
        erase(session, str(guard), str(root), path)
        assert not (root / "link").is_symlink()
    else:
        calls: dict[str, Callable[[], object]] = {
            "look": lambda: look(session, str(guard), str(root), path),
            "read": lambda: fetch(session, guard, RemoteFile(str(root), path), tmp_path / "back"),
            "write": lambda: send(session, guard, outside / "passwd", RemoteFile(str(root), path)),
            "erase": lambda: erase(session, str(guard), str(root), path),
        }
        with pytest.raises(DeviceError):
            calls[verb]()
    assert (outside / "passwd").read_text() == "secret"
    assert not (tmp_path / "back").exists()


def test_path_with_dots_is_refused(guard: Path, root: Path) -> None:
    for path in ("..", "a/../..", "/etc/passwd"):
        done = subprocess.run([guard, "look", root, path], capture_output=True, check=False)
        assert (done.returncode, done.stdout) == (ExitCode.usage, b"")


def test_whole_device_is_reached_when_that_is_asked_for(session: Session, guard: Path, tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    (tmp_path / "link").symlink_to("real")
    fetch(session, guard, RemoteFile("/", f"{tmp_path}/link"[1:]), tmp_path / "back")
    assert (tmp_path / "back").read_text() == "text"


def test_interrupted_upload_goes_on_where_it_stopped(session: Session, guard: Path, root: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(500_000))
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    command = [str(guard), "write", str(root), "big", "500000", digest]
    cut = subprocess.run(command, input=source.read_bytes()[:123_456], capture_output=True, check=False)
    assert cut.returncode == ExitCode.interrupted
    assert not (root / "big").exists()
    rest = subprocess.run(command, input=source.read_bytes()[123_456:], capture_output=True, check=False)
    assert rest.stdout.splitlines()[0] == b'{"kind":"resumed","offset":123456}'
    assert (root / "big").read_bytes() == source.read_bytes()
    assert not partials(root)


def test_interrupted_download_goes_on_where_it_stopped(
    session: Session, guard: Path, root: Path, tmp_path: Path
) -> None:
    data, target = os.urandom(500_000), tmp_path / "back"
    advanced: list[int] = []
    (root / "big").write_bytes(data)
    with FileSink(target, "key", advanced.append) as cut:
        cut.begin(0, len(data))
        cut.add(data[:123_456])
    assert not target.exists()
    advanced.clear()
    with FileSink(target, "key", advanced.append) as again:
        read(session, str(guard), RemoteFile(str(root), "big"), again)
    assert target.read_bytes() == data
    assert advanced[0] == 123_456
    assert sum(advanced) == len(data)


class Cut(SilentReporter):
    """A reporter of a copy: *sent* has what its progress counts. After *limit* bytes, the connection is lost."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self.sent: list[int] = []
        self._limit = limit

    @contextmanager
    def step(self, name: str) -> Iterator[Any]:
        yield SimpleNamespace(progress=self._progress, note=lambda text: None)

    @contextmanager
    def _progress(self, total: int) -> Iterator[Callable[[int], None]]:
        def advance(count: int) -> None:
            self.sent.append(count)
            if sum(self.sent) > self._limit:
                raise ConnectionLost("cut")

        self.total = total
        yield advance


@pytest.mark.parametrize("way", ["from the camera", "to the camera"])
def test_command_cp_goes_on_where_it_was_cut_off(
    way: str, session: Session, guard: Path, root: Path, tmp_path: Path
) -> None:
    facts = SimpleNamespace(places=(), memory_available=1 << 40)
    connection: Any = SimpleNamespace(session=session, device="cam", facts=facts, ensure_guard=lambda: str(guard))
    files = Files(connection, None, anywhere=False)
    files._roots["data"] = str(root)
    here = tmp_path / "here"
    here.mkdir()
    data = os.urandom(9_000_000)
    ((root if way == "from the camera" else here) / "film").write_bytes(data)

    def copy(limit: int) -> Cut:
        context: Any = SimpleNamespace(reporter=Cut(limit))
        if way == "from the camera":
            copy_from(context, files, ["data/film"], str(here))
        else:
            copy_to(context, files, [here / "film"], "data")
        return cast("Cut", context.reporter)

    target = (here if way == "from the camera" else root) / "film"
    with pytest.raises(ConnectionLost, match="cut"):
        copy(5_000_000)
    assert not target.exists()
    again = copy(1 << 40)
    assert target.read_bytes() == data
    assert 1_000_000 < again.sent[0] < 9_000_000
    assert (sum(again.sent), again.total) == (9_000_000, 9_000_000)
    assert not partials(target.parent)


def test_part_of_another_version_is_not_used(session: Session, guard: Path, root: Path, tmp_path: Path) -> None:
    (root / "big").write_bytes(os.urandom(500_000))
    with FileSink(tmp_path / "back", "key", lambda _: None) as old:
        old.begin(0, 500_000)
        old.add(b"old" * 1000)
    with pytest.raises(DeviceError, match="did not arrive whole"):
        fetch(session, guard, RemoteFile(str(root), "big"), tmp_path / "back")
    assert not (tmp_path / "back").exists()
    fetch(session, guard, RemoteFile(str(root), "big"), tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == (root / "big").read_bytes()


def test_damaged_upload_leaves_nothing(guard: Path, root: Path) -> None:
    done = subprocess.run([guard, "write", root, "x", "3", "0" * 64], input=b"abc", capture_output=True, check=False)
    assert done.returncode == ExitCode.damaged
    assert list(root.iterdir()) == []


def test_upload_without_room_is_refused_before_it_begins(guard: Path, root: Path) -> None:
    command = [str(guard), "write", str(root), "x", str(1 << 60), "0" * 64]
    done = subprocess.run(command, input=b"", capture_output=True, check=False)
    assert done.returncode == ExitCode.no_space
    assert list(root.iterdir()) == []


def test_folder_is_removed_with_what_is_in_it(session: Session, guard: Path, root: Path) -> None:
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "c").touch()
    erase(session, str(guard), str(root), "a")
    assert list(root.iterdir()) == []
    with pytest.raises(FileMissing, match="there is no a"):
        erase(session, str(guard), str(root), "a")
    erase(session, str(guard), str(root), "")
    assert not root.exists()
    assert root.parent.exists()


def test_folder_is_no_destination(session: Session, guard: Path, root: Path, tmp_path: Path) -> None:
    (root / "a").mkdir()
    (tmp_path / "source").touch()
    with pytest.raises(DeviceError, match="is a folder: a"):
        send(session, guard, tmp_path / "source", RemoteFile(str(root), "a"))
    with pytest.raises(UsageError, match="is a folder"):
        FileSink(root, "key", lambda _: None)


def test_pipe_is_not_waited_for(session: Session, guard: Path, root: Path, tmp_path: Path) -> None:
    os.mkfifo(root / "pipe")
    with pytest.raises(DeviceError, match="not a file: pipe"):
        fetch(session, guard, RemoteFile(str(root), "pipe"), tmp_path / "back")


def test_run_makes_the_data_folder_for_its_user_alone(guard: Path, tmp_path: Path) -> None:
    folder = tmp_path / "place" / "incamera" / ".data" / "app"
    run = tmp_path / "incamera-run-1"
    run.mkdir()
    environment = {"INCAMERA_DATA": str(folder), "PATH": os.environ["PATH"]}
    subprocess.run([guard, "run", run, "--", "true"], env=environment, check=True)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_run_refuses_a_data_folder_that_is_a_strangers_link(guard: Path, tmp_path: Path) -> None:
    place, elsewhere, run = tmp_path / "place", tmp_path / "elsewhere", tmp_path / "incamera-run-1"
    for folder in (place, elsewhere, run):
        folder.mkdir()
    place.chmod(0o1777)
    (place / "incamera").symlink_to(elsewhere)
    environment = {"INCAMERA_DATA": f"{place}/incamera/.data/app", "PATH": os.environ["PATH"]}
    done = subprocess.run([guard, "run", run, "--", "true"], env=environment, capture_output=True, check=False)
    assert done.returncode == ExitCode.taken
    assert list(elsewhere.iterdir()) == []
