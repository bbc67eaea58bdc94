import base64
import json

import acap
import numpy as np


def text(values):
    return base64.b64encode(np.ascontiguousarray(values)).decode()


with acap.video.Stream(160, 90, "nv12", framerate=2) as stream:
    frame = next(stream)
    found = {"device": [], "y": text(frame.y), "uv": text(frame.uv)}
    for name in ("uint8", "int8"):
        with acap.inference.Model(f"{name}.tflite") as model:
            found["device"].append(model.device)
            for fit in ("scale", "crop"):
                found[f"{name} {fit}"] = [text(output) for output in model.run(frame, fit=fit)]
print(json.dumps(found), flush=True)
