"""Ask a device what it is and has: one shell script, one round trip, only tools that busybox has."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.device.facts import PLACES, DeviceFacts, DeviceLibrary, Place, parse_facts
from incamera.disk import write_cache
from incamera.errors import DeviceError
from incamera.guard.places import CHOOSE_FOLDER, FOLDER, NOT_STICKY, OWN_FUNCTIONS
from incamera.runtime.launcher.protocol import OWN_SUFFIX
from incamera.targets.form import Kind
from incamera.transport.protocols import Script

if TYPE_CHECKING:
    from incamera.transport.session import Session

_TOOLS = ("tar", "gzip", "mount", "systemctl", "journalctl", "python3", "sftp-server", "rsync", "gdbserver", "strace")

# Cards and shares are mounted below it. Their folders are there without them, too.
_MOUNTED_ROOT = "/var/spool/storage/"

_SHARE = next(path for path, kind in PLACES.items() if kind is Kind.share)

# $1: the `boot` that is known already, $2: places that do not answer, $3...: the others. Sections begin with "== NAME".
# Free space is asked for each time. The rest cannot change before the next start, except for mounts: they are compared.
_PROBE = Script(
    "probe",
    OWN_FUNCTIONS
    + CHOOSE_FOLDER
    + r"""
known=$1; silent=$2; shift 2
boot=; read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id
echo "== boot"; echo "$boot"
u=$(id -un 2>/dev/null) || u=$(id -u); uid=$(id -u)
echo "== user"; echo "$u"
echo "== memory"; grep -E '^(MemTotal|MemAvailable|MemFree):' /proc/meminfo
mounts=$(cat /proc/mounts)
echo "== mounts"; echo "$mounts"
# The server of a share may be gone, or a card pulled. That can hold `df` for minutes, and often no signal ends it then.
# So it runs in the background, and is left there when it has not answered in time.
patient_df() {
  place=/tmp
  not_sticky && { df -kP "$1"; return; }
  own=/tmp/.incamera-probe-$$-df
  { (umask 077; mkdir "$own") && mkfifo "$own/answer"; } 2>/dev/null || { df -kP "$1"; return; }
  { df -kP "$1" >"$own/said"; echo said >"$own/answer"; } </dev/null >/dev/null 2>&1 & asked=$!
  { trap 'kill "$pause"; exit' TERM; sleep 4 & pause=$!; wait; echo late >"$own/answer"; } </dev/null >/dev/null 2>&1 &
  alarm=$!
  read -r answer <"$own/answer"
  kill "$asked" "$alarm"
  cat "$own/said"
  rm -rf "$own"
  [ "$answer" = said ] || return 124
}
newline="
"
echo "== space"
places=; for p in "$@" "$HOME"; do
  # For a folder that no mount of its own holds, `df` looks at every mount: not where one is known not to answer.
  told=$([ -z "$silent" ] && case "$p $mounts" in
    MOUNTED*" $p "*) patient_df "$p" ;;
    *) df -kP "$p" ;;
  esac 2>/dev/null)
  [ $? = 124 ] && { silent="$silent $p"; continue; }
  [ -d "$p" ] || continue
  places="$places $p"
  # Without a pipe: each process that a slow camera need not start counts.
  read -r a b c d e f <<LAST
