"""QEMU's command line. QEMU comes from unpacked Debian packages, and is started through their loader."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.virtual.host_line import HOST_PROCESSES

if TYPE_CHECKING:  # the supervisor imports this module, and must start fast
    from incamera.targets.host import Host
    from incamera.targets.profile import Profile
    from incamera.virtual.firmware import Firmware

PORT_NAME = "incamera"
# The ports that can be forwarded out of a virtual camera: SMB and NFS. In the camera, they are at HOST_ADDRESS.
FORWARDED_PORTS = (445, 2049)
HOST_ADDRESS = "10.0.2.100"
# Room for the code that QEMU has translated: when it is full, QEMU begins anew. By default, it takes up to 1 GiB.
# A start of Python with numpy needs some 90 MB of it the first time, and 10 MB each time after that.
_TRANSLATED_MEGABYTES = 192
# The file in the camera's folder that says where those ports are forwarded to (`forwarding.py`).
FORWARDS_FILE = "services"


@dataclass(frozen=True, kw_only=True, slots=True)
class Disk:
    """A disk of the camera, which finds it by its `serial`. `base`: the disk of a saved state, which it begins with."""

    serial: str
    path: Path
    base: Path | None = None


def require_program(tools: Path, profile: Profile) -> Path:
    """Return QEMU's program for *profile* in the tree *tools*. Raises BuildError when there is none."""
    name = "qemu-system-arm" if profile.architecture.facts.bits == 32 else "qemu-system-aarch64"
    program = tools / "usr/bin" / name
    if not program.exists():
        raise BuildError(f"there is no {name} in {tools}", hint="`incamera store verify` removes damaged trees")
    return program


def plan_machine(tools: Path, host: Host, profile: Profile, firmware: Firmware) -> list[str]:
    """Return the part of QEMU's command line that a saved state depends on: saving and resuming need the same.

    Raises BuildError when QEMU or its loader is missing.
    """
    loader = next((path for lib in ("lib64", "lib") if (path := tools / "usr" / lib / host.loader).exists()), None)
    if loader is None:
        raise BuildError(f"there is no {host.loader} in {tools}", hint="`incamera store verify` removes damaged trees")
    return [
        *(str(loader), "--library-path", f"{tools}/usr/lib/{host.gnu}:{tools}/usr/lib"),
        str(require_program(tools, profile)),
        *("-L", f"{tools}/usr/share/qemu", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"),
        *("-machine", profile.machine, "-cpu", profile.cpu, "-smp", str(profile.processors)),
        *("-m", f"{profile.memory_megabytes}M", "-rtc", "base=utc,clock=host"),
        *("-kernel", str(firmware.kernel), "-initrd", str(firmware.archive)),
        *("-append", "console=ttyAMA0 loglevel=4 panic=-1"),
        *("-device", "virtio-serial-device", "-device", f"virtserialport,chardev=link,name={PORT_NAME}"),
        *(word for other in HOST_PROCESSES for word in ("-device", _port_of(other.name))),
        # With guest_announce, QEMU 7.2 crashes when a resumed camera reboots or switches itself off. Then nobody knows
        # which of the two it was.
        *("-device", "virtio-net-device,netdev=network,mac=00:40:8c:00:00:00,guest_announce=off"),
        # The camera tells which memory it has freed, and QEMU gives it back to this computer.
        *("-device", "virtio-balloon-device,free-page-reporting=on"),
    ]


def plan_host_options(
    *,
    console: int,
    link: int,
    monitor: int,
    host_lines: Mapping[str, int],
    disks: list[Disk],
    relay: str,
    ports: Iterable[int],
) -> list[str]:
    """Return the part of QEMU's command line that connects the machine to this host: descriptors, files and ports.

    *console*, *link* and *monitor* are descriptors of sockets, *host_lines* those at which QEMU listens, for each of
    HOST_PROCESSES. The network is closed (`restrict=on`): the camera reaches neither the host nor other networks. The
    camera's *ports* are forwarded from ports of 127.0.0.1. Only a connection to one of FORWARDED_PORTS at HOST_ADDRESS
    starts the command *relay*, with the port as its last argument.
    """
    network = "user,id=network,restrict=on" + "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in ports)
    for port in FORWARDED_PORTS:
        network += f",guestfwd=tcp:{HOST_ADDRESS}:{port}-cmd:{_escape(relay)} {port}"
    words = [
        *("-accel", f"tcg,thread=multi,tb-size={_TRANSLATED_MEGABYTES}"),
        *("-netdev", network),
        *("-chardev", f"socket,id=console,fd={console}", "-serial", "chardev:console"),
        *("-chardev", f"socket,id=monitor,fd={monitor}", "-mon", "chardev=monitor,mode=control"),
        *("-chardev", f"socket,id=link,fd={link}"),
    ]
    for name, listener in host_lines.items():
        words += ["-chardev", f"socket,id={name},fd={listener},server=on,wait=off"]
    for disk in disks:
        options = "detect-zeroes=unmap,discard=unmap"
        if disk.base is not None:
            # A camera does not outlive this computer, so nothing need be written to its real disk. But QEMU may crash:
            # so no write may wait in QEMU. Linux's vfat asks for no flush, not even in `sync`.
            cache = "cache.writeback=off,cache.no-flush=on"
            options = f"{cache},backing.driver=qcow2,backing.file.filename={_escape(disk.base)}"
        words += ["-drive", f"if=none,id={disk.serial},format=qcow2,file={_escape(disk.path)},{options}"]
        words += ["-device", f"virtio-blk-device,drive={disk.serial},serial={disk.serial}"]
    return words


def _port_of(name: str) -> str:
    """Return the virtio port to a process of this computer. `stand_ins/shared/host_line.h` is the camera's end."""
    return f"virtserialport,chardev={name},name={PORT_NAME}.{name}"


def _escape(value: Path | str) -> str:
    # In an option of QEMU, a comma ends a value, and two commas stand for one.
    return str(value).replace(",", ",,")
