"""An open connection to a device, and the facts about the device that were read over it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.attached import is_share_away
from incamera.connect.choose import devices_folder
from incamera.device.capabilities import Speed, ensure_images_tried, ensure_speed
from incamera.device.facts import PLACES
from incamera.device.libraries import ensure_libraries
from incamera.device.probe import probe
from incamera.device.registry import known_hosts_file
from incamera.errors import DeviceRefused, DeviceUnsuitable
from incamera.guard.program import Guard, ensure_guard
from incamera.holder.client import is_cold, open_held
from incamera.holder.dial import HolderSilent, NoHolder
from incamera.runtime.launcher import require_launcher
from incamera.targets.architecture import Architecture
from incamera.targets.form import Form, Kind
from incamera.transport import host_keys
from incamera.transport.host_keys import UnknownHostKey
from incamera.transport.session import Session

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.device.facts import DeviceFacts
    from incamera.device.libraries import LibraryTable
    from incamera.transport.device import Device

_NEW_HOSTS = 8


class Connection:
    """An open connection to one device. Each fact about the device is read once and kept.

    `session` runs programs on the device and copies files to and from it.
    """

    def __init__(self, context: Context, session: Session) -> None:
        self.session = session
        self._context = context
        self._facts: DeviceFacts | None = None

    @property
    def device(self) -> Device:
        return self.session.device

    @property
    def facts(self) -> DeviceFacts:
        """The facts about the device: architecture, C library, places, tools. Raises DeviceError."""
        return self._facts or self.probe()

    def probe(self) -> DeviceFacts:
        """Read the facts again, for example after a mount. Raises DeviceError."""
        # Reading a mounted share whose server is down may take minutes.
        away = is_share_away(self._context, str(self.device))
        without = [path for path, kind in PLACES.items() if kind is Kind.share] if away else []
        self._facts = probe(self.session, cache=self._cache(), without=without)
        return self._facts

    def require_architecture(self) -> Architecture:
        """Return the device's architecture. Raises DeviceUnsuitable when it is not one that cameras have."""
        architecture = Architecture.from_machine(self.facts.architecture)
        if architecture is None:
            raise DeviceUnsuitable(
                f"{self.device} is a {self.facts.architecture} machine",
                hint="incamera supports " + " and ".join(Architecture),
            )
        return architecture

    def guard(self, *, otherwise: str = "/tmp") -> Guard:
        """Return the guard for the device, in the first place that lets programs run, else in *otherwise*."""
        binary, installed = require_launcher(self.require_architecture()), self.session.transport.guard_path
        place = self.facts.find_guard_place()
        if place is None:
            return Guard(binary, otherwise, installed)
        return Guard(binary, place.path, installed, place.folder)

    def ensure_guard(self) -> str:
        """Upload the guard to the device unless it is there. Returns its path on the device."""
        return ensure_guard(self.session, self.guard())

    def forms(self) -> frozenset[Form]:
        """Return the forms that a bundle can run from. They are tried on the device once after each of its restarts."""
        forms = {Form.tree}
        if not self.facts.links_roots:
            return frozenset(forms)
        if {"tar", "gzip"} <= set(self.facts.tools):
            forms.add(Form.archive)
        if self.image_kinds(self.guard()):
            forms.add(Form.squashfs)
        return frozenset(forms)

    def image_kinds(self, guard: Guard) -> tuple[str, ...]:
        """Return the compressions of squashfs images that the device can mount, such as `zstd`."""
        path = ensure_guard(self.session, guard)
        return ensure_images_tried(self.session, self.facts, path, cache=self._capabilities())

    def measure_speeds(self) -> dict[str, Speed]:
        """Return the speed of each place by its path. It is measured once after each restart of the device."""
        path, cache = self.ensure_guard(), self._capabilities()
        return {
            place.path: ensure_speed(self.session, self.facts, place, path, cache=cache) for place in self.facts.places
        }

    def read_libraries(self, sonames: Iterable[str]) -> LibraryTable:
        """Return the device's libraries among *sonames*, and its C library, whose version decides which loader runs."""
        return ensure_libraries(self.session, self.facts, {*sonames, "libc.so.6"}, cache=device_cache(self._context))

    def _capabilities(self) -> Path:
        # Only root can mount images.
        return self._cache("capabilities" if self.facts.root else "capabilities-of-user")

    def _cache(self, what: str = "") -> Path:
        # Virtual cameras resumed from one saved state have the same boot ID, but different addresses.
        return device_cache(self._context) / ".".join([self.device.identity, *filter(None, [what]), "json"])


def device_cache(context: Context) -> Path:
    """Return the folder that keeps facts about devices."""
    folder = context.store.root / "caches" / "devices"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


@contextmanager
def connected(context: Context, device: Device, *, accept_key: str | None = None) -> Iterator[Connection]:
    """Connect to *device* for as long as the block lasts.

    The host key of a new device is accepted when the user confirms it, or when its fingerprint is *accept_key*.
    Raises DeviceUnreachable, DeviceRefused.
    """
    known_hosts = known_hosts_file(devices_folder(context))
    with ExitStack() as stack:

        def open_session() -> Session:
            if not is_cold(context.environment):
                try:
                    return stack.enter_context(_held(context, device, known_hosts))
                except HolderSilent as error:
                    context.reporter.warn(
                        f"process {error.pid}, which keeps connections open, does not answer: connecting without it; "
                        "`incamera connections close` ends it"
                    )
                except NoHolder:
                    pass
            from incamera.transport.ssh import connect  # lazy: a held connection needs no SSH in this process

            return stack.enter_context(connect(device, known_hosts=known_hosts, environment=context.environment))

        # The jump hosts on the way, and the device itself, may each be new.
        for _ in range(_NEW_HOSTS):
            try:
                session = open_session()
                break
            except UnknownHostKey as error:
                _require_trust(context, error, accept_key)
                host_keys.accept_key(known_hosts, error.key)
        else:
            session = open_session()
        yield Connection(context, session)


def _held(context: Context, device: Device, known_hosts: Path) -> Session:
    """Return a session over a connection that the holder keeps. Raises NoHolder, ConfigError."""
    return Session(
        lambda: open_held(context.store.root, device, known_hosts=known_hosts, environment=context.environment)
    )


def _require_trust(context: Context, error: UnknownHostKey, fingerprint: str | None) -> None:
    """Ask the user whether to trust the key of *error*, or compare it with *fingerprint*. Raises DeviceRefused."""
    key = error.key
    if fingerprint is None:
        if not context.reporter.confirm(
            f"{key.device} ({key.address}) is new here. Its {key.algorithm} key is {key.fingerprint}. Trust it?"
        ):
            raise error
    elif key.fingerprint.removeprefix("SHA256:") != fingerprint.removeprefix("SHA256:"):
        if error.is_jump:
            raise error
        raise DeviceRefused(
            f"{key.device} shows the key {key.fingerprint}, not {fingerprint}",
            hint="either the fingerprint was mistyped, or another machine answers at that address",
        ) from error
