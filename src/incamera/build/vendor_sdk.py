"""SDKs of the vendor in the store: each is the sysroot of an image, and the compiler's flags that go with it.

<store>/sdks/HASH.json says of an image's name which tree it is. The trees are of the kind `sdk-images`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from incamera.archives import BadArchive
from incamera.digest import Sha256
from incamera.disk import write_atomic
from incamera.errors import BuildError, ConfigError, IntegrityError
from incamera.image_name import ImageName, parse_image_name
from incamera.oci.layers import File, Folder, Node, Unpacker, write_tree
from incamera.project.settings import ARCHITECTURE
from incamera.sdk.vendor import MAX_SCRIPT, TOP, find_architecture, is_script, is_wanted, read_flags
from incamera.store import damaged
from incamera.targets.architecture import Architecture

if TYPE_CHECKING:
    from incamera.context import Step
    from incamera.store import Store
    from incamera.targets.target import Target

KIND = "sdk-images"
SDKS = "sdks"

_FORMAT = 1
_FACTS = "sdk.json"
_SYSROOT = "sysroot"
_SYSROOTS = "sysroots"


@dataclass(frozen=True, kw_only=True, slots=True)
class VendorSdk:
    """An SDK in the store. *digest* is the image's, *tree* its folder, *flags* are for the compiler."""

    name: str
    digest: Sha256
    architecture: Architecture
    tree: Path
    flags: tuple[str, ...]

    @property
    def sysroot(self) -> Path:
        return self.tree / _SYSROOT

    @property
    def key(self) -> str:
        """What of it goes into the cache keys of builds."""
        return f"{self.digest} {_FORMAT}"


@dataclass(frozen=True, slots=True)
class LayerSource:
    """One layer of an image: *open* returns the stream with its *size* bytes. *name* is for messages."""

    name: str
    size: int
    open: Callable[[], IO[bytes]]


def tree_key(digest: Sha256) -> str:
    """Return the key of the tree that is made of the image with that *digest*."""
    return hashlib.sha256(f"{_FORMAT} {digest}".encode()).hexdigest()[:32]


def unpack_sdk(layers: list[LayerSource], tree: Path, scratch: Path, step: Step, *, name: ImageName) -> None:
    """Write the sysroot that is in *layers*, the lowest first, into the folder *tree*, with the flags.

    *scratch* is an empty folder on the same file system. Raises BuildError when it has none, IntegrityError.
    """
    unpacker = Unpacker(scratch, TOP, is_wanted)
    image = Folder()
    with step.phase("unpacking", "unpacked", sum(layer.size for layer in layers)) as progress:
        for layer in layers:
            with reporting_damage(f"{name}: {layer.name}"), layer.open() as stream:
                unpacker.read(stream, layer.size, progress).apply(image)
    top = image.find(TOP)
    folder, architecture, sysroot = _find_sysroot(top if isinstance(top, Folder) else Folder(), name)
    (tree / _SYSROOT).mkdir()
    flags = _find_flags(top, architecture)
    write_tree(sysroot, tree / _SYSROOT, f"{TOP}/{_SYSROOTS}/{folder}")
    facts = {"architecture": architecture.value, "flags": flags}
    (tree / _FACTS).write_text(json.dumps(facts, indent=1), "utf-8")


def _find_sysroot(top: Folder, name: ImageName) -> tuple[str, Architecture, Folder]:
    found = []
    sysroots = top.find(_SYSROOTS)
    for folder, node in sorted(sysroots.children.items()) if isinstance(sysroots, Folder) else ():
        architecture = find_architecture(folder)
        if architecture is not None and isinstance(node, Folder) and isinstance(node.find("usr/include"), Folder):
            found.append((folder, architecture, node))
    if not found:
        raise BuildError(
            f"{name} has no sysroot of a camera: there is none in /{TOP}/{_SYSROOTS}",
            hint="images of the vendor's SDK are called axisecp/acap-native-sdk, or axisecp/acap-sdk up to AXIS OS 10",
        )
    return found[0]


