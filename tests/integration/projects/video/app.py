import base64
import json

import acap
import numpy as np


def show(kind, frame):
    told = [kind, frame.sequence, round(frame.timestamp * 1e6), base64.b64encode(frame).decode()]
    print(json.dumps(told), flush=True)


with acap.video.Stream(320, 240, "nv12", framerate=2) as stream:
    for frame in stream:
        y = np.asarray(frame.y)
        microseconds = round(frame.timestamp * 1e6)
        told = ["nv12", frame.sequence, microseconds, float(y.mean()), list(y.strides), stream.pitch]
        print(json.dumps(told), flush=True)
        if frame.sequence >= 2:
            break

with acap.video.Stream(320, 240, "h264", framerate=5) as stream:
    for frame in stream:
        show("h264", frame)
        if frame.sequence >= 2:
            break

show("jpeg", acap.video.snapshot(320, 240))
try:
    acap.video.Stream(320, 240, "av1")
except ValueError as error:
    print(json.dumps(["refused", str(error)]), flush=True)