${told##*"$newline"}
LAST
  case $d in
    ''|*[!0-9]*) d=-; set -- $(stat -f -c '%a %S' "$p" 2>/dev/null); [ $# = 2 ] && d=$(($1 * $2 / 1024)); f=- ;;
  esac
  echo "$p $d $f"
done
echo "== silent"; for p in $silent; do echo "$p"; done
echo "== share"; s=SHARE/.incamera-share; case " $silent " in *" SHARE "*) ;; *) [ -f $s ] && cat $s ;; esac
echo "== folders"; chosen=
for place in $places; do f=$(choose_folder); echo "$place $f"; chosen="$chosen $place/${f%% *}"; done
echo "== apps"
for f in $chosen; do for a in "$f"/*/current; do [ -e "$a" ] && echo "${f%/*} $a"; done; done
[ -n "$boot" ] && [ "$boot" = "$known" ] && { echo "== same"; exit 0; }
echo "== machine"; uname -m; uname -r; uname -n; echo "$u"
echo "== system"; cat /etc/os-release 2>/dev/null
echo "== tools"; for t in TOOLS; do command -v "$t" >/dev/null 2>&1 && echo "$t"; done
echo "== trials"
for p in $places; do
  place=$p
  not_sticky && { echo "$p read"; continue; }  # another user could put a program in place of the trial
  # A new folder of our own: in /tmp, others could have put a folder or a link there. A link is removed, and nothing
  # below it: whoever can guess at our process's number could have others' files removed.
  rm -f "$p/.incamera-probe-$$" 2>/dev/null
  d=$(umask 077; mktemp -d "$p/.incamera-probe-XXXXXX" 2>/dev/null) || d=
  [ "$d" ] || { (umask 077; mkdir "$p/.incamera-probe-$$") 2>/dev/null && d=$p/.incamera-probe-$$; }
  t=$d/try
  if [ "$d" ] && printf '#!/bin/sh\nexit 42\n' 2>/dev/null > "$t"; then
    chmod 700 "$t"; "$t" 2>/dev/null; [ $? = 42 ] && echo "$p exec" || echo "$p write"
  else echo "$p read"; fi
  [ "$d" ] && { rm -f "$t"; rmdir "$d"; } 2>/dev/null
done
echo "== loader"; loader=
for l in /lib/ld-linux*.so.[0-9] /lib64/ld-linux*.so.[0-9]; do [ -e "$l" ] && loader=$l && echo "$l"; done
echo "== libc"
for c in /lib/libc.so.6 /lib/*-linux-gnu*/libc.so.6 /lib64/libc.so.6 /usr/lib/libc.so.6; do
  [ -e "$c" ] && [ -n "$loader" ] && "$loader" "$c" 2>/dev/null | head -n 1 && break
