"""Lines in a picture of RGB bytes, as the virtual camera draws them."""

from __future__ import annotations

Point = tuple[float, float]
THICKNESS = {"thin": 2, "medium": 4, "thick": 8}


class Canvas:
    """A picture that is drawn on: rows of RGB, without padding."""

    def __init__(self, width: int, height: int, data: bytes) -> None:
        self.width, self.height = width, height
        self.data = bytearray(data)

    def line(self, start: Point, end: Point, rgba: tuple[int, int, int, int], thickness: int) -> None:
        """Draw from *start* to *end*, in pixels. What is outside is left out."""
        inside = _cut(start, end, self.width - 1, self.height - 1)
        if inside is None:
            return
        (x1, y1), (x2, y2) = inside
        across, down = abs(x2 - x1), abs(y2 - y1)
        steps = round(max(across, down))
        # A line that leans to the right is as thick from top to bottom; the other kind, from left to right.
        for step in range(steps + 1):
            part = step / steps if steps else 0.0
            x, y = round(x1 + part * (x2 - x1)), round(y1 + part * (y2 - y1))
            for n in range(-(thickness // 2), thickness - thickness // 2):
                if across > down:
                    self._pixel(x, y + n, rgba)
                else:
                    self._pixel(x + n, y, rgba)

    def _pixel(self, x: int, y: int, rgba: tuple[int, int, int, int]) -> None:
        if not (0 <= x < self.width and 0 <= y < self.height):
            return
        at, alpha = 3 * (y * self.width + x), rgba[3]
        for n in range(3):
            self.data[at + n] = (self.data[at + n] * (255 - alpha) + rgba[n] * alpha) // 255


def _cut(start: Point, end: Point, right: float, bottom: float) -> tuple[Point, Point] | None:
    """Return the part of a line that is inside, or None."""
    first, last = 0.0, 1.0
    for origin, target, limit in ((start[0], end[0], right), (start[1], end[1], bottom)):
        step = target - origin
        if step == 0:
            if not 0 <= origin <= limit:
                return None
            continue
        one, other = sorted((-origin / step, (limit - origin) / step))
        first, last = max(first, one), min(last, other)
    if first > last:
        return None
    across, down = end[0] - start[0], end[1] - start[1]
    return (
        (start[0] + first * across, start[1] + first * down),
        (start[0] + last * across, start[1] + last * down),
    )
