"""A camera's state behind its web server, and the apps that are installed and run in it."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from incamera.archives import BadArchive, TooLarge
from incamera.axis_os.applications import Code, Installed, Refused, describe_app
from incamera.axis_os.dynamic_parameters import add_group, find_removed
from incamera.axis_os.event_stream import Tokens
from incamera.axis_os.facts import load_generations
from incamera.axis_os.multipart import BadUpload, save_file
from incamera.axis_os.parameters import (
    Parameter,
    app_group,
    app_parameters,
    own_parameters,
    parse_parameters,
    render_parameters,
)
from incamera.axis_os.pictures import Pictures
from incamera.axis_os.running import ADDON_GID, Runner, run_script
from incamera.axis_os.service_accounts import ServiceAccounts
from incamera.axis_os.ssh import ENABLED, SSH_GID
from incamera.axis_os.store import Kept, load_kept, save_kept
from incamera.axis_os.system_log import SystemLog
from incamera.axis_os.unpacking import unpack
from incamera.eap.conf_reading import parse_cgi_conf, parse_package_conf
from incamera.eap.prediction import CameraState, predict
from incamera.eap.signer import find_signature_problem
from incamera.eap.summary import read_installed, read_summary
from incamera.errors import ConfigError

if TYPE_CHECKING:
    from incamera.archives.openpgp import PublicKey
    from incamera.axis_os.accounts import Account
    from incamera.axis_os.facts import Facts
    from incamera.eap.summary import Summary

_SCRIPT_SECONDS = 60.0
_MOST_BYTES = 200 << 20
_MOST_TEXT = 1 << 20
_SECRET = re.compile(r"[$A-Za-z0-9./]{20,200}")
# The groups of AXIS OS that an app may be in; their numbers are ours.
GROUPS = {
    "addon": ADDON_GID, "admin": 1001, "audiod": 1002, "gpu": 1003, "hidraw": 1004, "operator": 1005, "pipewire": 1006,
    "ptzadm": 1007, "sdk": 1008, "storage": 45, "video": 44, "viewer": 1009,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where a camera keeps what. *accounts*: the folder with `passwd` and `group`; None in a process without root.

    *homes* has the folders of accounts for SSH.
    """

    packages: Path
    kept: Path
    parameters: Path
    accounts: Path | None = None
    homes: Path = Path("/usr/local/packages/.homes")


