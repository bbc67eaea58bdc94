"""Tell each fault that this app meets, while it takes frames, runs a model and writes to the SD card, until it is ended.

Or draw, or look what another app does.
"""

import base64
import json
import sys
import time

import acap
import numpy as np

WAIT = {"timeout": 2}


def tell(kind, *values):
    print(json.dumps([kind, *values]), flush=True)


def try_all(attempts):
    """Tell what each attempt raises, or that it raises nothing, whenever that has changed, and how often it has."""
    before, changes = {}, dict.fromkeys(attempts, 0)
    while True:
        for name, attempt in attempts.items():
            try:
                attempt()
                now = "good"
            except acap.Error as error:
                now = type(error).__name__
            if before.get(name) != now:
                before[name] = now
                changes[name] += 1
                tell(name, now, changes[name])
        time.sleep(0.1)


def make_stream():
    acap.video.Stream(160, 90, "nv12", **WAIT).close()


def load_model():
    acap.inference.Model("uint8.tflite", power_timeout=0.5, restart_timeout=0.5).close()


def write_file():
    with acap.storage.Storage("SD_DISK", timeout=1) as storage:
        (storage.path / "file").write_text("1")


def read_messages():
    """Subscribe, and wait for a message. A message was there before, so that a subscription that lives on is seen."""
    global squares
    if squares is None:
        squares = acap.messages.subscribe("mdb.com.axis.analytics_scene_description.v0.beta", timeout=5)
    try:
        next(squares)
    except acap.Error:
        squares = None
        raise


squares = None


def watch_stream():
    """Tell when the stream is made again, how it is turned then, and which frames it lost."""
    with acap.video.Stream(320, 240, "nv12", framerate=10, keep="all") as stream:
        rebuilt, last = 0, None
        for frame in stream:
            if stream.rebuilt != rebuilt:
                rebuilt = stream.rebuilt
                tell("rebuilt", rebuilt, stream.given.rotation)
            elif last is not None and frame.sequence - last == 4:
                tell("dropped")
            elif last is None:
                tell("ready")
            last = frame.sequence


def watch_model():
    """Tell when the model had to be loaded again."""
    values = np.zeros((32, 32, 3), "uint8")
    with acap.inference.Model("uint8.tflite") as model:
        before = -1
        while True:
            model.run(values)
            if model.restarted != before:
                before = model.restarted
                tell("restarted", before)
            time.sleep(0.1)


def draw():
    """Draw a box, and take frames."""
    with acap.bbox.Boxes() as boxes, acap.video.Stream(320, 180, "nv12", framerate=5) as stream:
        boxes.show([(0.25, 0.25, 0.75, 0.75)], color="lime", thickness="thick")
        for number, _ in enumerate(stream):
            if number == 0:
                tell("drawn")


def look():
    """Tell how many streams there are, and what a picture of this app shows."""
    while True:
        with acap.video.Events(timeout=0) as events:
            count = sum(event.kind == "existing" for event in events)
        picture = acap.video.snapshot(320, 180, "jpeg")
        tell("look", count, base64.b64encode(picture).decode())
        time.sleep(0.5)


if sys.argv[1] == "attempts":
    try_all({"stream": make_stream, "model": load_model, "storage": write_file})
else:
    one = {"messages": lambda: try_all({"messages": read_messages})}
    {**one, "stream": watch_stream, "model": watch_model, "draw": draw, "look": look}[sys.argv[1]]()
