"""virtual events, send-event, params, set-param: what apps in a virtual camera tell, and what they are told."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from incamera.connect.choose import virtual_device
from incamera.connect.connection import connected
from incamera.errors import DeviceError, UsageError
from incamera.names import did_you_mean, listing
from incamera.transport.protocols import Script
from incamera.virtual.camera import list_cameras
from incamera.virtual.services import (
    EVENTS_FOLDER,
    PARAMETERS_FOLDER,
    Event,
    Parameter,
    Value,
    parse_event,
    parse_parameters,
    render_change,
    render_event,
    state_name,
)

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.transport.session import Session

_POLL_SECONDS = 0.25
_SIZE = re.compile(rb"[0-9]{1,15}")
# Every program of the camera may write to these folders, and so every account there: nothing is read or written through
# a link, and a name is taken from the name of a file alone.
# A declaration's file has the name of its process; those of the camera itself have not.
_DECLARED = Script(
    "declared",
    """
[ ! -L "$1/declared" ] && cd "$1/declared" 2>/dev/null || exit 0
for file in *; do
    [ -f "$file" ] && [ ! -L "$file" ] || continue
    case $file in camera*) ;; *) [ -d "/proc/${file%%.*}" ] || continue ;; esac
    cat "./$file" 2>/dev/null || :
done
""",
)
# $2: how many bytes of the log were read already.
_LOG = Script("log", '[ -f "$1/log" ] && [ ! -L "$1/log" ] || exit 0; wc -c <"$1/log"; tail -c "+$(($2 + 1))" "$1/log"')
# The lock of the stand-ins is that of flock, which no shell in the camera has. While there is a folder .host, they do
# not begin. When no program holds the lock, it is ours. /proc/locks has its inode, and "->" before those who wait.
_LOCK = """
lock() {
    tries=0 folder=$1
    until mkdir "$folder/.host" 2>/dev/null; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "$folder is in use" >&2; exit 1; }
        sleep 0.2
    done
    trap 'rmdir "$folder/.host"' EXIT
    [ -e "$folder/.lock" ] || return 0
    inode=$(ls -i "$folder/.lock" | { read -r number rest; echo "$number"; })
    while grep -v -e "->" /proc/locks | grep -q ":$inode "; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "$folder is in use" >&2; exit 1; }
        sleep 0.1
    done
}
"""
# $2: the file of the state, or nothing. With `set -C`, the new file must be new.
_SEND = Script(
    "send",
    _LOCK
    + """
refuse() { echo "$1 is not what events are written to" >&2; exit 1; }
require_folder() { mkdir "$1" 2>/dev/null || [ -d "$1" ] && [ ! -L "$1" ] || refuse "$1"; }
require_file() { [ ! -L "$1" ] && { [ -f "$1" ] || [ ! -e "$1" ]; } || refuse "$1"; }
umask 0
require_folder "$1"; require_folder "$1/declared"
new=$1/declared/.new$$ state=${2:+$1/declared/$2}
require_file "$1/log"; require_file "$state"
lock "$1"
set -C
cat >"$new" && cat "$new" >>"$1/log" || exit
if [ "$state" ]; then mv "$new" "$state"; else rm "$new"; fi
""",
)
# Lines of a file begin with a space.
_PARAMS = Script(
    "params",
    """
[ ! -L "$1" ] && cd "$1" 2>/dev/null || exit 0
for file in *; do
    case $file in *[!A-Za-z0-9_.-]*) continue ;; esac
    if [ -f "$file" ] && [ ! -L "$file" ]; then echo "== $file"; sed "s/^/ /" "./$file"; echo; fi
done
""",
)
# Its input has lines such as `Interval="5"`: what else is in the file stays, also what an app has changed just now.
_SET = Script(
    "set",
    _LOCK
    + """
