"""A first app: prints which machine it runs on, a matrix from numpy, and numbers from a C module."""

import os

import numpy as np

from numbers_demo._series import fill


def series(count: int) -> np.ndarray:
    """Return *count* numbers, 1/1!, 1/2!, 1/3!, …, which the C module computes."""
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
