"""The stacks that an app sends, as they are shown."""

import pytest

from incamera.observe.stacks import Frame, Recording, make_frame, read_threads

AGENT = "/tmp/incamera/bell/4f1c/lib/python3/dist-packages/incamera_agent"
LIVE = "/tmp/incamera-agent/bell/live"


def thread(name: str, *frames: tuple[str, str, int]) -> dict[str, object]:
    return {"name": name, "frames": [{"function": one[0], "file": one[1], "line": one[2]} for one in frames]}


# What stands in front of the app's own code after a fork.
FORK = [
    ("_run_code", "<frozen runpy>", 88),
    ("<module>", f"{AGENT}/__main__.py", 8),
    ("main", f"{AGENT}/forkserver/child.py", 50),
    ("_run", f"{AGENT}/forkserver/child.py", 58),
]


def test_frames_of_the_agent_are_left_out() -> None:
    stacks = read_threads(
        [
            thread("MainThread", *FORK, ("<module>", f"{LIVE}/app.py", 9), ("main", f"{LIVE}/app.py", 4)),
            thread("listener", ("Ear._listen", f"{AGENT}/inapp/listener.py", 96)),
            thread("pump", ("work", f"{LIVE}/a b.py", 3)),
        ]
    )
    assert stacks == {
        "MainThread": (Frame("<module>", "app.py", 9), Frame("main", "app.py", 4)),
        "pump": (Frame("work", "a b.py", 3),),
    }


def test_what_the_app_calls_in_the_agent_is_shown() -> None:
    stacks = read_threads(
        [thread("MainThread", *FORK, ("<module>", f"{LIVE}/app.py", 9), ("reloading", f"{AGENT}/inapp/reload.py", 30))]
    )
    assert stacks["MainThread"][-1] == Frame("reloading", "incamera_agent/inapp/reload.py", 30)


def test_threads_of_one_name_are_kept_apart() -> None:
    first, second = ("f", f"{LIVE}/app.py", 1), ("g", f"{LIVE}/app.py", 2)
    assert list(read_threads([thread("pump", first), thread("pump", second)])) == ["pump", "pump (2)"]


def test_stacks_are_counted_over_all_threads() -> None:
    main, work = (Frame("main", "app.py", 1),), (Frame("work", "app.py", 2),)
    recording = Recording(threads={"MainThread": [main, main, work], "pump": [work]}, interval=0.05)
    assert recording.count_stacks() == {main: 2, work: 2}
    assert recording.samples == 4


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/tmp/incamera/app/4f1c/app/app/main.py", "app/main.py"),
        ("/tmp/incamera-roots/4f1c/app/main.py", "main.py"),
        ("/tmp/incamera/.work/app/app/app/main.py", "app/main.py"),
        ("/tmp/incamera-roots/4f1c/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/tmp/incamera/bell/4f1c/lib/python3/dist-packages/numpy/lib/npyio.py", "numpy/lib/npyio.py"),
        ("<frozen runpy>", "<frozen runpy>"),
        ("/opt/other.py", "/opt/other.py"),
    ],
)
def test_file_has_the_path_that_it_is_imported_by(file: str, shown: str) -> None:
    assert str(make_frame("f", file, 3)) == f"f ({shown}:3)"
