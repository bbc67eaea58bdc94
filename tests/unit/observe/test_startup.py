"""Import times, out of what Python prints."""

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
