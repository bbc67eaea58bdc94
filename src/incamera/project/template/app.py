"""@NAME@: runs inside the camera. Edit it, then type `incamera run` again."""

import os

import numpy as np


def brightness(picture: np.ndarray) -> float:
    """Return how bright a grey picture (height × width, 0 to 255) is, from 0 to 1."""
    return float(picture.mean() / 255)


def main() -> None:
    machine = os.uname()
    print(f"Hello from {machine.nodename}: {machine.machine}, Linux {machine.release}")
    picture = np.tile(np.arange(256, dtype=np.uint8), (240, 1))
    print(f"numpy {np.__version__} finds the test picture {brightness(picture):.0%} bright")


if __name__ == "__main__":
    main()
