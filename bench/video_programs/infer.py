"""What infer.c does, with acap."""

from __future__ import annotations

import json
import sys
import time

import acap


def main(frames: int, path: str) -> None:
    busy = 0.0
    with (
        acap.inference.Model(path, device="cpu-tflite") as model,
        acap.video.Stream(320, 240, "nv12", framerate=20000, buffers=3) as stream,
    ):
        for number in range(-10, frames):
            frame = next(stream)
            if number == 0:
                busy = 0.0
            start = time.process_time()
            model.run(frame)
            busy += time.process_time() - start
            frame.release()
    print(json.dumps([busy / frames * 1e6]))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
