"""Run a model that needs LiteRT: once, or until a line of input ends the loop. Tell what comes of it."""

import base64
import json
import sys
import time

import acap
import numpy as np

GAINS = np.arange(4, dtype="float32").reshape(1, 1, 1, 4)
PICTURE = np.linspace(-1, 1, 768, dtype="float32").reshape(1, 16, 16, 3)


def tell(*values):
    print(json.dumps(values), flush=True)


def run(model):
    return [base64.b64encode(np.asarray(output).tobytes()).decode() for output in model.run(GAINS, PICTURE)]


def once():
    try:
        with acap.inference.Model("hostile.tflite") as model:
            model.run(*(np.zeros(tensor.shape, "float32") for tensor in model.inputs))
    except acap.Error as error:
        tell("hostile", type(error).__name__, str(error))
    with acap.inference.Model("real.tflite", "cpu-tflite") as model:
        tell("outputs", *run(model))


def loop():
    """Tell each change: the outputs, or an error."""
    before = None
    with acap.inference.Model("real.tflite", "cpu-tflite") as model:
        while True:
            try:
                now = ["outputs", *run(model)]
            except acap.Error as error:
                now = [type(error).__name__]
            if now != before:
                tell(*now)
            before = now
            time.sleep(0.02)


{"once": once, "loop": loop}[sys.argv[1]]()
