"""Byte-compiles modules for the target's Python, on the host, with an interpreter of the same minor version.

The `.pyc` files are *unchecked* hash-based ones (PEP 552). Python does not read the source's time at import, which
would cost a round trip for each module on a network share. And equal sources give equal bytes.

Of the standard library, only the byte-code is kept: its sources take 9 MB, and only a debugger reads them.
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

# Files in a batch. Smaller batches spread the work more evenly, larger ones have less overhead.
_BATCH = 32


class ByteCompiler:
    """Compiles the submitted files in worker processes. `byte_compiler` makes it."""

    def __init__(self, workers: Sequence[subprocess.Popen[bytes]]) -> None:
        self._workers = workers
        self._lock = Lock()
        self._count = 0

    def submit(
        self,
        tree: Path,
        files: Iterable[str],
        *,
        keep_source: Callable[[str], bool] = lambda _: True,
        small: bool = False,
    ) -> None:
        """Let the workers compile *files* of *tree*. Several threads may call this.

        *keep_source* says whether a file's source is kept. With *small*, the sources are kept, and the byte-code has no
        docstrings and no assertions. Raises BuildError when a worker has failed.

        The bytes of a file's byte-code may depend on the files before it in the same call. So for equal bytes, pass
        equal files in equal order. The order of the calls does not matter.
        """
        requests = [
            (
                b"small" if small else b"keep" if keep_source(file) else b"drop",
                os.fsencode(file),
                os.fsencode(tree / file),
            )
            for file in files
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
        """Wait until all files are compiled. Raises BuildError when a worker has failed."""
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
    """Start worker processes. At the end of the block, all submitted files are compiled. Raises BuildError.

    *interpreter* is the command that starts a Python of the target's minor version on this host. *workers* is the
    number of processes; None for the number of processors, four at most.
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
    text = worker.stderr.read().decode("utf-8", "replace").strip()
    return BuildError(
        f"byte-compiling failed: {text or 'its Python ended without a message'}",
        hint="a program of the store may be damaged: `incamera store verify` removes it, and it is fetched again",
    )