done
echo "== libraries"
for d in $(cat /etc/ld.so.conf /etc/ld.so.conf.d/*.conf 2>/dev/null | grep '^/') \
    /lib/*-linux-gnu* /usr/lib/*-linux-gnu* /lib /usr/lib /lib64 /usr/lib64; do
  [ -d "$d" ] && echo "= $d" && ls -ln "$d" 2>/dev/null | grep '\.so'
done
exit 0
""".replace("TOOLS", " ".join(_TOOLS))
    .replace("SHARE", _SHARE)
    .replace("MOUNTED", _MOUNTED_ROOT),
)

_LISTED = re.compile(
    r"(?P<kind>[-l])\S+\s+\d+\s+\S+\s+\S+\s+(?P<size>\d{1,18})\s+\S+\s+\S+\s+\S+\s+(?P<name>\S+)(?: -> (?P<target>.+))?"
)
_SONAME = re.compile(r"(?:ld-linux\S*|lib\S+|\S+)\.so\.\d+(?:\.\d+)*|ld-linux\S*\.so\.\d")
_OWN_NAME = re.compile(rf"{FOLDER}(?:{OWN_SUFFIX}\d{{1,10}})?")
_RELEASE = re.compile(r"release version (\d{1,3}\.\d{1,3})")
_LONGEST_NUMBER = 15
_LONGEST_TEXT = 4096
_MOST_PLACES = 64


def probe(session: Session, *, cache: Path | None = None, without: Sequence[str] = ()) -> DeviceFacts:
    """Return what the device is and has. Raises DeviceError where it can't be asked.

    *cache* is a file that keeps the answers: until the device restarts, only what may change is asked again.
    *without* are the paths of places that are known not to answer, and are left alone.
    """
    known = _load(cache) if cache is not None else None
    if known is not None and any(not place.writable and not place.flags for place in known.places):
        known = None  # a place may have been full
    answer = _ask(session, known, without)
    if known is not None and "".join(answer.get("user", [known.user])) != known.user:
        known = None  # another user may write to other places
        answer = _ask(session, None, without)
    facts = parse_probe(answer, known=known, device=str(session.device))
    if known is not None and facts.boot == known.boot and _mounts(facts) != _mounts(known):
        facts = parse_probe(_ask(session, None, without), device=str(session.device))  # the trials were of other mounts
    if cache is not None and facts != known:
        _save(cache, facts)
    return facts


def _ask(session: Session, known: DeviceFacts | None, without: Sequence[str]) -> dict[str, list[str]]:
    # Mounted places first: a place that does not answer must be known before others are asked for.
    places = sorted((path for path in PLACES if path not in without), key=lambda path: path.startswith(_MOUNTED_ROOT))[
        ::-1
    ]
    program = _PROBE.program(known.boot if known else "", " ".join(without), *places)
    output = session.require(program, purpose="find out what it is")
    return parse_sections(output.decode("utf-8", "replace"))


def parse_sections(text: str) -> dict[str, list[str]]:
    """Return the lines that the script printed, by the names of their sections."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in text.removesuffix("\n").split("\n"):
        if line.startswith("== "):
            lines = sections.setdefault(line[3:], [])
        else:
            lines.append(line)
    return sections


def parse_probe(
    sections: Mapping[str, list[str]], *, known: DeviceFacts | None = None, device: str = "the device"
) -> DeviceFacts:
    """Return the facts that the script printed. After "same" the rest is that of *known*.

    Raises DeviceError, which names the *device*.
    """
    try:
        return _parse_probe(sections, known)
    except KeyError:
        raise DeviceError(f"the shell on {device} did not understand the probe", hint="is it a camera?") from None
    except (ValueError, IndexError) as error:
        raise DeviceError(
            f"{device} did not answer the probe as a camera does: {error}", hint="is it a camera?"
        ) from None


def _parse_probe(sections: Mapping[str, list[str]], known: DeviceFacts | None) -> DeviceFacts:
    memory = {
        line.split(":")[0]: _parse_kilobytes(line.split()[1]) for line in sections.get("memory", []) if ":" in line
    }
    available = memory.get("MemAvailable", memory.get("MemFree", 0))
    share = _check_text(" ".join(sections.get("share", [])))
    if "same" in sections and known is not None:
        trials = {place.path: _trial(place) for place in known.places}
        places = _parse_places(sections, trials, available)
        return dataclasses.replace(known, memory_available=available, places=places, share=share)
    machine = [_check_text(line) for line in sections["machine"]]
    if len(machine) != 4:
        raise KeyError("machine")
    architecture, kernel, hostname, user = machine
    boot = _check_text("".join(sections["boot"]))
    trials = dict(line.rsplit(" ", 1) for line in sections.get("trials", []))
    folders, libraries = parse_libraries(sections.get("libraries", []))
    release = _RELEASE.search(" ".join(sections.get("libc", [])))
    system = dict(line.split("=", 1) for line in sections.get("system", []) if "=" in line)
    return DeviceFacts(
        architecture=architecture,
        kernel=kernel,
        hostname=hostname,
        system=_check_text(system.get("PRETTY_NAME", "").strip('"')),
        user=user,
        libc=release[1] if release else None,
        loader=next(map(_check_path, sections.get("loader", [])), None),
        memory=memory.get("MemTotal", 0),
        memory_available=available,
        boot=boot,
        tools=tuple(tool for tool in _TOOLS if tool in sections.get("tools", [])),
        places=_parse_places(sections, trials, available),
        library_folders=folders,
        libraries=libraries,
        share=share,
    )


def _parse_kilobytes(text: str) -> int:
    """Return so many kilobytes in bytes. Raises ValueError, also for more than any computer has."""
    if not (text.isascii() and text.isdigit() and len(text) <= _LONGEST_NUMBER):
        raise ValueError(f"{text[:40]!r} is not a number of kilobytes")
    return int(text) * 1024


def _check_text(text: str) -> str:
    if len(text) > _LONGEST_TEXT:
        raise ValueError(f"{text[:40]!r}… is too long")
    return text


def _check_path(path: str) -> str:
    if not path.startswith("/") or "\0" in path:
        raise ValueError(f"{path[:40]!r} is not a path")
    return _check_text(path)


def parse_libraries(lines: list[str]) -> tuple[tuple[str, ...], tuple[DeviceLibrary, ...]]:
    """Parse `ls -ln` of some folders: the folders with libraries, and of each soname the first in their order."""
    folders: dict[str, None] = {}
    sizes: dict[str, int] = {}
    links: dict[str, str] = {}
    found: dict[str, str] = {}
    folder = ""
    for line in lines:
        if line.startswith("= "):
            folder = _check_path(line[2:])
            continue
        match = _LISTED.fullmatch(line)
        if match is None:
            continue
        path = f"{folder}/{match['name']}"
        if match["kind"] == "l":
            if match["target"] is None:
                continue
            links.setdefault(path, match["target"])
        else:
            sizes.setdefault(path, int(match["size"]))
        if _SONAME.fullmatch(match["name"]):
            found.setdefault(match["name"], path)
            folders[folder] = None
    libraries = []
    for soname, path in found.items():
        real = path
        for _ in range(8):
            if real not in links:
                break
            real = os.path.normpath(
                f"{real.rpartition('/')[0]}/{links[real]}" if links[real][0] != "/" else links[real]
            )
        libraries.append(DeviceLibrary(soname, path, real.rpartition("/")[2], sizes.get(real, 0)))
    return tuple(folders), tuple(sorted(libraries, key=lambda library: library.soname))


def _parse_places(sections: Mapping[str, list[str]], trials: Mapping[str, str], available: int) -> tuple[Place, ...]:
    if max(len(sections.get(name, [])) for name in ("silent", "space")) > _MOST_PLACES:
        raise ValueError("more places than it was asked for")
    mounts: dict[str, tuple[str, set[str]]] = {}
    for line in sections.get("mounts", []):
        fields = [*line.split(" "), "", "", "", ""]
        mounts[fields[1]] = (fields[2], set(fields[3].split(",")))
    apps: dict[str, list[str]] = {}
    for line in sections.get("apps", []):
        path, _, current = line.partition(" ")
        apps.setdefault(path, []).append(_check_path(current).split("/")[-2])
    folders = dict(map(_parse_folder, sections.get("folders", [])))
    places = [
        Place(path=path, filesystem=mounts[path][0], free=None, writable=False, executable=False, flags=("silent",))
        for path in sections.get("silent", [])
        if path in mounts
    ]
    for line in sections.get("space", []):
        path, kilobytes, point = line.split(" ", 2)
        _check_path(path)
        if point not in mounts:
            point = max((p for p in mounts if f"{path}/".startswith(p.rstrip("/") + "/")), key=len, default="/")
        kind, options = mounts.get(point, ("unknown", set[str]()))
        free = None if kilobytes == "-" else _parse_kilobytes(kilobytes)
        trial = trials.get(path, "read")
        folder, owner = folders.get(path, (FOLDER, ""))
        forbids = options & {"ro", "noexec"}
        if (folder, owner) == ("", NOT_STICKY):
            owner, forbids = "", forbids | {"not-sticky"}
        place = Place(
            path=path,
            filesystem=kind,
            free=free,
            writable=trial != "read" and "ro" not in options,
            executable=trial == "exec" and "noexec" not in options,
            flags=tuple(sorted(forbids)),
            apps=tuple(apps.get(path, ())),
            folder=folder,
            owner=owner,
        )
        if place.ram and path.startswith(_MOUNTED_ROOT):
            continue  # nothing is mounted there
        if place.ram:  # its size is a limit, not a promise; some kinds have none, and say 0
            unlimited = free is None or (free == 0 and kind != "tmpfs")
            place = dataclasses.replace(place, free=available if unlimited else min(free or 0, available))
        if path not in [known.path for known in places]:
            places.append(place)
    return tuple(
        sorted(places, key=lambda place: list(PLACES).index(place.path) if place.path in PLACES else len(PLACES))
    )


def _parse_folder(line: str) -> tuple[str, tuple[str, str]]:
    """Parse `PLACE NAME`, `PLACE - OWNER` or `PLACE !`: the place, our folder's name there, and who has taken it."""
    place, _, rest = line.partition(" ")
    name, _, owner = rest.partition(" ")
    if name == NOT_STICKY:
        return place, ("", NOT_STICKY)
    return place, (name, "") if _OWN_NAME.fullmatch(name) else ("", _check_text(owner))


def _mounts(facts: DeviceFacts) -> list[tuple[str, str, tuple[str, ...]]]:
    return [(place.path, place.filesystem, place.flags) for place in facts.places]


def _trial(place: Place) -> str:
    return "exec" if place.executable else "write" if place.writable else "read"


def _load(cache: Path) -> DeviceFacts | None:
    try:
        return parse_facts(json.loads(cache.read_text("utf-8")))
    except (OSError, ValueError):
        return None


def _save(cache: Path, facts: DeviceFacts) -> None:
    write_cache(cache, json.dumps(facts.to_json()).encode())