class Camera:
    """A camera. Threads may call it. *on_change* is called when what it keeps has changed. *runner* runs an app.

    *restart* restarts the camera, a moment after it was called. *signing_key* stands for Axis' own.
    """

    def __init__(
        self,
        facts: Facts,
        places: Places,
        *,
        on_change: Callable[[Camera], None] = lambda _: None,
        runner: type[Runner] = Runner,
        pictures: Pictures | None = None,
        restart: Callable[[], None] = lambda: None,
        signing_key: PublicKey | None = None,
    ) -> None:
        self.facts = facts
        self.places = places
        self.log = SystemLog(facts.host_name)
        self.boot_id = _boot_id()
        self.pictures = pictures or Pictures()
        self.service_accounts = ServiceAccounts()
        self.tokens = Tokens()
        self.restart = restart
        self._signing_key = signing_key
        self._on_change = on_change
        self._new_runner = runner
        self._began = time.monotonic()
        self._lock = threading.RLock()
        self._uploading = threading.Lock()
        self._runners: dict[str, Runner] = {}
        self._base_accounts: dict[str, str] = {}
        for folder in (places.packages, places.kept.parent, places.parameters):
            folder.mkdir(parents=True, exist_ok=True)
        places.kept.parent.chmod(0o700)
        with suppress(OSError):
            places.parameters.chmod(0o777)
        self.kept: Kept = load_kept(places.kept)
        first = load_generations().get(self.kept.first_version.partition(".")[0])
        self.facts = replace(facts, has_http=first is not None and "80" in first["schemes"])

    def find_upgrade_problem(self) -> str | None:
        """Return why this AXIS OS cannot take over from the one that ran last; None when it can, or is the same.

        One installed app that does not fit undoes the upgrade of all. Nobody tells how AXIS OS 13 sees that a 32-bit
        app was built before the 64-bit time_t: that is not looked at.
        """
        if self.kept.version in ("", self.facts.version) or not self.facts.rules["judges_upgrade"]:
            return None
        state = CameraState(
            version=self.facts.version,
            architecture=self.facts.architecture,
            takes_unsigned=self.switch("AllowUnsigned") or False,
        )
        for app in self.kept.apps.values():
            try:
                package = read_installed(self.places.packages / app.name, is_signed=app.is_signed)
            except ConfigError as error:
                return f"{app.name}: {error}"
            verdicts = predict(package, state)
            if verdicts and verdicts[0].code is not None:
                return f"{app.name}: {verdicts[0].text}"
        return None

    def _finish_upgrade(self) -> None:
        """Keep which AXIS OS runs; install each app again when it is another one than before."""
        version = self.facts.version
        if self.kept.version == version:
            return
        for app in self.kept.apps.values() if self.kept.version else ():
            folder = self.places.packages / app.name
            conf = parse_package_conf(_read(folder / "package.conf"))
            script = conf.get("POSTINSTALLSCRIPT", "")
            if script and (code := self._script(app, script, folder)) != 0:
                self.log.write(app.name, f"its install script has ended with exit code {code}", level="ERR")
            self.log.write("acapctl", f"Installed '{app.name}' {app.version}", pid=os.getpid())
        with self.changing() as kept:
            kept.first_version = kept.first_version or version
            kept.version = version

    def prepare(self) -> None:
        """Bring the installed apps in order after a power cut, and make their users."""
        for app in list(self.kept.apps.values()):
            self._undo_upgrade(app)
            if not (self.places.packages / app.name).is_dir():  # the flash memory was formatted
                del self.kept.apps[app.name]
        for left in self.places.packages.glob(".new-*"):
            shutil.rmtree(left, ignore_errors=True)
        self._write_users()

    def boot(self) -> None:
        """Start the apps that ran before and start by themselves."""
        self._finish_upgrade()
        for app in self.kept.apps.values():
            runner = self._runners[app.name] = self._runner(app)
            if app.is_wanted and app.run_mode != "never":
                with suppress(Refused):
                    runner.start()

    def _undo_upgrade(self, app: Installed) -> None:
        """Put back what an upgrade of *app* that a power cut has ended has moved away."""
        folder = self.places.packages / app.name
        fresh, old = self._upgrade_folders(app.name)
        if not folder.is_dir() and old.is_dir():
            old.rename(folder)
        if folder.is_dir() and not (folder / "localdata").is_dir() and (fresh / "localdata").is_dir():
            (fresh / "localdata").rename(folder / "localdata")

    def _upgrade_folders(self, app: str) -> tuple[Path, Path]:
        """Return the folders of a package that is being unpacked, and of the app that it will replace."""
        return self.places.packages / f".new-{app}", self.places.packages / f".new-{app}-old"

    @property
    def has_ssh_users(self) -> bool:
        """Whether accounts for SSH can be made: up to AXIS OS 11, virtual cameras have root over SSH instead."""
        return int(self.facts.generation) >= 12

    @property
    def lets_ssh_in(self) -> bool:
        """Whether its SSH server is to run, once SSH accounts can be made."""
        return self.has_ssh_users and self.kept.parameters.get(ENABLED) == "yes"

    @staticmethod
    def hash_password(password: str) -> str:
        """Return the hash of *password* for /etc/shadow. Raises OSError."""
        words = ["/bin/busybox", "mkpasswd", "-m", "sha512", "-P", "0"]
        done = subprocess.run(words, input=f"{password}\n".encode(), capture_output=True, check=False, env={})
        secret = done.stdout.decode("ascii", "replace").strip()
        if not _SECRET.fullmatch(secret):
            raise OSError(errno.EIO, "mkpasswd has made no hash")
        return secret

    @property
    def uptime(self) -> float:
        return time.monotonic() - self._began

    @contextmanager
    def changing(self) -> Iterator[Kept]:
        """Yield what is kept, to be changed; it is saved at the end of the block. Raises OSError."""
        with self._lock:
            before = self._users()
            yield self.kept
            save_kept(self.places.kept, self.kept)
            if self._users() != before:
                self._write_users()
            self._on_change(self)

    def set_back(self) -> None:
        """Remove all apps with their data, and forget accounts, switches and parameters: the factory default."""
        with self._lock:
            for app in list(self.kept.apps.values()):
                self._remove(app, self._runners[app.name])
            with self.changing() as kept:
                kept.accounts, kept.switches, kept.parameters, kept.ssh_users = {}, {}, {}, {}
                kept.was_set_back = True

    # Accounts

    def account(self, user: str) -> Account | None:
        """Return the account of *user*, who has logged in."""
        return self.kept.accounts.get(user) or self.service_accounts.accounts.get(user)

    # Switches

    def switch(self, name: str) -> bool | None:
        """Return whether the switch *name* is on; None when there is none."""
        rules = self.facts.rules
        if name != "AllowUnsigned" or not rules["switch"]:
            return None
        return self.kept.switches.get(name, bool(rules["allow_unsigned"]))

    # Parameters

    def parameters(self) -> dict[str, str]:
        """Return all parameters, by their names with `root.`."""
        found = {**own_parameters(self.facts), **self.kept.parameters}
        for app in list(self.kept.apps):  # other threads install apps
            found |= app_parameters(self._read_parameters(app))
        return found

    def set_parameters(self, changes: Mapping[str, str]) -> None:
        """Set existing parameters, by their names with `root.`. Raises OSError."""
        left = dict(changes)
        for app in self.kept.apps:
            prefix = app_group(app)
            mine = {name.removeprefix(prefix): left.pop(name) for name in list(left) if name.startswith(prefix)}
            if mine:
                old = self._read_parameters(app)
                self._write_parameters(app, [replace(one, value=mine.get(one.name, one.value)) for one in old])
        if left:
            with self.changing() as kept:
                kept.parameters |= left

    def add_group(self, fields: Mapping[str, str]) -> str:
        """Make the group of parameters that *fields* ask for, and return the answer. Raises RequestFailed, OSError."""
        with self.changing() as kept:
            added, text = add_group(self.parameters(), fields)
            kept.parameters |= added
        return text

    def remove_groups(self, fields: Mapping[str, str]) -> str:
        """Remove the groups of parameters that *fields* name. Raises RequestFailed, OSError."""
        with self.changing() as kept:
            gone = set(find_removed(self.parameters(), fields))
            kept.parameters = {name: value for name, value in kept.parameters.items() if name not in gone}
        return "OK\n"

    def _read_parameters(self, app: str) -> list[Parameter]:
        return parse_parameters(app, _read(self.places.parameters / app).decode("utf-8", "replace"))

    def _write_parameters(self, app: str, parameters: list[Parameter]) -> None:
        path = self.places.parameters / app
        # Apps can write to that folder, too.
        temporary = path.with_name(f".{app}.{secrets.token_hex(8)}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o666)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(render_parameters(parameters))
            os.fchmod(descriptor, 0o666)
        temporary.replace(path)

    # Apps

    def apps(self) -> list[tuple[Installed, bool]]:
        """Return the installed apps, each with whether it runs."""
        with self._lock:
            return [(app, self._runs(app.name)) for app in self.kept.apps.values()]

    def _runs(self, name: str) -> bool:
        return name in self._runners and self._runners[name].is_running

    def control(self, action: str, name: str) -> None:
        """Start, stop, restart or remove the app *name*. Raises Refused."""
        with self._lock:
            app = self.kept.apps.get(name)
            if app is None:
                raise Refused(Code.not_found, f"'{name}' is not installed")
            runner = self._runners[name]
            match action:
                case "start":
                    if runner.is_running:
                        raise Refused(Code.already_running, f"'{name}' is running already")
                    self._want(app, True)
                    runner.start()
                case "stop":
                    if not runner.stop():
                        raise Refused(Code.not_running, f"'{name}' is not running")
                    self._want(app, False)
                case "restart":
                    if not runner.stop():
                        raise Refused(Code.not_running, f"'{name}' is not running")
                    runner.start()
                case "remove":
                    self._remove(app, runner)
                case _:
                    raise Refused(Code.unspecified, f"unknown action {action}")

    def _want(self, app: Installed, wanted: bool) -> None:
        with self.changing() as kept:
            kept.apps[app.name] = replace(kept.apps[app.name], is_wanted=wanted)

    def _remove(self, app: Installed, runner: Runner) -> None:
        runner.stop()
        folder = self.places.packages / app.name
        if app.uninstall_script:
            self._script(app, app.uninstall_script, folder)
        shutil.rmtree(folder, ignore_errors=True)
        (self.places.parameters / app.name).unlink(missing_ok=True)
        del self._runners[app.name]
        with self.changing() as kept:
            del kept.apps[app.name]

    # Installing

    def upload(self, stream: BinaryIO, length: int, content_type: str) -> None:
        """Install the package in the body *stream* of an upload. Raises Refused, and BadUpload for a cut-off body."""
        if not self._uploading.acquire(blocking=False):
            raise Refused(Code.busy, "another package is being installed")
        try:
            if length > _MOST_BYTES:
                raise Refused(Code.no_room, f"the upload has {length} bytes")
            path = self.places.kept.with_name("upload")
            try:
                try:
                    with path.open("wb") as file:
                        found = save_file(stream, length, content_type, file)
                except OSError as error:
                    raise _no_room(error) from None
                if not found:
                    raise Refused(Code.no_room, "the upload has no file")
                self.install(path)
            finally:
                path.unlink(missing_ok=True)
        finally:
            self._uploading.release()

    def install(self, path: Path) -> Installed:
        """Install the package in the file *path*, or upgrade the app that it holds. Raises Refused."""
        try:
            package = read_summary(path)
        except ConfigError as error:
            raise Refused(Code.invalid, str(error)) from None
        with self._lock:
            self._judge(path, package)
            before = self.kept.apps.get(package.name)
            uid = before.uid if before else self.kept.next_uid
            fresh, _ = self._upgrade_folders(package.name)
            shutil.rmtree(fresh, ignore_errors=True)
            try:
                unpack(path, fresh, self._owner(uid))
                return self._put_in_place(package, fresh, before, uid)
            except TooLarge as error:
                raise Refused(Code.no_room, str(error)) from None
            except BadArchive as error:
                raise Refused(Code.invalid, str(error)) from None
            except OSError as error:
                raise _no_room(error) from None
            finally:
                shutil.rmtree(fresh, ignore_errors=True)

    def _judge(self, path: Path, package: Summary) -> None:
        """Raise Refused when the rules of AXIS OS forbid *package*, the file *path*."""
        if package.is_signed and (problem := find_signature_problem(path, self._signing_key)):
            raise Refused(Code.not_verified, problem)
        state = CameraState(
            version=self.facts.version,
            architecture=self.facts.architecture,
            takes_unsigned=self.switch("AllowUnsigned") or False,
            installed={app.name: app.version for app in self.kept.apps.values()},
        )
        for verdict in predict(package, state):
            if verdict.code is not None:
                raise Refused(verdict.code, verdict.text)
        before = self.kept.apps.get(package.name)
        if before and before.vendor_id and before.vendor_id != package.vendor_id:
            text = "Vendor ID in manifest does not match the vendor ID of the previous version"
            raise Refused(Code.other_vendor, text)

    def _put_in_place(self, package: Summary, fresh: Path, before: Installed | None, uid: int) -> Installed:
        if not (fresh / package.name).is_file():
            raise Refused(Code.invalid, f"the package has no program {package.name}")
        (fresh / package.name).chmod(0o755)
        conf = parse_package_conf(_read(fresh / "package.conf"))
        app = describe_app(
            package.manifest,
            conf,
            parse_cgi_conf(_read(fresh / "cgi.conf")),
            name=package.name,
            version=package.version,
            uid=uid,
            is_signed=package.is_signed,
        )
        app = replace(app, is_wanted=before.is_wanted if before else False)
        was_running = self._runs(app.name)
        if before:
            self._runners[app.name].stop()
        folder = self.places.packages / app.name
        _, old = self._upgrade_folders(app.name)
        shutil.rmtree(old, ignore_errors=True)
        data = fresh / "localdata"
        if folder.is_dir():
            if (folder / "localdata").is_dir():
                shutil.rmtree(data, ignore_errors=True)
                (folder / "localdata").rename(data)
            folder.rename(old)
        if not data.is_dir():
            data.mkdir(mode=0o755)
            if self.places.accounts:
                os.chown(data, uid, ADDON_GID)
        fresh.rename(folder)
        # A power cut from now on leaves an app that is whole.
        os.sync()
        with self.changing() as kept:
            kept.next_uid = max(kept.next_uid, uid + 1)
            kept.apps[app.name] = app
        self._runners[app.name] = runner = self._runner(app)
        script = conf.get("POSTINSTALLSCRIPT", "")
        if script and (code := self._script(app, script, folder)) != 0:
            self._remove(app, runner)
            number = Code.timed_out if code is None else Code.unspecified
            raise Refused(number, f"'{app.name}': its install script has ended with exit code {code}")
        shutil.rmtree(old, ignore_errors=True)
        self._keep_parameters(app.name, folder)
        self.log.write("acapctl", f"Installed '{app.name}' {app.version}", pid=os.getpid())
        if was_running:
            with suppress(Refused):
                runner.start()
        return app

    def _keep_parameters(self, app: str, folder: Path) -> None:
        """Give *app* the parameters of its package; those that it had keep their values."""
        fresh = parse_parameters(app, _read(folder / "param.conf").decode("utf-8", "replace"))
        old = {one.name: one.value for one in self._read_parameters(app)}
        self._write_parameters(app, [replace(one, value=old.get(one.name, one.value)) for one in fresh])

    def _script(self, app: Installed, name: str, folder: Path) -> int | None:
        script = folder / Path(name).name
        with suppress(OSError):
            script.chmod(0o755)
        return run_script(
            script, folder, self._account(app), _SCRIPT_SECONDS, lambda line: self.log.write(app.name, line)
        )

    # Users

    def find_app_of(self, uid: int) -> str:
        """Return the name of the app that runs as the user *uid*, "" when none does."""
        return next((app.name for app in list(self.kept.apps.values()) if app.uid == uid), "")

    def _runner(self, app: Installed) -> Runner:
        return self._new_runner(app, self.places.packages / app.name, self.log, self._account(app))

    def _account(self, app: Installed) -> dict[str, object]:
        if self.places.accounts is None:
            return {}
        groups = [GROUPS[name] for name in app.groups if name in GROUPS]
        return {"user": app.uid, "group": ADDON_GID, "extra_groups": groups}

    def _owner(self, uid: int) -> Callable[[int], None]:
        if self.places.accounts is None:
            return lambda _: None
        return lambda descriptor: os.fchown(descriptor, uid, ADDON_GID)

    def _users(self) -> object:
        """Return what `_write_users` writes of, to be compared."""
        apps = {app.user: (app.uid, app.groups) for app in self.kept.apps.values()}
        return apps, dict(self.kept.ssh_users)

    def _write_users(self) -> None:
        """Write the users of apps and of SSH and the groups of AXIS OS behind what the camera's own files have."""
        folder = self.places.accounts
        if folder is None:
            return
        apps = self.kept.apps.values()
        ssh_users = self.kept.ssh_users
        lines = {
            "passwd": [
                *(f"{app.user}:x:{app.uid}:{ADDON_GID}::{self.places.packages / app.name}:/bin/false" for app in apps),
                *(
                    f"{name}:x:{user.uid}:{SSH_GID}:{_one_line(user.comment)}:{self.places.homes / name}:/bin/sh"
                    for name, user in ssh_users.items()
                ),
            ],
            "group": [
                *(
                    f"{name}:x:{number}:{','.join(app.user for app in apps if name in app.groups)}"
                    for name, number in GROUPS.items()
                ),
                f"ssh:x:{SSH_GID}:",
            ],
        }
        if self.has_ssh_users:
            lines["shadow"] = [f"{name}:{user.secret}:::::::" for name, user in ssh_users.items()]
            self._make_homes()
        for name, added in lines.items():
            path = folder / name
            if name not in self._base_accounts:
                own = path.read_text("utf-8").splitlines() if path.exists() else []
                mine = ("acap-", *(f"{one}:" for one in (*GROUPS, "ssh", *ssh_users)))
                self._base_accounts[name] = "".join(f"{line}\n" for line in own if not line.startswith(mine))
            temporary = path.with_name(f"{name}.new")
            temporary.unlink(missing_ok=True)
            mode = 0o600 if name == "shadow" else 0o644
            with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w") as stream:
                stream.write(self._base_accounts[name] + "".join(f"{line}\n" for line in added))
            temporary.replace(path)

    def _make_homes(self) -> None:
        """Make the homes of the accounts for SSH, and remove those of accounts that are gone."""
        homes = self.places.homes
        homes.mkdir(mode=0o755, exist_ok=True)
        for name, user in self.kept.ssh_users.items():
            home = homes / name
            if not home.is_dir():
                home.mkdir(mode=0o700)
                os.chown(home, user.uid, SSH_GID)
        for left in homes.iterdir():
            if left.name not in self.kept.ssh_users:
                shutil.rmtree(left, ignore_errors=True)


def _one_line(text: str) -> str:
    return "".join(one for one in text if one.isprintable())


def _boot_id() -> str:
    digits = secrets.token_hex(16)
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _read(path: Path) -> bytes:
    """Return the beginning of the regular file *path*; nothing where there is none. Links are not followed."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as stream:
            return stream.read(_MOST_TEXT) if stat.S_ISREG(os.fstat(descriptor).st_mode) else b""
    except OSError:
        return b""


def _no_room(error: OSError) -> Refused:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    return Refused(Code.no_room if full else Code.unspecified, f"cannot write the package: {error.strerror}")


__all__ = ["GROUPS", "BadUpload", "Camera", "Places"]
