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

with acap.storage.Storage(timeout=60) as disk:
    (disk.path / "counter.txt").write_text("1")
    told = ["storage", acap.storage.ids(), disk.kind, str(disk.path), (disk.path / "counter.txt").read_text()]
    print(json.dumps(told), flush=True)
    key = disk.path / "video.key"
    key.write_text("application_id = 7\nmin_version = 1.0\nmax_version = 1.9\nsignature = incamera\n")
    states = [acap.license.state("video", 7, version, key) for version in ("1.9", "2.0")]
    print(json.dumps(["license", acap.license.is_valid("video", 7, "1.0"), states]), flush=True)

try:
    with acap.bbox.Boxes() as boxes:
        boxes.show([(0.25, 0.75, 0.75, 0.95)], color="white", thickness="thick")
        show("boxes", acap.video.snapshot(320, 240))
except acap.NotSupported as error:
    print(json.dumps(["boxes", str(error)]), flush=True)
