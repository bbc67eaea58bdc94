"""Draws a green rectangle over the video, and prints pictures of encoded streams."""

import base64
import json

import acap

WIDTH, HEIGHT = 64, 32


def rectangle(*color):
    return memoryview(bytes(color) * (WIDTH * HEIGHT)).cast("B", (HEIGHT, WIDTH, 4))


def tell(kind, *values):
    print(json.dumps([kind, *values]), flush=True)


with acap.overlay.Overlay(WIDTH, HEIGHT, position="bottom-right", margin=8) as overlay:
    overlay.draw(rectangle(0, 255, 0, 255))
    for kind in ("jpeg", "h264"):
        with acap.video.Stream(320, 240, kind, framerate=10) as stream:
            encoded = []
            for frame in stream:
                encoded.append(base64.b64encode(frame).decode())
                if overlay.streams and len(encoded) > 5:
                    break
            tell(kind, encoded)
    with acap.video.Stream(320, 240, "jpeg", framerate=10) as stream:
        while not overlay.streams:
            stream.fresh()
        overlay.clear()
        for _ in range(5):
            frame = stream.fresh()
        tell("cleared", [base64.b64encode(frame).decode()])
