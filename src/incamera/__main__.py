"""The command line's way in: parse, run, the one except, the exit code."""

from __future__ import annotations

import gc
import os
import sys

BUG = 70
INTERRUPTED = 130
OUTPUT_CLOSED = 141

_OBJECTS_PER_COLLECTION = 20_000


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        # Before anything is imported: scripts ask for it often.
        from incamera import __version__  # lazy: start-up

        sys.stdout.write(f"incamera {__version__}\n")
        return 0
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(arguments: list[str]) -> int:
    # Imports make many objects that stay. The collector would look through them again and again.
    gc.set_threshold(_OBJECTS_PER_COLLECTION)
    from incamera.cli.parser import make_console, parse_arguments  # lazy: start-up
    from incamera.console_streams import OutputClosed, escaping_errors
    from incamera.errors import InCameraError

    command = parse_arguments(arguments)
    console = make_console(command)
    try:
        try:
            with escaping_errors():
                return int(command.execute(command, console))
        except InCameraError as error:
            console.error(error)
            return error.exit_code
        except KeyboardInterrupt:
            console.info("interrupted; no incomplete files were kept")
            return INTERRUPTED
        except OutputClosed:
            raise
        except Exception as error:
            if isinstance(error, OSError):
                from incamera.store import explain_error  # lazy: start-up

                # The store may be damaged, full or read-only.
                if explained := explain_error(error, os.environ):
                    console.error(explained)
                    return explained.exit_code
            console.traceback()
            console.error(
                InCameraError("this is a bug in incamera", hint="please report it with the lines above and the command")
            )
            return BUG
    except OutputClosed:
        return OUTPUT_CLOSED
    finally:
        _forget_unwritten()


def _forget_unwritten() -> None:
    """Let no text that could not be printed be tried again when the interpreter ends: it would complain."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


if __name__ == "__main__":
    sys.exit(main())
