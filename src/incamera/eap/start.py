"""The program of a package that is named as the app: a script that starts the bundle's Python in its place."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from incamera.runtime.launcher.protocol import DATA_VARIABLE
from incamera.runtime.layout import APP

BUNDLE = "bundle"
"""The folder of a package with the bundle. Not `lib`: cameras may search that for libraries of their own programs."""

# `exec`, so that the camera's supervisor sees Python itself: it gets the signals, and its exit code counts.
_SCRIPT = """\
#!/bin/sh
# Starts {name} with the Python of this package. Written by incamera.
case $0 in
*/*) cd -P -- "${{0%/*}}" || exit 127 ;;
esac
here=$PWD
# What the app writes into its own folder would be lost with the next version; a camera keeps this one.
: "${{{data}:=$here/localdata}}"
export {data}
# The system log takes each line as it is printed. Byte-code is in the package; none is written to the flash memory.
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
cd "$here/{app}" || exit 127
exec "$here/{python}" {arguments} "$@"
"""


def dump_start_script(name: str, arguments: Sequence[str]) -> bytes:
    """Return the script that starts the app *name*: the bundle's Python with *arguments*, and those it gets itself."""
    script = _SCRIPT.format(
        name=name,
        data=DATA_VARIABLE,
        app=f"{BUNDLE}/{APP}",
        python=f"{BUNDLE}/bin/python3",
        arguments=shlex.join(arguments),
    )
    return script.encode()
