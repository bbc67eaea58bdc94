"""The C table of larod's devices, which the engine of inference is built with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from incamera.virtual.chips import load_larod

_KINDS = {"tflite": "RUNS_TFLITE", "native": "RUNS_NOTHING", "pictures": "CONVERTS"}
_BUFFERS = {"readwrite": 1, "map": 2, "dmabuf": 4}
_FORMATS = ("nv12", "rgb-interleaved", "rgb-planar")
_ANY = (1 << 9) - 1
_NUMBERS = ("width_step", "pitch_step", "least_height", "most_pixels", "most_scale")


def render_devices() -> str:
    """Return the C code of the table."""
    lines = [f"    {_render(name, facts)},\n" for name, facts in load_larod()["devices"].items()]
    return "".join(["/* Made of larod.toml. */\nstatic const struct known known_devices[] = {\n", *lines, "};\n"])


def _render(name: str, facts: Mapping[str, Any]) -> str:
    values = {
        "name": f'"{name}"',
        "kind": _KINDS[facts["runs"]],
        "chip": facts.get("number", 0),
        "buffers": sum(_BUFFERS[kind] for kind in facts.get("buffers", ["readwrite", "map"])),
        "makes": sum(_BUFFERS[kind] for kind in facts.get("makes", ["readwrite", "map"])),
        "conversions": _conversions(facts.get("conversions", [])),
        "scales": int(facts.get("scales", False)),
        "packed": int(facts.get("packed", False)),
        "late": int(facts.get("late", False)),
    } | {number: facts[number] for number in _NUMBERS if number in facts}
    return "{" + ", ".join(f".{field} = {value}" for field, value in values.items() if value != 0) + "}"


def _conversions(pairs: Any) -> int:
    """Return a bit for each pair of formats: 1 << 3 * FROM + TO."""
    if pairs == "any":
        return _ANY
    return sum(1 << (3 * _FORMATS.index(source) + _FORMATS.index(result)) for source, result in pairs)
