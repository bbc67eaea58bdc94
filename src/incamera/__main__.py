"""The command line's way in: parse, run, the one except, the exit code."""

from __future__ import annotations

import sys

BUG = 70
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments in (["--version"], ["-V"]):
        # Before anything is imported: scripts ask for it often.
        from incamera import __version__

        sys.stdout.write(f"incamera {__version__}\n")
        return 0

    from incamera.cli.parser import make_console, parse_arguments
    from incamera.errors import InCameraError

    command = parse_arguments(arguments)
    console = make_console(command)
    try:
        return int(command.execute(command, console))
    except InCameraError as error:
        console.error(error)
        return error.exit_code
    except KeyboardInterrupt:
        console.info("interrupted; nothing half-made was kept")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left, as `| head` does.
        sys.stderr.close()
        return 0
    except Exception:
        import traceback

        traceback.print_exc()
        console.error(
            InCameraError("this is a bug in incamera", hint="please report it with the lines above and the command")
        )
        return BUG


if __name__ == "__main__":
    sys.exit(main())
