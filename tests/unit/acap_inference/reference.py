"""What the stand-in must give: its pre-processing in numpy, and its operators as LiteRT computes them.

LiteRT is too large to be installed for every run of the tests. What it gave is kept in litert.json.
`python -m tests.unit.acap_inference.reference` makes that file anew, and needs ai-edge-litert 2.3.0.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .networks import OPERATORS, example

if TYPE_CHECKING:
    from .tflite_writer import Network

KEPT = Path(__file__).parent / "litert.json"
SEEDS = range(8)
CASES = [(name, type) for name in (*OPERATORS, "example") for type in ("int8", "uint8")]


def _places(size: int, wanted: int) -> tuple[Any, Any, Any]:
    """Return the pixel before each place, the one behind it, and the part of the latter, in 256ths."""
    at = np.maximum((2 * np.arange(wanted) + 1) * size * 256 // (2 * wanted) - 128, 0)
    at = np.minimum(at, (size - 1) * 256)
    return at // 256, np.minimum(at // 256 + 1, size - 1), at % 256


def scale(plane: Any, width: int, height: int) -> Any:
    """Return *plane*, of shape (rows, columns, bytes), in another size."""
    plane = plane.astype(np.int64)
    above, below, down = _places(plane.shape[0], height)
    left, right, across = _places(plane.shape[1], width)
    across, down = across[np.newaxis, :, np.newaxis], down[:, np.newaxis, np.newaxis]
    rows = [plane[row][:, left] * (256 - across) + plane[row][:, right] * across for row in (above, below)]
    return ((rows[0] * (256 - down) + rows[1] * down + (1 << 15)) >> 16).astype(np.uint8)


def to_rgb(y: Any, uv: Any) -> Any:
    """Return the colours of a picture in NV12."""
    y = 298 * (y.astype(np.int64) - 16) + 128
    u, v = (uv[:, :, n].astype(np.int64).repeat(2, 0).repeat(2, 1) - 128 for n in (0, 1))
    colours = [y + 409 * v, y - 100 * u - 208 * v, y + 516 * u]
    return np.stack([np.clip(colour >> 8, 0, 255) for colour in colours], 2).astype(np.uint8)


def convert(frame: Any, width: int, height: int, part: tuple[int, int, int, int] | None = None) -> Any:
    """Return the colours of a part of an NV12 *frame* in another size, as (height, width, 3)."""
    y, uv = np.asarray(frame.y)[:, :, np.newaxis], np.asarray(frame.uv)
    if part:
        left, top, columns, rows = part
        y = y[top : top + rows, left : left + columns]
        uv = uv[top // 2 : (top + rows) // 2, left // 2 : (left + columns) // 2]
    return to_rgb(scale(y, width, height)[:, :, 0], scale(uv, width // 2, height // 2))


def run(data: bytes, inputs: Sequence[Any]) -> list[Any]:
    """Run the model *data* with LiteRT's reference operators, and return its outputs. Raises ImportError."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF)
    interpreter.allocate_tensors()
    for detail, values in zip(interpreter.get_input_details(), inputs, strict=True):
        interpreter.set_tensor(detail["index"], values)
    interpreter.invoke()
    return [interpreter.get_tensor(detail["index"]) for detail in interpreter.get_output_details()]


def make(name: str, type: str, seed: int) -> tuple[Network, list[Any]]:
    """Return a network and its inputs."""
    random = np.random.default_rng(seed)
    network = example(type) if name == "example" else OPERATORS[name](random, type)
    least, most = (-128, 127) if type == "int8" else (0, 255)
    shapes = [network.tensors[number].shape for number in network.inputs]
    return network, [random.integers(least, most + 1, shape).astype(type) for shape in shapes]


def digest(*parts: Any) -> str:
    return hashlib.sha256(b"".join(np.ascontiguousarray(part).tobytes() for part in parts)).hexdigest()[:16]


def keep(name: str, type: str, seed: int) -> list[str]:
    """Return the digests of what LiteRT is given and of what it gives."""
    network, inputs = make(name, type, seed)
    data = network.render()
    return [digest(data, *inputs), digest(*run(data, inputs))]


if __name__ == "__main__":
    kept = {f"{name} {type}": [keep(name, type, seed) for seed in SEEDS] for name, type in CASES}
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(values)}" for key, values in kept.items())
    KEPT.write_text(f"{{\n{lines}\n}}\n", "utf-8")
