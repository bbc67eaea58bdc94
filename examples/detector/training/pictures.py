"""Makes pictures of shapes: what the detector learns from, and what its tests show it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("square", "disc", "triangle")
WIDTH, HEIGHT = 128, 72


@dataclass(frozen=True)
class Shape:
    """A shape, in pixels: the middle of its box, and half of the box's side."""

    kind: int
    x: float
    y: float
    radius: float


def paint(picture: Any, shape: Shape, color: Any) -> None:
    """Draw *shape* into *picture*, of shape (height, width, 3)."""
    height, width = picture.shape[:2]
    across = np.arange(width) + 0.5 - shape.x
    down = np.arange(height)[:, None] + 0.5 - shape.y
    if shape.kind == 0:
        outside = np.maximum(abs(across), abs(down)) - shape.radius
    elif shape.kind == 1:
        outside = np.hypot(across, down) - shape.radius
    else:
        slope = (2 * abs(across) - (down + shape.radius)) / np.sqrt(5)
        outside = np.maximum(slope, down - shape.radius)
    cover = np.clip(0.5 - outside, 0, 1)[..., None]
    picture += cover * (np.asarray(color) - picture)


def background(random: Any, width: int, height: int) -> Any:
    """Return a picture without shapes: a gradient, and often barcodes and blocks of cells, which are no shapes."""
    angle = random.uniform(0, 2 * np.pi)
    across, down = np.cos(angle) * np.arange(width) / width, np.sin(angle) * np.arange(height)[:, None] / height
    slope = (across + down)[..., None]
    picture = random.uniform(20, 170) + random.uniform(0, 160) * slope + random.normal(0, 8, 3)
    for _ in range(random.integers(0, 4)):
        barcode = random.random() < 0.6
        cells = random.random((1 if barcode else 3, random.integers(20, 80)))
        cells = cells.round() if random.random() < 0.6 else cells
        if barcode:
            cells = np.pad(cells, ((0, 0), (random.integers(5, 10), random.integers(5, 10))), constant_values=1)
        size = (random.integers(6, 12) * height // 72 if barcode else height // 72, height // 72)
        block = 16 + 219 * np.kron(cells, np.ones(size))[..., None]
        x, y = random.integers(0, width - 20), random.integers(0, height - 4)
        part = picture[y : y + len(block), x : x + block.shape[1]]
        part[:] = block[: len(part), : part.shape[1]]
    return picture


def draw(random: Any, width: int = WIDTH, height: int = HEIGHT, most: int = 4) -> tuple[Any, list[Shape]]:
    """Return a picture of uint8 with up to *most* shapes, which do not touch each other, and the shapes."""
    picture = background(random, width, height)
    shapes: list[Shape] = []
    for _ in range(random.integers(0, most + 1)):
        radius = random.uniform(0.08, 0.17) * height
        x, y = random.uniform(radius, width - radius), random.uniform(radius, height - radius)
        if any(max(abs(x - other.x), abs(y - other.y)) < 1.2 * (radius + other.radius) for other in shapes):
            continue
        behind = picture[int(y), int(x)]
        color = random.uniform(0, 255, 3)
        while abs(color - behind).max() < 70:
            color = random.uniform(0, 255, 3)
        shapes.append(Shape(int(random.integers(len(KINDS))), x, y, radius))
        paint(picture, shapes[-1], color)
    picture += random.normal(0, random.uniform(0, 6), picture.shape)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8), shapes
