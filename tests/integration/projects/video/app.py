import json

import acap
import numpy as np

with acap.video.Stream(320, 240, "nv12", framerate=2) as stream:
    for frame in stream:
        y = np.asarray(frame.y)
        microseconds = round(frame.timestamp * 1e6)
        print(json.dumps([frame.sequence, microseconds, float(y.mean()), list(y.strides), stream.pitch]), flush=True)
        if frame.sequence >= 2:
            break
