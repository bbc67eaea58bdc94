"""Limits of builds: what takes all memory, fills the disk, starts endless processes or never ends is stopped.

An ordinary user has no control groups, and the kernel's own limits hold for one process each. So a build is watched:
ten times a second, what its processes use is added up. The kernel's limits are set where they do no harm: for the size
of a file, and for the number of processes. They are not set for memory, since compilers, zig and emulators reserve far
more addresses than they use. Where memory runs out all the same, the kernel ends the build before anything else.
"""

from __future__ import annotations

import os
import resource
import selectors
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from incamera import proc
from incamera.errors import ToolFailed
from incamera.toolchain.build_log import BuildLog
from incamera.toolchain.limit_watch import POLL_SECONDS, LimitWatch, Reached
from incamera.toolchain.process_tree import end_tree

if TYPE_CHECKING:
    from incamera.toolchain.limits import Limits

# How far the number of processes for the kernel lies above ours, so that we notice first.
_MARGIN = 1.25
_CHUNK = 1 << 16


class LimitReached(ToolFailed):
    """A build was ended because it took more than it may."""


def run_limited(
    argv: Sequence[str],
    *,
    purpose: str,
    env: Mapping[str, str],
    folders: tuple[Path, Path],
    log: Path,
    limits: Limits,
    hint: str | None = None,
) -> None:
    """Run a build's command *argv* to its end, and write what it prints to *log*, of which the middle may be left out.

    *folders*: where it runs, and the one that it may fill. Raises ToolFailed when it fails, LimitReached when it
    reaches one of *limits*: no process of it is left then.
    """
    cwd, folder = folders
    with (
        BuildLog(log, argv) as output,
        proc.running(
            argv, purpose=purpose, env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as child,
    ):
        _limit(child.pid, limits)
        watch = LimitWatch(child.pid, folder, limits)
        try:
            reached = _follow(child, output, watch)
        except BaseException:
            end_tree(child.pid)
            raise
        if reached is not None:
            end_tree(child.pid)
            raise LimitReached(f"cannot {purpose}: {reached.what}", hint=reached.hint)
        if child.returncode == 0:
            return
        if reached := watch.check_largest_file():
            raise LimitReached(f"cannot {purpose}: {reached.what}", hint=reached.hint)
        raise proc.failure(purpose, str(argv[0]), child.returncode, hint=hint, output=output.end())


def _limit(pid: int, limits: Limits) -> None:
    """Set the kernel's limits for the process *pid*, which passes them on to those that it starts."""
    wanted = {
        resource.RLIMIT_FSIZE: limits.disk,
        resource.RLIMIT_CORE: 0,
        # The kernel counts all processes of the user; since Linux 5.14, in a user namespace those in there.
        resource.RLIMIT_NPROC: _count_own_tasks() + int(limits.tasks * _MARGIN),
    }
    for name, value in wanted.items():
        with suppress(OSError, ValueError):  # it has ended already
            _, hard = resource.prlimit(pid, name)
            least = value if hard == resource.RLIM_INFINITY else min(value, hard)
            resource.prlimit(pid, name, (least, least))
    with suppress(OSError):
        Path(f"/proc/{pid}/oom_score_adj").write_text("1000")


def _count_own_tasks() -> int:
    count, own = 0, os.getuid()
    for entry in os.scandir("/proc"):
        with suppress(OSError):
            if entry.name.isdigit() and entry.stat().st_uid == own:
                count += len(os.listdir(f"/proc/{entry.name}/task"))  # noqa: PTH208
    return count


def _follow(child: subprocess.Popen[bytes], output: BuildLog, watch: LimitWatch) -> Reached | None:
    """Read what *child* prints until it has ended. Returns which limit it has reached before."""
    assert child.stdout is not None
    descriptor = child.stdout.fileno()
    os.set_blocking(descriptor, False)
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        is_open = True
        while True:
            has_ended = child.poll() is not None
            if is_open and selector.select(0 if has_ended else POLL_SECONDS):
                data = os.read(descriptor, _CHUNK)
                output.write(data)
                is_open = bool(data)
            elif has_ended:  # a process that it has left behind may hold its output open
                return None
            elif not is_open:
                with suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_SECONDS)
            if reached := watch.check(output.size):
                return reached
