"""A first app: where it runs, what numpy makes there, and what a C module of its own makes."""

import os

import numpy as np

from numbers_demo._series import fill


def series(count: int) -> np.ndarray:
    """Return 1/1!, 1/2!, 1/3!, … made by the C module, in an array that numpy owns."""
    values = np.empty(count)
    fill(values)
    return values


def main() -> None:
    print(os.uname())
    print()
    print("Covariance matrix of a random 3x3 array:")
    print(np.cov(np.random.default_rng().random((3, 3))))
    print()
    numbers = series(8)
    print("Numbers from the C module:", *(f"{number:.6f}" for number in numbers))
    print(f"Their sum: {numbers.sum():.6f} (e - 1 is {np.e - 1:.6f})")
