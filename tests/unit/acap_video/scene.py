"""What the pictures of the video library's stand-in tell. Its scene.c describes the scene."""

from __future__ import annotations

import io
from typing import Any

import av
import numpy as np

CELL, CELLS, LINES, BRIGHT, DARK = 4, 32, 3, 235, 16
BARCODE = "2000012345678"
# EAN-13: the parts of each digit in the left half, if the number of dark ones is odd. Those of the right half are the
# opposite, and those of an even number in the left half the same in reverse.
_DIGITS = [
    *("0001101", "0011001", "0010011", "0111101", "0100011"),
    *("0110001", "0101111", "0111011", "0110111", "0001011"),
]
# Which of the left digits have an even number (G): that tells the first digit.
_FIRST = [
    *("LLLLLL", "LLGLGG", "LLGGLG", "LLGGGL", "LGLLGG"),
    *("LGGLLG", "LGGGLL", "LGLGLG", "LGLGGL", "LGGLGL"),
]


def read_code(plane: Any) -> tuple[int, int]:
    """Return the frame's sequence number, and its time in microseconds, from its brightness."""
    pixels = np.asarray(plane)
    if pixels.ndim == 3:
        pixels = pixels[:, :, 1]
    cells = pixels[CELL // 2 : CELL * LINES : CELL, CELL // 2 : CELL * CELLS : CELL] > 128
    sequence, high, low = (int("".join(str(int(bit)) for bit in line), 2) for line in cells)
    return sequence, high << 32 | low


def bars(digits: str) -> Any:
    """Return the barcode of 13 *digits*: 95 numbers, 1 for a dark part."""
    right = [_DIGITS[int(digit)].translate(str.maketrans("01", "10")) for digit in digits]
    left = [
        _DIGITS[int(digit)] if kind == "L" else right[number][::-1]
        for number, (digit, kind) in enumerate(zip(digits[1:7], _FIRST[int(digits[0])], strict=True), start=1)
    ]
    return np.array([int(part) for part in "101" + "".join(left) + "01010" + "".join(right[7:]) + "101"])


def colors(width: int, height: int, timestamp: int) -> Any:
    """Return the UV plane of a frame that was captured at *timestamp* microseconds."""
    pixels = np.full((height // 2, width // 2, 2), 128, np.uint8)
    side, top = (height // 4 & ~1) // 2, (height // 2 & ~1) // 2
    left = square_left(width, height, timestamp) // 2
    pixels[top : top + side, left : left + side] = (90, 240)
    return pixels


def decode_picture(data: bytes) -> Any:
    """Return the picture of an encoded one, as FFmpeg decodes it."""
    file: Any = av.open(io.BytesIO(data))
    with file:
        return next(file.decode(video=0))


def decode_h264(frames: list[bytes]) -> list[Any]:
    """Return the pictures of a stream, as FFmpeg decodes them."""
    decoder: Any = av.CodecContext.create("h264", "r")
    pictures = [picture for data in frames for packet in decoder.parse(data) for picture in decoder.decode(packet)]
    pictures += [picture for packet in decoder.parse(b"") for picture in decoder.decode(packet)]
    return pictures + list(decoder.decode(None))


# How long the square takes from the left edge to the right one, and when the scene began in the tests.
WAY, BEGIN = 4_600_000, 0


def square_left(width: int, height: int, timestamp: int) -> int:
    """Return the left edge of the square in a picture that was captured at *timestamp* microseconds."""
    return (timestamp - BEGIN) % WAY * (width - (height // 4 & ~1)) // WAY & ~1


def brightness(width: int, height: int, sequence: int, timestamp: int) -> Any:
    """Return the Y plane of the frame *sequence*, captured at *timestamp* microseconds.

    Without a time (0), the square moves four pixels with each frame.
    """
    row = 32 + 128 * np.arange(width) // width
    pixels = np.repeat(row[np.newaxis, :], height, axis=0).astype(np.uint8)
    if width >= 640 and height >= 360:
        label = np.repeat(np.where(np.pad(bars(BARCODE), (11, 7)), DARK, BRIGHT), width // 160)
        margin = (width - len(label)) // 2
        pixels[height * 13 // 16 : height * 15 // 16, margin : margin + len(label)] = label
    side, top = height // 4 & ~1, height // 2 & ~1
    left = square_left(width, height, timestamp) if timestamp else sequence * 4 % (width - side) & ~1
    pixels[top : top + side, left : left + side] = BRIGHT
    for line, number in enumerate((sequence, timestamp >> 32, timestamp & 0xFFFFFFFF)):
        for column in range(CELLS):
            bit = number >> (CELLS - 1 - column) & 1
            pixels[line * CELL : (line + 1) * CELL, column * CELL : (column + 1) * CELL] = BRIGHT if bit else DARK
    return pixels