def _find_flags(top: Node | None, architecture: Architecture) -> tuple[str, ...]:
    for name, node in sorted(top.children.items()) if isinstance(top, Folder) else ():
        is_its = find_architecture(name.removeprefix("environment-setup-")) is architecture
        if is_script(name) and is_its and isinstance(node, File):
            with node.content.open("rb") as stream:
                return read_flags(stream.read(MAX_SCRIPT).decode("utf-8", "replace"))
    return ()


@contextmanager
def reporting_damage(what: str) -> Iterator[None]:
    """Raise IntegrityError, which names *what*, for a BadArchive."""
    try:
        yield
    except BadArchive as error:
        raise IntegrityError(f"{what} is damaged: {error}") from error


# What the store has


def save_record(store: Store, name: ImageName, digest: Sha256, source: str) -> None:
    """Remember that the image *name*, which came from *source*, has the *digest*. Raises StoreError."""
    record = {"name": str(name), "digest": digest, "source": source}
    with store.reporting_disk_errors():
        write_atomic(_record_path(store, str(name)), json.dumps(record, indent=1).encode())


def remove_record(store: Store, name: str) -> bool:
    """Forget the image *name*, and remove its tree unless another name has it. Returns whether it was known."""
    path = _record_path(store, name)
    record = _read_record(path)
    if record is None:
        return False
    path.unlink(missing_ok=True)
    if record["digest"] not in {other["digest"] for other in _records(store)}:
        store.remove(KIND, tree_key(Sha256(record["digest"])))
    return True


def list_sdks(store: Store) -> list[tuple[VendorSdk | None, Mapping[str, str]]]:
    """Return each image that was added, and its record: None in place of one that was cleaned from the store."""
    return [(_open(store, record), record) for record in _records(store)]


def find_sdk(store: Store, name: str) -> VendorSdk | None:
    """Return the SDK of the image *name*; None when the store does not have it."""
    record = _read_record(_record_path(store, name))
    return _open(store, record) if record is not None else None


def require_sdk(store: Store, setting: str, target: Target) -> VendorSdk:
    """Return the SDK of the image that *setting*, a project's, names for *target*.

    Raises ConfigError when the store does not have it, or it is for another architecture.
    """
    name = str(parse_image_name(setting.replace(ARCHITECTURE, target.architecture)))
    sdk = find_sdk(store, name)
    if sdk is None:
        raise ConfigError(f"tool.incamera.sdk: {name} is not in the store", hint=f"add it: `incamera sdk add {name}`")
    if sdk.architecture is not target.architecture:
        raise ConfigError(
            f"tool.incamera.sdk: {name} is for {sdk.architecture}, and not for {target.architecture}",
            hint=f"write {ARCHITECTURE} in its name where the architecture stands, as in "
            f'"axisecp/acap-native-sdk:12.11.0-{ARCHITECTURE}-ubuntu24.04"',
        )
    return sdk


def _open(store: Store, record: Mapping[str, str]) -> VendorSdk | None:
    digest = Sha256(record["digest"])
    tree = store.find_tree(KIND, tree_key(digest))
    if tree is None:
        return None
    try:
        facts = json.loads((tree / _FACTS).read_text("utf-8"))
        return VendorSdk(
            name=record["name"],
            digest=digest,
            architecture=Architecture(facts["architecture"]),
            tree=tree,
            flags=tuple(map(str, facts["flags"])),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise damaged(f"{tree / _FACTS}: {error}") from error


def _records(store: Store) -> list[dict[str, str]]:
    found = [_read_record(path) for path in sorted((store.root / SDKS).glob("*.json"))]
    return [record for record in found if record is not None]


def _record_path(store: Store, name: str) -> Path:
    return store.root / SDKS / f"{hashlib.sha256(name.encode()).hexdigest()[:32]}.json"


def _read_record(path: Path) -> dict[str, str] | None:
    try:
        record: Any = json.loads(path.read_text("utf-8"))
        return {"name": str(record["name"]), "digest": Sha256(record["digest"]), "source": str(record["source"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None
