"""QEMU's command line, started from unpacked Debian packages through their own loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import BuildError

if TYPE_CHECKING:  # the keeper reads this module, and should not have to read those
    from incamera.targets.host import Host
    from incamera.targets.profile import Profile
    from incamera.virtual.firmware import Firmware

PORT_NAME = "incamera"
# Services that a camera may be lent: SMB and NFS. To the camera they are at HOST_ADDRESS, whoever offers them.
SERVICE_PORTS = (445, 2049)
HOST_ADDRESS = "10.0.2.100"
# In the camera's folder: where those services are (`services.py`).
SERVICES_FILE = "services"


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """`serial` is what the camera knows it by. What is written to a `scratch` disk is gone when QEMU ends."""

    serial: str
    path: Path
    scratch: bool


def find_program(tools: Path, profile: Profile) -> Path:
    name = "qemu-system-arm" if profile.architecture.facts.bits == 32 else "qemu-system-aarch64"
    program = tools / "usr/bin" / name
    if not program.exists():
        raise BuildError(f"there is no {name} in {tools}", hint="`incamera store verify` removes what is broken")
    return program


def plan_machine(tools: Path, host: Host, profile: Profile, firmware: Firmware) -> list[str]:
    """Return the words that a saved state depends on: the same ones must be used to save and to resume it."""
    loader = next((path for lib in ("lib64", "lib") if (path := tools / "usr" / lib / host.loader).exists()), None)
    if loader is None:
        raise BuildError(f"there is no {host.loader} in {tools}", hint="`incamera store verify` removes what is broken")
    return [
        *(str(loader), "--library-path", f"{tools}/usr/lib/{host.gnu}:{tools}/usr/lib"),
        str(find_program(tools, profile)),
        *("-L", f"{tools}/usr/share/qemu", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", profile.machine, "-cpu", profile.cpu, "-smp", str(profile.processors)),
        *("-m", f"{profile.memory_megabytes}M", "-accel", "tcg,thread=multi", "-rtc", "base=utc,clock=host"),
        *("-kernel", str(firmware.kernel), "-initrd", str(firmware.archive)),
        *("-append", "console=ttyAMA0 loglevel=4 panic=-1"),
        *("-device", "virtio-serial-device", "-device", f"virtserialport,chardev=link,name={PORT_NAME}"),
        *("-device", "virtio-net-device,netdev=network,mac=00:40:8c:00:00:00"),
    ]


def plan_surroundings(*, console: Path, link: int, monitor: int, disks: list[Disk], relay: str) -> list[str]:
    """Return the words that tie the machine to this host: descriptors, files and ports.

    The network is closed (`restrict=on`): the camera reaches neither the host nor what lies behind. Only a connection
    to one of SERVICE_PORTS at HOST_ADDRESS starts the command *relay*, with the port as its last word; that one knows
    whether there is such a service, and where.
    """
    network = "user,id=network,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"
    for port in SERVICE_PORTS:
        network += f",guestfwd=tcp:{HOST_ADDRESS}:{port}-cmd:{_escape(relay)} {port}"
    words = [
        *("-netdev", network),
        *("-serial", f"file:{_escape(console)}"),
        *("-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"),
        *("-chardev", f"socket,id=link,fd={link}"),
    ]
    for disk in disks:
        options = "snapshot=on,cache=unsafe" if disk.scratch else "detect-zeroes=unmap,discard=unmap"
        words += ["-drive", f"if=none,id={disk.serial},format=qcow2,file={_escape(disk.path)},{options}"]
        words += ["-device", f"virtio-blk-device,drive={disk.serial},serial={disk.serial}"]
    return words


def _escape(value: Path | str) -> str:
    # A comma ends a value, two are one.
    return str(value).replace(",", ",,")
