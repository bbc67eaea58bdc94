"""Counts the grey levels of a picture, by a function in C."""

import numpy as np
from exposure import levels
from tqdm import tqdm

if __name__ == "__main__":
    picture = np.full(1000, 7, dtype=np.uint8)
    for row in tqdm(range(10), disable=True):
        picture[row] = 200
    counts = levels(picture)
    print(f"dark: {counts[7]}, bright: {counts[200]}, mean {picture.mean():.2f}")