[ -f "$1/$2" ] && [ ! -L "$1/$2" ] || { echo "$2 is no file of parameters" >&2; exit 1; }
lock "$1"
set -C; new=$1/.new$$
awk '
    { name = tolower($0); sub(/=.*/, "", name) }
    NR == FNR { changed[name] = $0; next }
    name in changed { type = $0; sub(/^[^=]*="[^"]*"/, "", type); print changed[name] type; delete changed[name]; next }
    { print }
    END { for (name in changed) exit 3 }
' - "$1/$2" >"$new" && sync && mv "$new" "$1/$2" && exit
rm -f "$new"; echo "a parameter of $2 is no longer there" >&2; exit 1
""",
)


@contextmanager
def open_virtual(context: Context, name: str | None) -> Iterator[tuple[str, Session]]:
    """Connect to the virtual camera *name*, or to the only one that runs. Yields its name and the session.

    Raises UsageError when it does not run, and when several run and none is named.
    """
    running = {camera.name: camera for camera in list_cameras(context.store)}
    if name is None and len(running) > 1:
        raise UsageError(
            f"several virtual cameras are running: {', '.join(running)}", hint="name one with --device NAME"
        )
    if name is None and not running:
        raise DeviceError("no virtual camera is running", hint="start one with `incamera virtual start`")
    chosen = name or next(iter(running))
    if chosen not in running:
        hint = did_you_mean(chosen, running) or "`incamera virtual list` shows those that run"
        raise UsageError(f"no virtual camera called {chosen} is running", hint=hint)
    with connected(context, virtual_device(running[chosen])) as connection:
        yield chosen, connection.session


def run_script(session: Session, script: Script, *words: str, input: bytes = b"") -> str:
    """Return what *script* prints in the camera. Raises DeviceError when it fails."""
    result = session.run(script.program(*words), input=input)
    if result.exit_code:
        raise DeviceError(f"{session.device}: {result.error_text or 'a script failed'}", hint="try again")
    return result.text


def read_declared(session: Session) -> list[Event]:
    """Return the declared events, with the present values of states."""
    lines = run_script(session, _DECLARED, EVENTS_FOLDER).splitlines()
    return sorted((event for event in map(parse_event, lines) if event), key=lambda event: event.topic)


def follow_events(session: Session) -> Iterator[Event]:
    """Yield the events that are sent from now on, without end."""
    seen, _ = _read_log(session, 1 << 40)
    while True:
        size, text = _read_log(session, seen)
        if size < seen:  # a new log was begun
            seen = 0
            continue
        whole, newline, _ = text.rpartition(b"\n")
        seen += len(whole + newline)
        lines = whole.decode("utf-8", "replace").split("\n")
        yield from (event for event in map(parse_event, lines) if event)
        time.sleep(_POLL_SECONDS)


def _read_log(session: Session, seen: int) -> tuple[int, bytes]:
    result = session.run(_LOG.program(EVENTS_FOLDER, str(seen)))
    size, _, text = result.stdout.partition(b"\n")
    return int(size) if _SIZE.fullmatch(size.strip()) else 0, text


def send_event(session: Session, topic: str, data: Mapping[str, Value], *, is_state: bool) -> Event:
    """Send an event of the camera; as a state, it also is the present value for who subscribes later. Returns it."""
    line = render_event(topic, data, time=time.time(), is_state=is_state)
    run_script(session, _SEND, EVENTS_FOLDER, state_name(topic, data) if is_state else "", input=line.encode())
    event = parse_event(line)
    assert event is not None
    return event


def read_parameters(session: Session) -> list[Parameter]:
    """Return the parameters of all apps."""
    return parse_all_parameters(run_script(session, _PARAMS, PARAMETERS_FOLDER))


def parse_all_parameters(text: str) -> list[Parameter]:
    """Return the parameters in what `_PARAMS` prints."""
    found: list[Parameter] = []
    app = ""
    for line in text.split("\n"):
        if line.startswith("== "):
            app = line[3:]
        else:
            found += parse_parameters(app, line[1:])
    return found


def set_parameters(session: Session, changes: Sequence[str]) -> list[Parameter]:
    """Set parameters: *changes* are `APP.NAME=VALUE`. Apps that run are told. Returns all parameters of these apps.

    Raises UsageError for a parameter that no app has.
    """
    known = read_parameters(session)
    lines: dict[str, list[str]] = {}
    for change in changes:
        name, equals, value = change.partition("=")
        app, dot, short = name.removeprefix("root.").partition(".")
        if not equals or not dot:
            raise UsageError(f'"{change}" sets nothing', hint="write APP.NAME=VALUE")
        wanted = (app.lower(), short.lower())
        at = next((n for n, one in enumerate(known) if (one.app.lower(), one.name.lower()) == wanted), None)
        if at is None:
            names = [f"{one.app}.{one.name}" for one in known]
            hint = did_you_mean(name, names) or (listing("there are", names) if names else "an app adds its own")
            raise UsageError(f"there is no parameter {name}", hint=hint)
        known[at] = replace(known[at], value=value)
        lines.setdefault(known[at].app, []).append(render_change(known[at]))
    for app, changed in lines.items():
        run_script(session, _SET, PARAMETERS_FOLDER, app, input="".join(changed).encode())
    return [one for one in known if one.app in lines]
