"""An app that prints all that it can see of how it was started, and what its children see."""

from __future__ import annotations

TELL = """\
import atexit, json, multiprocessing, os, resource, signal, sys, threading

def is_open(number):
    try:
        os.fstat(number)
    except OSError:
        return False
    return True

def child(queue):
    queue.put([sys.argv, __name__, os.getcwd(), sys.path])

def ask_children():
    told = {}
    for method in ("fork", "spawn", "forkserver"):
        context = multiprocessing.get_context(method)
        queue = context.Queue()
        process = context.Process(target=child, args=(queue,))
        process.start()
        told[method] = queue.get(timeout=60)
        process.join()
        told[method].append(process.exitcode)
    return told

def tell():
    return {
        "argv": sys.argv,
        "environment": dict(sorted(os.environ.items())),
        "folder": os.getcwd(),
        "file": __file__,
        "main": [__name__, __spec__ and __spec__.name, __doc__, sorted(vars(sys.modules["__main__"]))[:6]],
        "path": sys.path,
        "flags": str(sys.flags),
        "executable": [sys.executable, sys.prefix, sys.orig_argv],
        # Those of incamera have numbers from 200 on.
        "descriptors": {number: os.get_inheritable(number) for number in range(200) if is_open(number)},
        "terminal": [os.isatty(number) for number in range(3)],
        "streams": [str((s.name, s.mode, s.encoding, s.errors, s.line_buffering, s.write_through))
                    for s in (sys.stdin, sys.stdout, sys.stderr)],
        "signals": {int(number): str(signal.getsignal(number)) for number in signal.valid_signals()},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "limits": {name: resource.getrlimit(getattr(resource, name))
                   for name in dir(resource) if name.startswith("RLIMIT_")},
        "priority": [os.nice(0), os.sched_getscheduler(0), sorted(os.sched_getaffinity(0))],
        "umask": os.umask(0o022),
        "user": [os.getresuid(), os.getresgid(), os.getgroups()],
        "leader": [os.getpid() == os.getsid(0), os.getpid() == os.getpgrp()],
        "threads": [thread.name for thread in threading.enumerate()],
        "thread": threading.current_thread() is threading.main_thread(),
    }

if __name__ == "__main__":
    atexit.register(lambda: print("exit functions run"))
    print(json.dumps({**tell(), "children": ask_children()}))
"""
