"""Write src/acap/vdo_functions.h: the functions of the camera's libraries that acap calls, from incamera's tables.

python packages/acap/make_functions.py
"""

from __future__ import annotations

import re
from pathlib import Path

from incamera.sdk.tables import Function, load_libraries

OUTPUT = Path(__file__).parent / "src/acap/vdo_functions.h"
CALLED = (
    "vdo_error_is_expected",
    *("vdo_map_new", "vdo_map_set_boolean", "vdo_map_set_uint32", "vdo_map_set_double", "vdo_map_set_string"),
    *("vdo_map_get_uint32", "vdo_map_get_double", "vdo_map_get_string"),
    *("vdo_channel_get", "vdo_channel_get_ex", "vdo_channel_get_resolutions"),
    *("vdo_stream_new", "vdo_stream_start", "vdo_stream_stop", "vdo_stream_get_fd", "vdo_stream_get_info"),
    *("vdo_stream_get_buffer", "vdo_stream_buffer_unref", "vdo_stream_set_framerate"),
    *("vdo_buffer_get_data", "vdo_frame_get_size", "vdo_frame_get_sequence_nbr", "vdo_frame_get_timestamp"),
    "vdo_frame_get_custom_timestamp",
)
_DECLARATION = re.compile(r"(?P<result>.*?)(?P<name>\w+)\((?P<arguments>.*)\)")


def render() -> str:
    """Return the header's text."""
    functions = {function.name: function for function in load_libraries()["vdo"].functions}
    entries = " \\\n".join(_entry(functions[name]) for name in CALLED)
    return (
        "/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */\n"
        f"#define VDO_FUNCTIONS(FUNCTION) \\\n{entries}\n"
    )


def _entry(function: Function) -> str:
    match = _DECLARATION.fullmatch(function.c)
    assert match, function.c
    arguments = " ".join(match["arguments"].split())
    return f'    FUNCTION({match["result"].strip()}, {function.name}, ({arguments}), "{function.since}")'


if __name__ == "__main__":
    OUTPUT.write_text(render(), "utf-8")
