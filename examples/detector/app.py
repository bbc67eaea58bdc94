"""Draws boxes around the shapes that the camera sees. After as many frames as its argument says, it saves a picture."""

from __future__ import annotations

import itertools
import os
import sys
from pathlib import Path
from typing import Any, NamedTuple

import acap
import numpy as np

KINDS = ("square", "disc", "triangle")
MODEL = Path(__file__).with_name("shapes.tflite")


class Found(NamedTuple):
    kind: str
    score: float
    box: tuple[float, float, float, float]


def shapes(cells: Any, threshold: float = 0.5) -> list[Found]:
    """Return the shapes in the network's output, of shape (rows, columns, 7). A box is x1, y1, x2, y2, each 0 to 1.

    Each cell tells how likely it has the middle of each kind of shape, and the shape's middle and size.
    """
    rows, columns = cells.shape[:2]
    scores = cells[..., : len(KINDS)].max(axis=2)
    found: list[Found] = []
    for place in np.argsort(scores, axis=None)[::-1]:
        row, column = divmod(int(place), columns)
        if scores[row, column] < threshold:
            break
        *likely, across, down, width, height = cells[row, column].tolist()
        x, y = (column + across) / columns, (row + down) / rows
        # A cell beside the middle often tells of the same shape: it is left out.
        if not any(x1 < x < x2 and y1 < y < y2 for _, _, (x1, y1, x2, y2) in found):
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            found.append(Found(KINDS[int(np.argmax(likely))], max(likely), box))
    return found


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    model = acap.inference.Model(MODEL)
    viewer = acap.video.Stream(640, 360, "jpeg", framerate=5)
    with acap.video.Stream(640, 360, "nv12", framerate=5) as stream, acap.bbox.Boxes() as boxes:
        for frame in itertools.islice(stream, wanted):
            (output,) = model.run(frame)
            found = shapes(output.real[0])
            boxes.show([shape.box for shape in found], color="lime", at=frame)
            print(*(f"{shape.kind} {shape.score:.0%} at {shape.box[0]:.2f}, {shape.box[1]:.2f}" for shape in found))
        picture = Path(os.environ.get("INCAMERA_DATA", "."), "shapes.jpg")
        picture.write_bytes(viewer.fresh())


if __name__ == "__main__":
    main()
