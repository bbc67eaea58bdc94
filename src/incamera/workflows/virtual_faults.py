"""virtual fault, storage, overlay-picture: what goes wrong in a virtual camera, and what its apps draw."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from incamera.errors import DeviceError, UsageError
from incamera.transport.protocols import Program, Script
from incamera.virtual.faults import (
    CARD,
    FAULTS,
    FAULTS_FOLDER,
    KILLED,
    PULLED,
    STORAGE_FOLDER,
    SetFault,
    StorageFacts,
    StorageState,
    find_fault,
    new_number,
    parse_fault,
    parse_set_faults,
    parse_storages,
)
from incamera.virtual.stand_ins import SERVICE_FOLDER, SERVICE_PATH
from incamera.workflows.virtual_services import run_script

if TYPE_CHECKING:
    from incamera.transport.session import Session

_POLL_SECONDS = 0.25
_JPEG = b"\xff\xd8"

# Apps only read this folder. $3: the value.
_SET = Script(
    "set-fault",
    """
umask 022
mkdir "$1" 2>/dev/null || [ -d "$1" ] && [ ! -L "$1" ] || { echo "$1 is not a folder" >&2; exit 1; }
set -C; new=$1/.new$$
echo "$3" >"$new" && mv "$new" "$1/$2"
""",
)
_CLEAR = Script("clear-fault", '[ ! -L "$1" ] && cd "$1" 2>/dev/null || exit 0; shift; rm -f "$@"')
_LIST = Script(
    "faults",
    """
[ ! -L "$1" ] && cd "$1" 2>/dev/null || exit 0
for file in *; do
    if [ -f "$file" ] && [ ! -L "$file" ]; then echo "$file $(head -n 1 "./$file")"; fi
done
""",
)
# What the stand-in of axstorage reads of the card's state is in the file .SD_DISK. Prints NAME STATE SIZE FREE.
_STORAGES = Script(
    "storages",
    """
cd "$1" || exit
for name in SD_DISK NetworkShare; do
    if grep -q " $1/$name " /proc/mounts; then
        state=there
        if [ -f ".$name" ] && [ ! -L ".$name" ]; then state=$(head -n 1 ".$name"); fi
        df -k -P "$1/$name" | { read -r title; read -r device size used free rest; echo "$name $state $size $free"; }
    elif [ $name = SD_DISK ]; then
        echo "$name pulled 0 0"
    fi
done
""",
)
# $2: the new state. A pulled card is taken from its driver, so that open files fail, too, as those of a real one do.
_CHANGE_CARD = Script(
    "change-card",
    """
. /usr/sbin/incamera-disks
card=$1/SD_DISK state=$1/.SD_DISK drivers=/sys/bus/virtio/drivers/virtio_blk
pull() {
    [ "$3" = "$card" ] || return 0
    device=$(readlink -f "/sys/block/${1##*/}/device")
    sync
    echo "${device##*/}" >$drivers/unbind
    umount -l "$card"
}
insert() {
    [ "$3" = "$card" ] || return 0
    mount_disk "$@"
}
is_there() { grep -q " $card " /proc/mounts; }
if [ "$2" = pulled ]; then
    if is_there; then each_disk pull || exit; fi
elif ! is_there; then
    for device in /sys/bus/virtio/devices/*; do
        read -r kind <"$device/device"
        if [ "$kind" = 0x0002 ] && [ ! -e "$device/driver" ]; then echo "${device##*/}" >$drivers/bind || exit; fi
    done
    each_disk insert || exit
fi
rm -f "$state" || exit
set -C
case $2 in exiting | full | readonly) echo "$2" >"$state" ;; esac
""",
)
_KILL = Script("kill-service", 'kill -9 "$(cat "$1/pid")"')
_DRAWN = Program(arguments=(SERVICE_PATH, "--drawn"))
_NOTHING_DRAWN = 3


def set_faults(session: Session, words: Sequence[str]) -> list[SetFault]:
    """Set the faults that *words* name, as FAULT or FAULT=VALUE. Returns them. Raises UsageError for unknown ones."""
    if not words:
        raise UsageError("no fault is named", hint="`incamera virtual fault list` shows them")
    wanted = [parse_fault(word) for word in words]
    for one in wanted:
        if one.fault.name == PULLED:
            change_card(session, StorageState.pulled)
            continue
        if one.fault.name == KILLED:
            run_script(session, _KILL, SERVICE_FOLDER)
            continue
        value = new_number() if one.fault.once else one.value
        run_script(session, _SET, FAULTS_FOLDER, one.fault.name, "" if value is None else str(value))
    return wanted


def clear_faults(session: Session, words: Sequence[str]) -> list[SetFault]:
    """Clear the faults that *words* name, or all. Returns those that were set. Raises UsageError for unknown ones."""
    named = [find_fault(word).name for word in words] or list(FAULTS)
    cleared = [one for one in read_faults(session) if one.fault.name in named]
    stored = [name for name in named if not FAULTS[name].once and name != PULLED]
    if stored:
        run_script(session, _CLEAR, FAULTS_FOLDER, *stored)
    if any(one.fault.name == PULLED for one in cleared):
        change_card(session, StorageState.there)
    return cleared


def read_faults(session: Session) -> list[SetFault]:
    """Return the faults that are set."""
    found = parse_set_faults(run_script(session, _LIST, FAULTS_FOLDER))
    if any(one.name == CARD and one.state is StorageState.pulled for one in read_storages(session)):
        found = [*(one for one in found if one.fault.name != PULLED), SetFault(FAULTS[PULLED], None)]
    return found


def read_storages(session: Session) -> list[StorageFacts]:
    """Return the SD card, also when it is pulled, and the network share if one is mounted."""
    return parse_storages(run_script(session, _STORAGES, STORAGE_FOLDER))


def change_card(session: Session, state: StorageState) -> list[StorageFacts]:
    """Pull the SD card, put it back, or tell apps that it is in another state. Returns all storages."""
    run_script(session, _CHANGE_CARD, STORAGE_FOLDER, state)
    return read_storages(session)


def take_picture(session: Session, *, timeout: float) -> bytes:
    """Return a picture as JPEG, with what all apps draw over it, like the newest stream of the camera.

    Raises DeviceError when nothing is drawn within *timeout* seconds.
    """
    end = time.monotonic() + timeout
    while True:
        result = session.run(_DRAWN)
        if result.exit_code == 0 and result.stdout.startswith(_JPEG):
            return result.stdout
        if time.monotonic() > end:
            if result.exit_code != _NOTHING_DRAWN:
                raise DeviceError(f"{session.device}: {result.error_text or 'no picture was taken'}", hint="try again")
            raise DeviceError(
                f"no app has drawn over a picture within {timeout:g} s",
                hint="an app that uses acap.bbox or acap.overlay has to run",
            )
        time.sleep(_POLL_SECONDS)
