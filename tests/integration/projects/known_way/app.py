"""Tells a capture, a network's outputs for it, and a picture with a box: through_acap, through_c, or both."""

import base64
import json
import sys
from pathlib import Path

import networks

SIZE = WIDTH, HEIGHT = 320, 240
BOX = (0.25, 0.2, 0.75, 0.4)


def text(data):
    return base64.b64encode(data).decode()


def through_acap(models):
    import acap

    with acap.video.Stream(*SIZE, "nv12") as stream, next(stream) as frame:
        told = {"capture": [frame.sequence, round(frame.timestamp * 1e6), frame.y.strides[0], text(frame)]}
        for path in models:
            with acap.inference.Model(path, device="cpu-tflite") as model:
                told[path.stem] = text(b"".join(bytes(output) for output in model.run(frame)))
    with acap.bbox.Boxes() as boxes:
        boxes.show([BOX], color="lime", thickness="thick")
        with acap.video.Stream(*SIZE, "h264") as stream, next(stream) as frame:
            told["box"] = text(frame)
    return told


def through_c(models):
    import through_c

    sequence, microseconds, pitch, data = through_c.capture(*SIZE)
    told = {"capture": [sequence, microseconds, pitch, text(data)], "headers": through_c.headers()}
    for path in models:
        told[path.stem] = text(through_c.infer(path, *SIZE, pitch, data))
    through_c.show_box(*BOX)
    told["box"] = text(through_c.capture(*SIZE, encoded=True)[3])
    through_c.hide_box()
    return told


if __name__ == "__main__":
    ways = {way.__name__: way for way in (through_acap, through_c)}
    models = sorted(Path(networks.__file__).parent.glob("*.tflite"))
    print(json.dumps({name: ways[name](models) for name in sys.argv[1:]}), flush=True)
