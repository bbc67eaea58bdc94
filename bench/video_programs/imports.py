# /// script
# dependencies = ["acap", "numpy"]
# ///
"""Print what imports cost in the processor's milliseconds: [[name, before, after], ...], the least of several forks.

The first import of a pair is what the second one is compared with: numpy for acap.video, nothing for acap.events.
"""

import itertools
import json
import os
import sys
import time

PAIRS = (
    ("video", "import numpy", "import acap.video, acap._video as v; v.open_library()"),
    ("events", "pass", "import acap.events, acap._events"),
)


def cost(base: str, code: str) -> list[float]:
    """Return the milliseconds of both in a fork, which has imported neither."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        times = [time.process_time()]
        for part in (base, code):
            exec(part, {})
            times.append(time.process_time())
        os.write(writer, json.dumps([1000 * (b - a) for a, b in itertools.pairwise(times)]).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as told:
        text = told.read()
    os.wait()
    return list(json.loads(text))


rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 5
found = []
for name, base, code in PAIRS:
    costs = [cost(base, code) for _ in range(rounds)]
    found.append([name, *(min(column) for column in zip(*costs, strict=False))])
print(json.dumps(found))
