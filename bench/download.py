"""Only download: the addresses on standard input, one a line, to files in FOLDER. What `build.py` compares with."""

from __future__ import annotations

import argparse
import http.client
import queue
import shutil
import sys
import threading
from pathlib import Path
from urllib.parse import urlsplit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--connections", type=int, default=8)
    arguments = parser.parse_args()
    work: queue.SimpleQueue[tuple[int, str]] = queue.SimpleQueue()
    for number, url in enumerate(sys.stdin.read().split()):
        work.put((number, url))
    failed: list[str] = []

    def serve() -> None:
        connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        while not failed:
            try:
                number, url = work.get_nowait()
            except queue.Empty:
                return
            parts = urlsplit(url)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            try:
                connection = connections.setdefault((parts.scheme, parts.netloc), kind(parts.netloc, timeout=60))
                connection.request("GET", parts.path, headers={"User-Agent": "incamera"})
                response = connection.getresponse()
                with (arguments.folder / str(number)).open("wb") as output:
                    shutil.copyfileobj(response, output, 256 * 1024)
            except (OSError, http.client.HTTPException) as error:
                failed.append(f"{url}: {error}")
                return
            if response.status != 200:
                failed.append(f"{url}: {response.status}")

    threads = [threading.Thread(target=serve) for _ in range(arguments.connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print("\n".join(failed), end="", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
