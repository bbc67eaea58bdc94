# /// script
# dependencies = ["acap"]
# ///
"""Show a box for each frame, left and right in turn, and print [from capture to the picture, its time, the picture].

Seconds; the picture is the first one that was taken after the box was shown, as JPEG in base64.
"""

import base64
import json
import sys
import time

import acap

count, rate = int(sys.argv[1]), float(sys.argv[2])
with (
    acap.bbox.Boxes() as boxes,
    acap.video.Stream(640, 360, "nv12", framerate=rate) as stream,
    acap.video.Stream(640, 360, "jpeg", framerate=rate) as viewer,
):
    told = []
    for number in range(count):
        frame = next(stream)
        left = 0.1 + 0.5 * (number % 2)
        boxes.show([(left, 0.2, left + 0.3, 0.4)], color="lime", thickness="thick")
        picture = bytes(next(viewer))
        now = time.monotonic()
        told.append([now - frame.timestamp, now, base64.b64encode(picture).decode()])
print(json.dumps(told))
