"""The command line's way in: parse, run, the one except, the exit code."""

from __future__ import annotations

import gc
import os
import sys

# `--version` is asked for often. typing and contextlib would take as long to import as Python takes to start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.errors import InCameraError

BUG = 70
INTERRUPTED = 130
OUTPUT_CLOSED = 141

_OBJECTS_PER_COLLECTION = 20_000


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    _open_missing_streams()
    try:
        if arguments in (["--version"], ["-V"]):
            return _print_version()
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED
    finally:
        _forget_unwritten()


def _open_missing_streams() -> None:
    """Open the null device as those standard streams that are closed: another file would get their numbers."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            if descriptor != number:
                os.dup2(descriptor, number)
                os.close(descriptor)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115


def _print_version() -> int:
    # Scripts ask for it often, so little is imported.
    from incamera import __version__  # lazy: start-up

    try:
        sys.stdout.write(f"incamera {__version__}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        return OUTPUT_CLOSED
    except OSError as error:
        from contextlib import suppress  # lazy: start-up

        from incamera.errors import StoreError

        with suppress(OSError):
            sys.stderr.write(f"error: cannot print: {error.strerror}\n")
        return StoreError.exit_code
    return 0


def _run(arguments: list[str]) -> int:
    # Imports make many objects that stay. The collector would look through them again and again.
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    from incamera.console_streams import OutputClosed  # lazy: start-up

    try:
        return _execute(arguments)
    except OutputClosed:
        return OUTPUT_CLOSED


def _execute(arguments: list[str]) -> int:
    from incamera.cli.parser import make_console, parse_arguments  # lazy: start-up
    from incamera.console_streams import OutputClosed, escaping_errors
    from incamera.errors import InCameraError

    try:
        command = parse_arguments(arguments)
    except InCameraError as error:  # help that cannot be printed
        return _report(make_console(), error)
    console = make_console(command)
    try:
        with escaping_errors():
            return int(command.execute(command, console))
    except InCameraError as error:
        return _report(console, error)
    except KeyboardInterrupt:
        console.info("interrupted; no incomplete files were kept")
        return INTERRUPTED
    except OutputClosed:
        raise
    except Exception as error:
        if isinstance(error, OSError):
            from incamera.store import explain_error  # lazy: start-up

            # The store may be damaged, full or read-only.
            if explained := _explain_missing_folder() or explain_error(error, os.environ):
                return _report(console, explained)
        console.traceback()
        console.error(
            InCameraError("this is a bug in incamera", hint="please report it with the lines above and the command")
        )
        return BUG


def _report(console: Console, error: InCameraError) -> int:
    """Print *error*. Returns its exit code, also when it cannot be printed."""
    from contextlib import suppress  # lazy: start-up

    from incamera.errors import StoreError

    with suppress(StoreError):
        console.error(error)
    return error.exit_code


def _explain_missing_folder() -> InCameraError | None:
    """Return the error that the folder of this process is gone; None when it is not."""
    try:
        os.getcwd()  # noqa: PTH109 - Path.cwd does more than ask
    except FileNotFoundError:
        from incamera.errors import ConfigError  # lazy: start-up

        return ConfigError("the current folder was removed", hint="type `cd` with a folder that exists")
    return None


def _forget_unwritten() -> None:
    """Let no text that could not be printed be tried again when the interpreter ends: it would complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
