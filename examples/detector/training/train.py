"""Trains the detector on pictures that are made on the way, and writes shapes.tflite beside the app.

    OPENBLAS_NUM_THREADS=1 python training/train.py [--steps N] [--output FILE]

Needs numpy alone. A picture is divided into 16 x 9 cells. For each cell, the network says how likely it has the middle
of a square, a disc or a triangle, and where that shape's box is. All of these are numbers from 0 to 1, which a logistic
function gives.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from pictures import HEIGHT, KINDS, WIDTH, Shape, draw
from tflite import CONV_2D, LOGISTIC, RELU6, Network, number

CELL = 8
ROWS, COLUMNS, CLASSES = HEIGHT // CELL, WIDTH // CELL, len(KINDS)
# The convolutions: the side of each one's filter, its stride, and the channels that go in and out.
SIDES, STRIDES, CHANNELS = (3, 3, 3, 3, 1), (2, 2, 2, 1, 1), (3, 8, 16, 32, 32, CLASSES + 4)
LAST = len(SIDES) - 1
# The input is 0 to 1, and ReLU6 gives 0 to 6. Beyond -8 and 8, the logistic function hardly changes.
SCALES = (1 / 255, *[6 / 255] * LAST, 16 / 255)
BATCH, RATE = 24, 2e-3


def targets(shapes: list[Shape]) -> tuple[Any, Any]:
    """Return what the network should say of a picture with *shapes*, and how much each of the numbers counts."""
    wanted = np.zeros((ROWS, COLUMNS, CLASSES + 4), np.float32)
    weight = np.zeros_like(wanted)
    weight[..., :CLASSES] = 1
    for shape in shapes:
        row, column = int(shape.y / CELL), int(shape.x / CELL)
        box = (shape.x / CELL - column, shape.y / CELL - row, 2 * shape.radius / WIDTH, 2 * shape.radius / HEIGHT)
        wanted[row, column, shape.kind] = 1
        wanted[row, column, CLASSES:] = box
        weight[row, column] = [4] * CLASSES + [2, 2, 20, 20]
    return wanted, weight


def make_batch(random: Any) -> tuple[Any, Any, Any]:
    pictures, wanted, weights = [], [], []
    for _ in range(BATCH):
        picture, shapes = draw(random)
        pictures.append(picture)
        for values, value in zip((wanted, weights), targets(shapes), strict=True):
            values.append(value)
    return np.array(pictures, np.float32) / 255, np.array(wanted), np.array(weights)


def forward(weights: list[Any], biases: list[Any], x: Any) -> tuple[Any, list[tuple[Any, Any]]]:
    """Return the output before the logistic function; and each layer's input, and that as one row for each place."""
    seen = []
    for n, (side, stride) in enumerate(zip(SIDES, STRIDES, strict=True)):
        # As in TensorFlow Lite: of an odd number of pixels, the larger half is at the right and at the bottom.
        before, after = (side - stride) // 2, (side - stride + 1) // 2
        padded = np.pad(x, ((0, 0), (before, after), (before, after), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        rows = windows.transpose(0, 1, 2, 4, 5, 3).reshape(-1, len(weights[n]))
        seen.append((x, rows))
        x = (rows @ weights[n] + biases[n]).reshape(*windows.shape[:3], -1)
        if n < LAST:
            x = np.clip(x, 0, 6)
    return x, seen


def backward(weights: list[Any], seen: list[tuple[Any, Any]], slope: Any) -> list[Any]:
    """Return the slopes of all weights, then those of all biases, given that of the output."""
    of_weights, of_biases = [], []
    for n in reversed(range(len(SIDES))):
        (x, rows), side, stride = seen[n], SIDES[n], STRIDES[n]
        places, flat = slope.shape[:3], slope.reshape(len(rows), -1)
        of_weights.append(rows.T @ flat)
        of_biases.append(flat.sum(0))
        if n == 0:
            break
        parts = (flat @ weights[n].T).reshape(*places, side, side, -1)
        padded = np.zeros((x.shape[0], x.shape[1] + side - stride, x.shape[2] + side - stride, x.shape[3]), np.float32)
        for down in range(side):
            for across in range(side):
                to = padded[:, down : down + places[1] * stride : stride, across : across + places[2] * stride : stride]
                to += parts[:, :, :, down, across]
        before = (side - stride) // 2
        slope = padded[:, before : before + x.shape[1], before : before + x.shape[2]] * ((x > 0) & (x < 6))
    return of_weights[::-1] + of_biases[::-1]


def train(steps: int) -> tuple[list[Any], list[Any]]:
    """Return the weights and the biases of all layers."""
    random = np.random.default_rng(13)
    sizes = [side * side * channels for side, channels in zip(SIDES, CHANNELS, strict=False)]
    values = [
        random.normal(0, np.sqrt(2 / size), (size, channels)).astype(np.float32)
        for size, channels in zip(sizes, CHANNELS[1:], strict=True)
    ]
    values += [np.zeros(channels, np.float32) for channels in CHANNELS[1:]]
    values[-1][:CLASSES] = -4  # most cells have no shape
    count = len(SIDES)
    means, squares = [np.zeros_like(value) for value in values], [np.zeros_like(value) for value in values]
    start = time.monotonic()
    for step in range(steps):
        pictures, wanted, weight = make_batch(random)
        output, seen = forward(values[:count], values[count:], pictures)
        found = 1 / (1 + np.exp(-output))
        slopes = backward(values[:count], seen, (found - wanted) * weight / BATCH)
        rate = RATE * (1 + np.cos(np.pi * step / steps)) / 2 * np.sqrt(1 - 0.999 ** (step + 1))
        for value, slope, mean, square in zip(values, slopes, means, squares, strict=True):  # Adam
            mean += 0.1 * (slope - mean)
            square += 0.001 * (slope * slope - square)
            value -= (rate / (1 - 0.9 ** (step + 1)) * mean / (np.sqrt(square) + 1e-7)).astype(np.float32)
        if step % 100 == 0 or step == steps - 1:
            likely = np.where(wanted[..., :CLASSES] > 0, found[..., :CLASSES], 1 - found[..., :CLASSES])
            error = float(-np.log(np.maximum(likely, 1e-6)).sum() / BATCH)
            print(f"step {step}: error {error:.2f} for each picture, {time.monotonic() - start:.0f} s", flush=True)
    return values[:count], values[count:]


def quantized(weights: list[Any], biases: list[Any]) -> bytes:
    """Return the .tflite file: int8, with a scale for each channel of the weights."""
    network = Network()
    height, width = HEIGHT, WIDTH
    source = x = network.tensor((1, height, width, 3), SCALES[0], -128, name="picture")
    for n, (side, stride) in enumerate(zip(SIDES, STRIDES, strict=True)):
        shape = (CHANNELS[n + 1], side, side, CHANNELS[n])
        scale = np.abs(weights[n]).max(0) / 127
        data = np.round(weights[n] / scale).T.reshape(shape)
        filters = network.tensor(shape, scale, data=data)
        sums = scale * SCALES[n]
        bias = network.tensor(shape[:1], sums, type="int32", data=np.round(biases[n] / sums))
        height, width = height // stride, width // stride
        output = network.tensor((1, height, width, shape[0]), SCALES[n + 1], -128 if n < LAST else 0)
        # SAME padding is 0, which is not written.
        options = {1: number("i", stride), 2: number("i", stride)} | ({3: number("b", RELU6)} if n < LAST else {})
        x = network.operator(CONV_2D, [x, filters, bias], output, options)
    result = network.tensor((1, ROWS, COLUMNS, CLASSES + 4), 1 / 256, -128, name="cells")
    return network.render(source, network.operator(LOGISTIC, [x], result))


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the detector.")
    parser.add_argument("--steps", type=int, default=2500)
    parser.add_argument("--output", type=Path, default=Path(__file__).parents[1] / "shapes.tflite")
    arguments = parser.parse_args()
    arguments.output.write_bytes(quantized(*train(arguments.steps)))


if __name__ == "__main__":
    main()
