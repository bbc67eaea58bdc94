"""Import times, out of what Python prints."""

import json
from dataclasses import asdict

import pytest

from incamera.observe.startup import Startup, StartupFilter

OUTPUT = b"""\
import time: self [us] | cumulative | imported package
import time:       100 |        100 |   zipimport
import time:       300 |        400 | site
incamera-startup: ready 0.4321
before
import time:      1000 |       1000 |     json.scanner
import time:      2000 |       3000 |   json.decoder
import time:      4000 |       7000 | json
not ours: import time: it seems
import time:       500 |        500 | abc
last, without an end"""


class Through:
    has_pending = False

    def feed(self, data: bytes) -> bytes:
        return data

    def finish(self) -> bytes:
        return b""


@pytest.mark.parametrize("piece", [1, 5, 10_000])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_import_times_are_removed_from_the_output_and_become_a_tree(piece: int, end: bytes) -> None:
    startup = Startup(opened=0.0)
    startup_filter = StartupFilter(startup, Through(), is_output=True)
    data = OUTPUT.replace(b"\n", end)
    shown = (
        b"".join(startup_filter.feed(data[start : start + piece]) for start in range(0, len(data), piece))
        + startup_filter.finish()
    )
    startup.finish()
    assert shown.split(end) == [b"before", b"not ours: import time: it seems", b"last, without an end"]
    assert startup.age == 0.4321
    assert [item.name for item in startup.interpreter] == ["site"]
    assert [(item.name, item.seconds) for item in startup.imports] == [("json", 0.007), ("abc", 0.0005)]
    (decoder,) = startup.imports[0].children
    assert (decoder.name, decoder.own, decoder.children[0].name) == ("json.decoder", 0.002, "json.scanner")
    assert startup.ready is not None
    assert startup.first_output is not None


def test_interrupted_import_leaves_its_own_imports() -> None:
    startup = Startup(opened=0.0)
    startup.take(b"import time:      1000 |       1000 |     json.scanner")
    startup.finish()
    assert [item.name for item in startup.imports] == ["json.scanner"]


def test_beginning_of_a_line_is_shown_when_it_is_none_of_ours() -> None:
    startup_filter = StartupFilter(Startup(opened=0.0), Through(), is_output=True)
    assert startup_filter.feed(b"imp") == b""
    assert startup_filter.has_pending
    assert startup_filter.finish() == b"imp"


@pytest.mark.parametrize(
    "line",
    [
        b"incamera-startup: ready 1.2.3",
        b"incamera-startup: ready " + b"9" * 5000,
        b"import time: " + b"9" * 5000 + b" | 1 | json",
        b"import time: 1 | 1 | " + b" " * 5000 + b"json",
    ],
)
def test_odd_lines_of_an_app_are_no_times(line: bytes) -> None:
    startup = Startup(opened=0.0)
    startup_filter = StartupFilter(startup, Through(), is_output=True)
    startup_filter.feed(line + b"\n")
    startup.finish()
    assert startup.age is None


def test_line_without_an_end_is_not_kept() -> None:
    startup_filter = StartupFilter(Startup(opened=0.0), Through(), is_output=True)
    shown = [startup_filter.feed(piece) for piece in (b"import time:", *[b"x" * 1000] * 100)]
    assert len(b"".join(shown)) > 90_000
    assert len(startup_filter._pending) < 10_000


def test_imports_without_number_and_depth_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("incamera.observe.startup._MOST_ROWS", 3000)
    startup = Startup(opened=0.0)
    for depth in (*range(2000, 0, -1), *[0] * 4000):
        startup.take(b"import time: 1 | 1 | " + b"  " * depth + b"x")
    startup.finish()
    assert len(startup.imports) <= 3000
    json.dumps([asdict(item) for item in startup.imports])
