"""Prints the barcodes that the camera sees. With a number as its argument, the app ends after so many."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import acap
import ean13


def barcodes(frames: Iterable[Any]) -> Iterator[str]:
    """Yield each barcode when it comes into view. The C module reads the camera's memory: no pixel is copied."""
    last = None
    for frame in frames:
        code = ean13.read(frame.y)
        if code and code != last:
            yield code
        last = code


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with acap.video.Stream(1280, 720, "y800", framerate=10) as stream:
        for code in itertools.islice(barcodes(stream), wanted):
            print(code, flush=True)


if __name__ == "__main__":
    main()
