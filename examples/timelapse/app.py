"""Saves pictures to the SD card. The parameter Interval says after how many seconds the next one follows.

With a number as its argument, the app ends after so many pictures.
"""

from __future__ import annotations

import itertools
import select
import sys
import time
from typing import Any

import acap


def pause(changes: Any) -> None:
    """Wait until the interval has passed. When the parameter changes meanwhile, the new value counts at once."""
    start = time.monotonic()
    while (rest := start + acap.parameters.number("Interval") - time.monotonic()) > 0:
        select.select([changes], [], [], rest)
        changes.take()


def save(disk: Any) -> None:
    """Write one picture, named after the time, into a folder of the day."""
    folder = disk.path / time.strftime("%Y-%m-%d")
    folder.mkdir(exist_ok=True)
    picture = folder / time.strftime("%H-%M-%S.jpg")
    picture.write_bytes(acap.video.snapshot(1280, 720))
    print(picture.name, flush=True)


def main() -> None:
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else None
    with acap.parameters.changes("Interval") as changes, acap.storage.Storage("SD_DISK") as disk:
        for number in itertools.islice(itertools.count(), wanted):
            if number:
                pause(changes)
            save(disk)  # ends the app with StorageGone when the card is taken out


if __name__ == "__main__":
    main()
