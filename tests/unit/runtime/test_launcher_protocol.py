"""The C header and the Python module say what protocol.toml says."""

from __future__ import annotations

from pathlib import Path

import pytest

from incamera.runtime.launcher import make_protocol, protocol
from incamera.runtime.launcher.protocol import ExitCode
from incamera_agent.wire import protocol as wire

FOLDER = Path(make_protocol.__file__).parent


@pytest.mark.parametrize("name", ["protocol.h", "protocol.py"])
def test_generated_file_is_up_to_date(name: str) -> None:
    assert (FOLDER / name).read_text("utf-8") == make_protocol.render()[name], "run make_protocol.py"


def test_agent_uses_the_same_variable_for_the_run() -> None:
    assert wire.RUN_VARIABLE == protocol.RUN_VARIABLE


def test_every_exit_code_has_a_number_of_its_own() -> None:
    assert len({code.value for code in ExitCode}) == len(ExitCode.__members__)
