"""The host's paths in what the app prints."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from incamera.device.tracebacks import CrashTrimmer, HostPaths, PathRewriter, host_paths

FOLDER = "/tmp/incamera/bell/4f1c/app"
LIVE = "/tmp/incamera-agent/bell/live"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in ("app.py", "src/pack/core.py", "with space.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def rewritten(text: str, paths: HostPaths, *, piece: int = 1 << 20) -> str:
    rewriter = PathRewriter(paths)
    data = text.encode()
    shown = b"".join(rewriter.feed(data[start : start + piece]) for start in range(0, len(data), piece))
    return (shown + rewriter.finish()).decode()


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ('  File "{there}/app.py", line 3, in <module>\n', '  File "{here}/app.py", line 3, in <module>\n'),
        ("> {there}/app.py(3)main()\r\n", "> {here}/app.py(3)main()\r\n"),
        ("{there}/app.py:3: UserWarning: no\n", "{here}/app.py:3: UserWarning: no\n"),
        ('  File \x1b[35m"{there}/app.py"\x1b[0m, line 3', '  File \x1b[35m"{here}/app.py"\x1b[0m, line 3'),
        ('File "{there}/with space.py", line 1', 'File "{here}/with space.py", line 1'),
        ("in {there}/app.py and elsewhere", "in {here}/app.py and elsewhere"),
    ],
)
@pytest.mark.parametrize("there_folder", [FOLDER, LIVE])
def test_device_path_is_replaced_by_the_host_path(there: str, here: str, there_folder: str, project: Path) -> None:
    paths = host_paths(project, [FOLDER, LIVE], has_build_system=False)
    for piece in (1, 7, 1 << 20):
        assert rewritten(there.format(there=there_folder), paths, piece=piece) == here.format(here=project)


@pytest.mark.parametrize(
    "text",
    [
        f'File "{FOLDER}/generated.py", line 1',  # is not here
        f'File "{FOLDER}/../../../etc/passwd", line 1',
        f'File "{FOLDER}", line 1',
        'File "/tmp/incamera/bell/4f1c/lib/python3.11/json/decoder.py", line 1',
        'File "/tmp/incamera/other/4f1c/app/app.py", line 1',
        "/tmp/incamera/be",
    ],
)
def test_other_text_is_unchanged(text: str, project: Path) -> None:
    paths = host_paths(project, [FOLDER], has_build_system=False)
    for piece in (1, 1 << 20):
        assert rewritten(text, paths, piece=piece) == text


def test_module_of_a_wheel_is_found_in_the_source_tree(project: Path) -> None:
    text = f'File "{FOLDER}/pack/core.py", line 9'
    built = host_paths(project, [FOLDER], has_build_system=True)
    assert rewritten(text, built) == f'File "{project}/src/pack/core.py", line 9'
    assert rewritten(text, host_paths(project, [FOLDER], has_build_system=False)) == text


@given(st.lists(st.sampled_from([f'"{FOLDER}/app.py"', FOLDER, "/", "\n", '"', "/tmp", "x", f"{FOLDER}/", "app.py"])))
def test_output_is_rewritten_the_same_in_pieces_of_any_size(parts: list[str]) -> None:
    here = Path(__file__).parent
    paths = HostPaths(folders=(FOLDER,), sources=(here,))
    text = "".join(parts)
    whole = rewritten(text, paths)
    assert all(rewritten(text, paths, piece=piece) == whole for piece in (1, 3, 11))


def test_text_that_cannot_become_a_path_is_shown_at_once(project: Path) -> None:
    rewriter = PathRewriter(host_paths(project, [FOLDER], has_build_system=False))
    assert rewriter.feed(b">>> print(1") == b">>> print(1"
    assert not rewriter.has_pending
    assert rewriter.feed(b' "/tm') == b' "'
    assert rewriter.has_pending
    assert rewriter.feed(b"ax") == b"/tmax"
    endless = FOLDER.encode() + b"/" + b"x" * 10_000
    assert len(rewriter.feed(endless)) > 5_000


def test_path_that_only_begins_in_the_apps_folder_is_not_replaced(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.touch()
    project = tmp_path / "project"
    project.mkdir()
    paths = host_paths(project, [FOLDER], has_build_system=False)
    for path in (f"{FOLDER}/{secret}", f"{FOLDER}/../secret", f"{FOLDER}//{secret}"):
        assert paths.find(path) is None


AGENT = "/tmp/incamera-roots/4f1c/lib/python3/dist-packages/incamera_agent"
CRASH = f"""said before
Fatal Python error: Segmentation fault

Current thread 0xb6f0 (most recent call first):
  File "{FOLDER}/app.py", line 3 in crash
  File "{FOLDER}/app.py", line 5 in <module>
  File "{AGENT}/forkserver/child.py", line 105 in execute
  File "{AGENT}/server/main.py", line 33 in main
  File "<frozen runpy>", line 88 in _run_code

Extension modules: numpy (total: 1)
  File "said after"
"""
OURS = [line for line in CRASH.splitlines(keepends=True) if "incamera_agent" in line or "runpy" in line]


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_stack_of_a_crash_ends_with_the_app(piece: int, end: str) -> None:
    trimmer, data = CrashTrimmer(), CRASH.replace("\n", end).encode()
    shown = b"".join(trimmer.feed(data[start : start + piece]) for start in range(0, len(data), piece))
    expected = "".join(line for line in CRASH.splitlines(keepends=True) if line not in OURS)
    assert (shown + trimmer.finish()).decode() == expected.replace("\n", end)


@pytest.mark.parametrize("piece", [3, 7, 100])
def test_frame_of_a_crash_that_comes_in_pieces_is_not_shown_before_its_end(piece: int) -> None:
    trimmer, data, shown = CrashTrimmer(), CRASH.encode(), b""
    for start in range(0, len(data), piece):
        shown += trimmer.feed(data[start : start + piece])
        if trimmer.has_pending:  # and nothing more comes for a while
            shown += trimmer.finish()
    assert b"incamera_agent" not in shown + trimmer.finish()


def test_prompt_after_a_stack_is_shown_at_once() -> None:
    trimmer = CrashTrimmer()
    trimmer.feed(b'(most recent call first):\n  File "app.py", line 1 in f\n> ')
    assert trimmer.has_pending
    assert trimmer.finish() == b"> "


@given(
    st.lists(st.binary(max_size=30) | st.sampled_from([b"(most recent call first):\n", b'  File "x", line 1 in f\n']))
)
def test_output_without_the_agents_frames_is_shown_as_it_is(pieces: list[bytes]) -> None:
    trimmer = CrashTrimmer()
    assert b"".join(map(trimmer.feed, pieces)) + trimmer.finish() == b"".join(pieces)
