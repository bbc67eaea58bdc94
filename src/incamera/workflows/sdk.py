"""sdk add, sdk list, sdk remove: the vendor's SDK, out of an image, as the sysroot that a project is built against."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING

from incamera import proc
from incamera.archives import open_regular
from incamera.build.vendor_sdk import (
    KIND,
    LayerSource,
    VendorSdk,
    find_sdk,
    remove_record,
    reporting_damage,
    save_record,
    tree_key,
    unpack_sdk,
)
from incamera.errors import FetchError, IntegrityError, UsageError
from incamera.http import NotFound, Unreachable
from incamera.image_name import parse_typed_name
from incamera.names import closest, listing
from incamera.oci.archive import Files, FolderFiles, TarFiles, find_image
from incamera.oci.download import fetch_layers, missing_bytes, remove_layers
from incamera.oci.logins import find_login
from incamera.oci.registry import Registry

if TYPE_CHECKING:
    from incamera.context import Context, Step
    from incamera.digest import Sha256
    from incamera.image_name import ImageName

ENGINES = ("docker", "podman")
# What the programs of the engines need to find their service.
_ENGINE_VARIABLES = ("CONTAINER_", "DOCKER_", "XDG_")
_CLOSEST = 5
_SOURCES = "--from takes docker, podman, a file that `docker save` has written, or a folder in OCI's layout"


def add_sdk(context: Context, text: str, source: str | None) -> VendorSdk:
    """Put the SDK of the image *text* into the store, and return it. What of it is there already is not read again.

    *source*: an engine, `docker` or `podman`; a file or folder with the image; None for its registry. Raises
    UsageError, FetchError, IntegrityError, BuildError when it has no sysroot, StoreError.
    """
    name = parse_typed_name(text)
    with context.reporter.step("sdk") as step:
        if source is None:
            digest = _from_registry(context, name, step)
        elif source in ENGINES:
            digest = _from_engine(context, name, source, step)
        else:
            digest = _from_path(context, name, Path(source), step)
        save_record(context.store, name, digest, source if source is not None else name.registry)
        sdk = find_sdk(context.store, str(name))
        assert sdk is not None
        step.note(f"{name}, for {sdk.architecture}")
    return sdk


def remove_sdk(context: Context, text: str) -> str:
    """Remove the SDK of the image *text* from the store, and return its name. Raises UsageError when it has none."""
    name = str(parse_typed_name(text))
    if not remove_record(context.store, name):
        raise UsageError(f"{name} is not in the store", hint="`incamera sdk list` shows those that are")
    return name


def _from_registry(context: Context, name: ImageName, step: Step) -> Sha256:
    store = context.store
    registry = Registry(context.http, name, find_login(context.environment, name.registry))
    try:
        digest, manifest = registry.find_manifest()
    except NotFound:
        raise _not_found(name, registry.tags()) from None
    except Unreachable as error:
        hint = (
            f"is the network up? `incamera sdk add {name} --from FILE` reads what `docker save` has written elsewhere"
        )
        raise Unreachable(str(error), hint=hint) from error

    def build(tree: Path) -> None:
        with step.phase("downloading", "downloaded", missing_bytes(store, manifest.layers)) as progress:
            paths = fetch_layers(manifest.layers, registry, context.http, store, progress)
        layers = [
            LayerSource(f"layer {path.name[:12]}", path.stat().st_size, functools.partial(open_regular, path))
            for path in paths
        ]
        try:
            _unpack(context, layers, tree, step, name)
        except IntegrityError:
            remove_layers(store, manifest.layers)
            raise

    _, step.cached = store.ensure_tree(KIND, tree_key(digest), build)
    remove_layers(store, manifest.layers)
    return digest


def _not_found(name: ImageName, tags: Sequence[str]) -> FetchError:
    if not tags:
        return FetchError(
            f"{name.registry} has no image {name}", hint="is the name right? The tag stands behind a colon"
        )
    near = closest(name.tag, tags, _CLOSEST, among_many=len(tags) > _CLOSEST)
    newest = sorted(tags, reverse=True)
    return FetchError(
        f"{name.registry} has no image {name}",
        hint=listing(f"tags of {name.shown_repository}", near or newest),
    )


def _from_engine(context: Context, name: ImageName, engine: str, step: Step) -> Sha256:
    with context.store.temporary() as folder:
        file = folder / "image.tar"
        form = ["--format", "oci-archive"] if engine == "podman" else []
        environment = {key: value for key, value in context.environment.items() if key.startswith(_ENGINE_VARIABLES)}
        with step.phase(f"reading it from {engine}", f"read from {engine}"):
            proc.run(
                [engine, "image", "save", *form, "--output", file, str(name)],
                purpose=f"read {name} from {engine}",
                env=proc.minimal_environment(**environment),
                hint=f"`{engine} pull {name}` fetches the image; does `{engine} images` show it?",
            )
        return _from_path(context, name, file, step, shown=engine)


def _from_path(context: Context, name: ImageName, path: Path, step: Step, shown: str | None = None) -> Sha256:
    what = f"the image in {shown or path}"
    with context.store.temporary() as scratch:
        try:
            with reporting_damage(what):
                files: Files = FolderFiles(path) if path.is_dir() else TarFiles(path, scratch / "image.tar")
                image = find_image(files, name)
        except OSError as error:
            with context.store.reporting_disk_errors():
                raise UsageError(f"cannot read {path}: {error.strerror}", hint=_SOURCES) from error
        layers = [LayerSource(layer.path, layer.size, _opener(files, layer.path)) for layer in image.layers]
        _, step.cached = context.store.ensure_tree(
            KIND, tree_key(image.digest), lambda tree: _unpack(context, layers, tree, step, name)
        )
    return image.digest


def _opener(files: Files, path: str) -> Callable[[], IO[bytes]]:
    return lambda: files.open(path)[0]


def _unpack(context: Context, layers: list[LayerSource], tree: Path, step: Step, name: ImageName) -> None:
    with context.store.temporary() as scratch:
        unpack_sdk(layers, tree, scratch, step, name=name)
