import base64
import json

import acap
import numpy as np


def tell(kind, *what):
    print(json.dumps([kind, *what]), flush=True)


with acap.video.Stream(320, 180, "rgb", framerate=5, timeout=60) as stream:
    for frame in stream:
        pixel = np.asarray(frame.rgb)[20, 40]
        tell("rgb", round(frame.timestamp * 1e6), pixel.tolist())
        if frame.sequence >= 12:
            break

# Turned clockwise: what was at the left is at the top.
with acap.video.Stream(180, 320, "nv12", framerate=5, rotation=90, timeout=60) as stream:
    for frame in stream:
        column = np.asarray(frame.y)[:, 90]
        tell("turned", round(frame.timestamp * 1e6), [int(column[10]), int(column[310])])
        break

picture = acap.video.snapshot(320, 180)
tell("jpeg", round(picture.timestamp * 1e6), base64.b64encode(picture).decode())
