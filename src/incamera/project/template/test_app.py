import numpy as np
from app import brightness


def test_black_is_dark_and_white_is_bright() -> None:
    assert brightness(np.zeros((4, 4), np.uint8)) == 0
    assert brightness(np.full((4, 4), 255, np.uint8)) == 1
