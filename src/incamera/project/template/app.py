"""@NAME@: runs inside the camera. Type `incamera run --watch -- 1000`, then edit this file and save it."""

import logging
import os
import sys
import time

import numpy as np

log = logging.getLogger("@NAME@")


def brightness(picture: np.ndarray) -> float:
    """Return how bright a grey picture (height × width, 0 to 255) is, from 0 to 1."""
    return float(picture.mean() / 255)


def main() -> None:
    # incamera_agent is in every bundle. An object made by `keep` survives reloads of `run --watch`: an open stream, a
    # loaded model, or as here a counter. `reloading()` is true when the app should return from `main` for a reload.
    from incamera_agent import keep, reloading

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    machine = os.uname()
    print(f"Hello from {machine.nodename}: {machine.machine}, Linux {machine.release}")
    wanted = int(sys.argv[1]) if len(sys.argv) > 1 else 1
    seen = keep("seen", lambda: {"pictures": 0})
    while seen["pictures"] < wanted and not reloading():
        picture = np.tile(np.arange(256, dtype=np.uint8), (240, 1))
        print(f"numpy {np.__version__} finds the test picture {brightness(picture):.0%} bright")
        seen["pictures"] += 1
        log.info("picture %d of %d", seen["pictures"], wanted)
        if seen["pictures"] < wanted:
            time.sleep(1)


if __name__ == "__main__":
    main()
