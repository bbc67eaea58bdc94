"""Stacks that samplers tell, as they are drawn."""

import pytest

from incamera.observe.stacks import label, parse_folded

AGENT = "/tmp/incamera/bell/4f1c/lib/python3/dist-packages/incamera_agent"
LIVE = "/tmp/incamera-agent/bell/live"
# As py-spy told it of a fork of the warm process.
FOLDED = f"""\
_run_code (<frozen runpy>:88);<module> ({AGENT}/__main__.py:8);\
main ({AGENT}/server/main.py:30);main ({AGENT}/forkserver/child.py:50);\
_run ({AGENT}/forkserver/child.py:58);<module> ({LIVE}/app.py:9);main ({LIVE}/app.py:4) 7
_run_code (<frozen runpy>:88);<module> ({AGENT}/__main__.py:8);\
main ({AGENT}/server/main.py:30);main ({AGENT}/forkserver/child.py:50);\
_run ({AGENT}/forkserver/child.py:58);<module> ({LIVE}/app.py:9);reloading ({AGENT}/inapp/reload.py:30) 2
Ear._listen ({AGENT}/inapp/listener.py:96) 30
work ({LIVE}/a b.py:3) 1
"""


def test_what_the_agent_does_is_left_out() -> None:
    assert parse_folded(FOLDED) == {
        ("<module> (app.py:9)", "main (app.py:4)"): 7,
        # What the app asks it for is the app's.
        ("<module> (app.py:9)", "reloading (incamera_agent/inapp/reload.py:30)"): 2,
        ("work (a b.py:3)",): 1,
    }


@pytest.mark.parametrize(
    ("file", "shown"),
    [
        ("/tmp/incamera/app/4f1c/app/app/main.py", "app/main.py"),
        ("/tmp/incamera-roots/4f1c/app/main.py", "main.py"),
        ("/tmp/incamera-roots/4f1c/lib/python3.11/json/decoder.py", "json/decoder.py"),
        ("/tmp/incamera/bell/4f1c/lib/python3/dist-packages/numpy/lib/npyio.py", "numpy/lib/npyio.py"),
        ("<frozen runpy>", "<frozen runpy>"),
        ("/opt/other.py", "/opt/other.py"),
    ],
)
def test_a_file_is_called_as_it_is_imported(file: str, shown: str) -> None:
    assert label("f", file, 3) == f"f ({shown}:3)"


@pytest.mark.parametrize("text", ["nonsense", "main (app.py:3)", "main (app.py:3) x"])
def test_what_is_no_list_of_stacks_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no stack"):
        parse_folded(text)
