"""package: make the `.eap` of a project, the file that a camera installs. A stored one is used when nothing changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.build.keys import MOST_KEPT
from incamera.disk import users_umask, write_atomic
from incamera.eap import conf, settings_page
from incamera.eap.archive import list_members, pack
from incamera.eap.demands import claimed_generations
from incamera.eap.gnu_gzip import pack_with_gnu_gzip, require_gnu_gzip
from incamera.eap.manifest import complete_manifest, load_manifest, make_manifest
from incamera.eap.parts import part_of
from incamera.eap.start import BUNDLE
from incamera.errors import ConfigError, StoreError
from incamera.project.bundled_sources import check_sources
from incamera.project.package_settings import TABLE, load_package_settings
from incamera.units import format_bytes, format_count
from incamera.workflows.build import build_bundle
from incamera.workflows.package_check import check_package
from incamera.workflows.package_contents import has_generated_page, plan_contents
from incamera.workflows.package_needs import ask_for_needs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incamera.context import Context, Step
    from incamera.eap.archive import Contents
    from incamera.eap.manifest import Manifest
    from incamera.eap.tar import Member
    from incamera.eap.trim import Trim
    from incamera.project.package_settings import PackageSettings
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.target import Target
    from incamera.workflows.package_check import Check

# Increase it when packages made from the same inputs change.
_FORMAT = 4
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
# 1 January 2020. The vendor's tool takes the present time, so that each of its packages is another one.
_DEFAULT_EPOCH = 1_577_836_800
# A tar header has 11 octal digits for the time.
_EPOCH_LIMIT = 1 << 33
MOST_BYTES = 100 * 1024 * 1024
_EAP, _FACTS = "package.eap", "facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a package: its number of files, and their size in bytes."""

    name: str
    files: int
    installed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package in the store at *path*, and the *file_name* that it should have.

    *tar_sha256* is the same everywhere for equal inputs; *sha256* and *packed* also depend on *compressor*, which has
    compressed it. *installed* is the size of its files in bytes. *excluded* are files that it lacks as the vendor
    tool's would. *checks* say where it is accepted. *dropped* are what *trim* left out, by names, and their bytes.
    """

    target: Target
    manifest: Manifest
    path: Path
    file_name: str
    sha256: str
    tar_sha256: str
    compressor: str
    packed: int
    installed: int
    parts: tuple[Part, ...]
    excluded: tuple[str, ...]
    checks: tuple[Check, ...]
    trim: Trim | None = None
    dropped: tuple[tuple[str, int], ...] = ()


def build_package(
    context: Context,
    project: Project,
    target: Target,
    *,
    gnu_gzip: bool = False,
    generations: Sequence[str] | None = None,
    recorded: Sequence[str] | None = None,
) -> Package:
    """Return the package of *project* for *target*; what is stale is made first.

    With *gnu_gzip* the computer's own gzip compresses it. It is checked against the AXIS OS *generations*; None stands
    for those that its manifest names. With *recorded*, it is trimmed to what the app can import, and to these modules.
    Raises ConfigError, BuildError, ToolFailed.
    """
    compressor = require_gnu_gzip() if gnu_gzip else f"zlib {zlib.ZLIB_RUNTIME_VERSION}"
    settings = load_package_settings(project)
    bundle = build_bundle(context, project, target, renew_lock=False)
    paths = [entry.path for entry in bundle.entries]
    check_sources(project, paths, bundle.path, target.python, outcome="the app cannot start")
    manifest = _manifest(context, project, settings, bundle)
    trim = None
    if recorded is not None:
        from incamera.workflows.package_trim import ensure_trim  # lazy: start-up; it parses sources

        trim = ensure_trim(context, project, bundle, recorded)
    checks = check_package(
        context, bundle, manifest, claimed_generations(manifest) if generations is None else generations, trim
    )
    with context.reporter.step("package") as step:
        contents = plan_contents(context, project, settings, bundle, manifest, step, trim=trim)
        packing = _Packing(
            contents, bundle, manifest, _epoch(context.environment), compressor, gnu_gzip=gnu_gzip, trim=trim
        )
        package = packing.ensure(context, step, tuple(checks))
        if step.cached:
            step.note("nothing changed")
        else:
            files = format_count(sum(part.files for part in package.parts), "file")
            step.note(f"{files}, {format_bytes(package.packed)} of {format_bytes(package.installed)}")
    for problem in manifest.unknown:
        context.reporter.warn(f"manifest: {problem}")
    for path in package.excluded:
        context.reporter.warn(f"{path} is left out of the package, as the vendor's tool leaves out files of that name")
    _require_small(package)
    return package


def _manifest(context: Context, project: Project, settings: PackageSettings, bundle: Bundle) -> Manifest:
    if settings.manifest is not None:
        document, origin = load_manifest(settings.manifest), settings.manifest.name
    else:
        if has_generated_page(project, settings):
            context.reporter.info(f"settings page: html/{settings_page.NAME} is made from the parameters")
            settings = dataclasses.replace(settings, settings_page=settings_page.NAME)
        document = make_manifest(settings, project=project.name, version=bundle.version)
        origin = f"the manifest made of [{TABLE}]"
    document = ask_for_needs(context, settings, bundle, document)
    return complete_manifest(document, bundle.target.architecture, origin=origin)


def _epoch(environment: Mapping[str, str]) -> int:
    text = environment.get(EPOCH_VARIABLE, "")
    if not text:
        return _DEFAULT_EPOCH
    if not (text.isascii() and text.isdecimal()) or int(text) >= _EPOCH_LIMIT:
        raise ConfigError(
            f'{EPOCH_VARIABLE} is "{text}", which is not a number of seconds since 1970', hint=f"unset {EPOCH_VARIABLE}"
        )
    return int(text)


@dataclass(frozen=True, slots=True)
class _Packing:
    """What is packed, and how."""

    contents: Contents
    bundle: Bundle
    manifest: Manifest
    epoch: int
    compressor: str
    gnu_gzip: bool
    trim: Trim | None

    def ensure(self, context: Context, step: Step, checks: tuple[Check, ...]) -> Package:
        """Return the package; if the store does not have it, pack it."""
        listing = list_members(self.contents)
        total = sum(member.size for member in listing.members)
        compress = pack_with_gnu_gzip if self.gnu_gzip else pack

        def build(tree: Path) -> None:
            with step.phase("compressing", "compressed", total) as advance:
                packed = compress(listing.members, self.epoch, tree / _EAP, advance)
            facts = {"sha256": packed.sha256, "tar_sha256": packed.tar_sha256, "packed": packed.bytes}
            (tree / _FACTS).write_text(json.dumps(facts), "utf-8")

        tree, step.cached = context.store.ensure_tree("packages", self._key(), build, most=MOST_KEPT)
        facts: dict[str, Any] = json.loads((tree / _FACTS).read_text("utf-8"))
        return Package(
            target=self.bundle.target,
            manifest=self.manifest,
            path=tree / _EAP,
            file_name=conf.package_file_name(self.manifest, self.bundle.target.architecture),
            **facts,
            compressor=self.compressor,
            installed=total,
            parts=tuple(_parts(listing.members)),
            excluded=tuple(listing.excluded),
            checks=checks,
            trim=self.trim,
            dropped=tuple(self._dropped()),
        )

    def _dropped(self) -> list[tuple[str, int]]:
        if self.trim is None:
            return []
        return self.trim.name_dropped({entry.path: entry.size for entry in self.bundle.entries})

    def _key(self) -> str:
        """Return a digest of all that goes into the package. Files of the bundle are known by its digest."""
        inputs: list[object] = [_FORMAT, self.bundle.digest, self.epoch, self.compressor, list(self.contents.operands)]
        if self.trim is not None:
            inputs.append(self.trim.digest)
        for path, member in sorted(self.contents.files.items()):
            if not path.startswith(f"{BUNDLE}/"):
                inputs.append([path, member.mode, member.link, _content_digest(member)])
        return hashlib.sha256(json.dumps(inputs).encode()).hexdigest()[:32]


def _content_digest(member: Member) -> str:
    if isinstance(member.content, bytes):
        return hashlib.sha256(member.content).hexdigest()
    if member.content is None:
        return ""
    with member.content.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _require_small(package: Package) -> None:
    if package.packed > MOST_BYTES:
        largest = max(package.parts, key=lambda part: part.installed)
        raise ConfigError(
            f"the package has {format_bytes(package.packed)}, more than the {format_bytes(MOST_BYTES)} that a camera "
            f"is sure to take; its largest part is: {largest.name}, {format_bytes(largest.installed)}",
            hint="`incamera build --json` lists what is in the bundle; exclude in [tool.incamera] leaves files out",
        )


def _parts(members: Iterable[Member]) -> list[Part]:
    """Return the parts of a package and their sizes: the runtime, the app, and what else there is."""
    sizes: dict[str, list[int]] = {}
    for member in members:
        if not member.is_folder:
            sizes.setdefault(part_of(member.path), []).append(member.size)
    return [Part(name=name, files=len(found), installed=sum(found)) for name, found in sizes.items()]


def write_package(package: Package, folder: Path) -> Path:
    """Copy *package* into *folder* under its own name, unless it is there. Returns its path. Raises StoreError."""
    path = folder / package.file_name
    try:
        data = package.path.read_bytes()
        if path.is_file() and path.stat().st_size == len(data) and path.read_bytes() == data:
            return path
        with users_umask():
            write_atomic(path, data)
            path.chmod(0o644)
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error.strerror}", hint="name another folder with --output DIR"
        ) from error
    return path
