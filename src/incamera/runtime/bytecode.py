"""Byte-code for the target's Python, made on the host by an interpreter of the same minor version.

The `.pyc` files are of the *unchecked* kind (PEP 552): the camera never looks at the source's time, which on a network
share would be a round trip for each module, and equal sources give equal bytes.

The standard library keeps its byte-code alone: its sources are 9 MB that only a debugger would read.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import resources
from pathlib import Path
from threading import Lock

from incamera import proc
from incamera.errors import BuildError

# Files that a compiler takes at a time: few enough to share the work well, enough to make light of what a batch costs.
_BATCH = 32


class ByteCompiler:
    """Compiles files as they come, on every core, until the block of `byte_compiler` is left."""

    def __init__(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        self._workers = workers
        self._lock = Lock()
        self._count = 0

    def submit(self, tree: Path, files: Iterable[str], *, keep_source: Callable[[str], bool] = lambda _: True) -> None:
        """Have *files* of *tree* compiled. Safe to call from several threads.

        Their bytes may depend on the files before them in the same call, so the same files are to be given in the same
        order; that of the calls doesn't matter.
        """
        requests = [
            (b"keep" if keep_source(file) else b"drop", os.fsencode(file), os.fsencode(tree / file)) for file in files
        ]
        for start in range(0, len(requests), _BATCH):
            batch = requests[start : start + _BATCH]
            self._send(
                b"".join(word + b"\0" for word in (b"%d" % len(batch), *(w for request in batch for w in request)))
            )

    def _send(self, request: bytes) -> None:
        with self._lock:
            worker = self._workers[self._count % len(self._workers)]
            self._count += 1
            assert worker.stdin is not None
            try:
                worker.stdin.write(request)
            except BrokenPipeError:
                raise _failed(worker) from None

    def finish(self) -> None:
        for worker in self._workers:
            assert worker.stdin is not None
            try:
                worker.stdin.close()
            except BrokenPipeError:
                raise _failed(worker) from None
        for worker in self._workers:
            if worker.wait() != 0:
                raise _failed(worker)


@contextmanager
def byte_compiler(
    interpreter: Sequence[str | os.PathLike[str]], environment: Mapping[str, str], workers: int | None = None
) -> Iterator[ByteCompiler]:
    """Start compilers; on leaving the block, all that was submitted has been compiled. Raises BuildError.

    *interpreter* is the command that starts a Python of the target's minor version on this host.
    """
    script = resources.files("incamera.runtime").joinpath("data/compile_worker.py").read_text("utf-8")
    with ExitStack() as stack:
        children = [
            stack.enter_context(
                proc.running(
                    [*interpreter, "-P", "-S", "-s", "-c", script],
                    purpose="byte-compile",
                    env={**environment, "PYTHONHASHSEED": "0"},
                    stdin=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                )
            )
            for _ in range(workers or min(4, os.cpu_count() or 1))
        ]
        compiler = ByteCompiler(children)
        yield compiler
        compiler.finish()


def _failed(worker: subprocess.Popen[bytes]) -> BuildError:
    assert worker.stderr is not None
    return BuildError(f"byte-compiling failed: {worker.stderr.read().decode('utf-8', 'replace').strip()}")
