"""Tells the camera's event system whether something moves. A number as its argument ends it after so many frames."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import acap
import numpy as np

PIXEL = 20  # a pixel has changed if its brightness, 0 to 255, differs by more
PART = 0.003  # something moves if a larger part of the picture has changed


def motion(frames: Iterable[Any]) -> Iterator[bool]:
    """Yield, for each frame but the first, whether something has moved since the frame before."""
    before = None
    for frame in frames:
        now = np.array(frame.y, np.int16)  # a copy: the frame goes back to the camera
        if before is not None:
            yield bool((abs(now - before) > PIXEL).mean() > PART)
        before = now


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    state = acap.events.State("Motion", moving=False, nice_name="Motion")
    with acap.video.Stream(320, 180, "y800", framerate=5) as stream:
        for moving in itertools.islice(motion(stream), wanted):
            if moving != state.moving:
                print("moving" if moving else "still", flush=True)
            state.moving = moving  # sent if it is another value


if __name__ == "__main__":
    main()
