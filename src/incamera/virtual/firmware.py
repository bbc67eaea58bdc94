"""Builds the firmware of a virtual camera: a kernel, and an initramfs with everything else.

The files come from unpacked Debian packages, and are put where a camera has them. No program of the packages is run.
The camera's own libraries are our stand-ins.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.errors import BuildError
from incamera.targets.profile import PlaceKind, Profile
from incamera.virtual import cpio
from incamera.virtual.guest_programs import clock_program, reseed_program
from incamera.virtual.keys import write_secret
from incamera.virtual.modules import select_modules, write_indexes
from incamera.virtual.ssh_server import dropbear_members, openssh_members
from incamera.virtual.stand_ins import SERVICE_PATH, camera_service, second_names, stand_ins
from incamera.virtual.web_server import web_members

if TYPE_CHECKING:
    from incamera.virtual.keys import CameraKeys

# Part of each firmware's cache key: increase it when the same trees give another firmware.
VERSION = 4

# The libraries that a camera has in /lib; the others are in /usr/lib. Neither has sub-folders.
_IN_LIB = (
    "ld-", "libBrokenLocale", "libanl", "libc-", "libc.", "libcrypt-", "libcrypt.", "libdl", "libgcc_s", "libm-",
    "libm.", "libmvec", "libnsl", "libnss_", "libpthread", "libresolv", "librt", "libutil",
)  # fmt: skip
_NOT_ON_A_CAMERA = ("libSegFault", "libbrotlienc", "libexpatw", "libmemusage", "libpcprofile", "libthread_db")


@dataclass(frozen=True, kw_only=True, slots=True)
class Firmware:
    """The files of a firmware. `archive` is the initramfs."""

    kernel: Path
    archive: Path


def open_firmware(folder: Path) -> Firmware:
    """Return the firmware that `build_firmware` has written into *folder*."""
    return Firmware(kernel=folder / "kernel", archive=folder / "initrd")


def build_firmware(
    destination: Path,
    profile: Profile,
    *,
    userland: Path,
    kernel: Path,
    openssh: Path | None = None,
    web: Path | None = None,
    keys: CameraKeys,
) -> Firmware:
    """Write the firmware of *profile* into the folder *destination*, and return it.

    *userland*, *kernel*, *openssh* and *web* are trees of unpacked Debian packages. Without *openssh*, its SSH server
    is dropbear; without *web*, it has no web server. Raises BuildError when a file is missing in them.
    """
    firmware = open_firmware(destination)
    shutil.copyfile(_only(kernel / "boot", "vmlinuz-*"), firmware.kernel)
    members = [
        *_programs(userland),
        *(openssh_members(openssh, userland, profile, keys) if openssh else dropbear_members(userland, profile, keys)),
        *_libraries(userland, profile),
        *_stand_ins(profile),
        *_modules(kernel),
        *(web_members(web, userland, profile) if web else ()),
        *_settings(profile, keys, has_web=web is not None),
        *_folders(profile),
    ]
    # Not compressed, since decompressing it in the emulated camera would take seconds. It has the private host key.
    write_secret(firmware.archive, cpio.write_cpio(members))
    return firmware


def _programs(userland: Path) -> Iterator[cpio.Member]:
    yield cpio.file("bin/busybox", _read(userland / "usr/bin/busybox"), 0o755)


def _libraries(userland: Path, profile: Profile) -> Iterator[cpio.Member]:
    facts = profile.architecture.facts
    found = {path.name: path for path in sorted((userland / "usr/lib" / facts.gnu).glob("*.so*"))}
    if facts.loader not in found:  # not a link in the folder of the libraries, but a file above it
        found[facts.loader] = userland / "usr/lib" / facts.loader
    folders = {name: "lib" if name.startswith(_IN_LIB) else "usr/lib" for name in found}
    for name, path in found.items():
        if name.startswith(_NOT_ON_A_CAMERA):
            continue
        if not path.is_symlink():
            yield cpio.file(f"{folders[name]}/{name}", _read(path), 0o755)
            continue
        target = path.readlink().name
        if target not in found:
            raise BuildError(
                f"the library {name} in {userland} is a link to {target}, which does not exist",
                hint="`incamera store verify` removes damaged trees",
            )
        same_folder = folders[target] == folders[name]
        yield cpio.link(f"{folders[name]}/{name}", target if same_folder else f"/{folders[target]}/{target}")


def _stand_ins(profile: Profile) -> Iterator[cpio.Member]:
    for path in stand_ins(profile.architecture, profile.version):
        yield cpio.file(f"usr/lib/{path.name}", path.read_bytes(), 0o755)
    for name, library in second_names(profile.version).items():
        yield cpio.link(f"usr/lib/{name}", library)
    if service := camera_service(profile.architecture, profile.version):
        # Only root may look into the folder: apps know the service by its socket.
        yield cpio.folder(SERVICE_PATH.rpartition("/")[0], 0o700)
        yield cpio.file(SERVICE_PATH, service.read_bytes(), 0o755)


def _modules(kernel: Path) -> Iterator[cpio.Member]:
    folder = _only(kernel / "usr/lib/modules", "*")
    names = tomllib.loads(_data("modules.toml"))
    modules = select_modules(folder, names["required"], names["optional"])
    base = f"lib/modules/{folder.name}"
    for module in modules:
        yield cpio.file(f"{base}/{module.path}", module.data)
    for name, text in write_indexes(modules).items():
        yield cpio.file(f"{base}/{name}", text.encode())


def _settings(profile: Profile, keys: CameraKeys, *, has_web: bool) -> Iterator[cpio.Member]:
    home = profile.home
    places = "".join(
        f"{place.kind} {place.filesystem or '-'} {place.path} {_options(place.options, place.kind, place.megabytes)}\n"
        for place in profile.places
    )
    texts = {
        "etc/passwd": f"root:x:0:0:root:{home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
        "sshd:x:101:65534:sshd:/run/sshd:/bin/false\n"
        + ("www-data:x:33:33::/:/bin/false\nmessagebus:x:102:102::/:/bin/false\n" if has_web else ""),
        "etc/group": "root:x:0:\nvideo:x:44:\nstorage:x:45:\nnogroup:x:65534:\n"
        + ("www-data:x:33:\nmessagebus:x:102:\n" if has_web else ""),
        "etc/incamera-services": " ".join([*(["ssh"] if profile.has_root_login else []), *(["web"] if has_web else [])])
        + "\n",
        "etc/shells": "/bin/sh\n",
        "etc/hosts": "127.0.0.1 localhost\n",
        "etc/filesystems": "ext4\nvfat\nsquashfs\n",
        "etc/profile": "PS1='[\\u@\\h \\w]# '\n",
        "etc/places": places,
        "etc/incamera-parameters": "".join(f'{name}="{value}"\n' for name, value in _parameters(profile).items()),
        "etc/inittab": ("::respawn:/usr/sbin/incamera-back-end\n" if has_web else "")
        + f"::respawn:{SERVICE_PATH}\n"
        + "::respawn:/usr/sbin/incamera-link\n::ctrlaltdel:/sbin/reboot\n::shutdown:/bin/umount -a -r\n",
        "etc/os-release": (
            f'ID=incamera-virtual\nNAME="incamera virtual camera"\nVERSION_ID={profile.version}\n'
            f'PRETTY_NAME="virtual camera as AXIS OS {profile.version} ({profile.architecture})"\n'
            f"PROFILE={profile.name}\n"
        ),
    }
    for path, text in texts.items():
        yield cpio.file(path, text.encode())
    if profile.has_root_login:
        yield cpio.file(f"{home}/.ssh/authorized_keys", f"{keys.login_public}\n".encode(), 0o600)
    yield cpio.file("usr/sbin/reseed", reseed_program(profile.architecture), 0o755)
    yield cpio.file("usr/sbin/set-clock", clock_program(profile.architecture), 0o755)
    yield cpio.file("usr/sbin/incamera-disks", _data("disks.sh").encode())
    yield cpio.file("usr/sbin/incamera-link", _data("link.sh").encode(), 0o755)
    yield cpio.file("init", _data("boot.sh").encode(), 0o755)
    yield cpio.character_device("dev/console", 5, 1)


def _parameters(profile: Profile) -> dict[str, str]:
    """Return what the stand-in of axparameter tells of the camera itself."""
    return {
        "Brand.Brand": "AXIS",
        "Brand.ProdShortName": "incamera virtual camera",
        "Properties.Firmware.Version": profile.version,
        "Properties.System.Architecture": str(profile.architecture),
        "Properties.System.SerialNumber": "ACCC8E000000",
    }


def _options(options: str, kind: PlaceKind, megabytes: int) -> str:
    words = [options] if options else []
    if kind is PlaceKind.ram:
        words.append(f"size={megabytes}m")
    return ",".join(words) or "-"


def _folders(profile: Profile) -> Iterator[cpio.Member]:
    for path in ("mnt", "proc", "sbin", "sys", "usr/bin", "usr/local", "var/log"):
        yield cpio.folder(path)
    yield cpio.folder(profile.home, 0o700)
    yield cpio.folder(f"{profile.home}/.ssh", 0o700)
    for place in profile.places:
        yield cpio.folder(place.path)


def _data(name: str) -> str:
    return resources.files("incamera.virtual").joinpath("data", name).read_text("utf-8")


def _only(folder: Path, pattern: str) -> Path:
    found = sorted(folder.glob(pattern))
    if len(found) != 1:
        raise BuildError(
            f"{folder} must have one {pattern}, but has {len(found)}",
            hint="`incamera store verify` removes damaged trees",
        )
    return found[0]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        raise BuildError(
            f"the virtual camera's packages have no {path.name}: there is no file {path}",
            hint="`incamera store verify` removes damaged trees",
        ) from None
