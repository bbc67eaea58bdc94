"""package: make the `.eap` of a project, the file that a camera installs. A stored one is used when nothing changed."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from incamera.build.keys import MOST_KEPT
from incamera.disk import users_umask, write_atomic
from incamera.eap import conf
from incamera.eap.archive import Contents, list_members, pack, plan_operands
from incamera.eap.contents import bundle_members, project_members, written
from incamera.eap.manifest import FILE, complete_manifest, load_manifest, make_manifest
from incamera.eap.start import BUNDLE, dump_start_script
from incamera.errors import ConfigError, StoreError
from incamera.project.package_settings import TABLE, load_package_settings
from incamera.units import format_bytes, format_count
from incamera.workflows.build import build_bundle

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incamera.context import Context, Step
    from incamera.eap.manifest import Manifest
    from incamera.eap.tar import Member
    from incamera.project.package_settings import PackageSettings
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.target import Target

# Increase it when packages made from the same inputs change.
_FORMAT = 1
EPOCH_VARIABLE = "SOURCE_DATE_EPOCH"
# 1 January 2020. The vendor's tool takes the present time, so that each of its packages is another one.
_DEFAULT_EPOCH = 1_577_836_800
MOST_BYTES = 100 * 1024 * 1024
_LICENSE = "LICENSE"
_MANIFEST_MODE = 0o600
_PROGRAM_MODE = 0o755
# The guard receives and supervises bundles; in a package, the camera does that.
_LEFT_OUT = ("bin/incamera-guard",)
_EAP, _FACTS = "package.eap", "facts.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a package: the sizes of its files in bytes, and about how many of the packed bytes they take."""

    name: str
    files: int
    installed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """A package in the store at *path*, and the *file_name* that it should have.

    *tar_sha256* is the same everywhere for equal inputs; *sha256* and *packed* also depend on what has compressed it.
    *installed* is the size of its files in bytes.
    """

    target: Target
    manifest: Manifest
    path: Path
    file_name: str
    sha256: str
    tar_sha256: str
    packed: int
    installed: int
    parts: tuple[Part, ...] = ()
    excluded: tuple[str, ...] = ()
    cached: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """What a package consists of."""

    manifest: Manifest
    contents: Contents
    epoch: int
    others: Sequence[str] = field(default_factory=tuple)


def build_package(context: Context, project: Project, target: Target) -> Package:
    """Return the package of *project* for *target*; what is stale is made first. Raises ConfigError, BuildError."""
    settings = load_package_settings(project)
    bundle = build_bundle(context, project, target, renew_lock=False)
    with context.reporter.step("package") as step:
        plan = _plan(context, project, settings, bundle)
        package = _ensure(context, bundle, plan, step)
        step.cached = package.cached
        step.note("nothing changed" if package.cached else _describe(package))
    for path in package.excluded:
        context.reporter.warn(f"{path} is left out of the package, as the vendor's tool leaves out files of that name")
    return package


def _describe(package: Package) -> str:
    files = sum(part.files for part in package.parts)
    return f"{format_count(files, 'file')}, {format_bytes(package.packed)} of {format_bytes(package.installed)}"


def _plan(context: Context, project: Project, settings: PackageSettings, bundle: Bundle) -> _Plan:
    """Return what the package consists of."""
    if not bundle.arguments:
        project.require_entry()
    manifest = _manifest(project, settings, bundle)
    architecture = bundle.target.architecture
    own = _own_files(project, settings, manifest)
    others = [BUNDLE, *settings.files]
    listed = [*others, *([manifest.pre_uninstall] if manifest.pre_uninstall else [])]
    members: dict[str, Member] = {
        member.path: member for member in bundle_members(bundle.path, bundle.entries, _LEFT_OUT)
    }
    members |= own
    generated = {
        manifest.app_name: written(
            manifest.app_name, dump_start_script(manifest.app_name, bundle.arguments), _PROGRAM_MODE
        ),
        conf.PACKAGE_CONF: written(conf.PACKAGE_CONF, conf.dump_package_conf(manifest, architecture, listed)),
        conf.PARAM_CONF: written(conf.PARAM_CONF, conf.dump_param_conf(manifest)),
        _LICENSE: written(_LICENSE, _license_text(project, settings)),
        FILE: written(FILE, manifest.dump(), _MANIFEST_MODE),
    }
    cgi = conf.dump_cgi_conf(manifest)
    if cgi is not None:
        generated[conf.CGI_CONF] = written(conf.CGI_CONF, cgi)
    _require_distinct(generated, members)
    members |= generated
    there = {*members, *(path.partition("/")[0] for path in members)}
    operands = plan_operands(
        app_name=manifest.app_name,
        others=others,
        has=there.__contains__,
        post_install=manifest.post_install,
        pre_uninstall=manifest.pre_uninstall,
    )
    contents = Contents(files=members, operands=operands)
    return _Plan(manifest=manifest, contents=contents, epoch=_epoch(context.environment), others=others)


def _manifest(project: Project, settings: PackageSettings, bundle: Bundle) -> Manifest:
    if settings.manifest is not None:
        document, origin = load_manifest(settings.manifest), settings.manifest.name
    else:
        document = make_manifest(settings, project=project.name, version=bundle.version)
        origin = f"the manifest made of [{TABLE}]"
    return complete_manifest(document, bundle.target.architecture, origin=origin)


def _own_files(project: Project, settings: PackageSettings, manifest: Manifest) -> dict[str, Member]:
    """Return the members that are files of the project: web files, additional files, scripts."""
    members: list[Member] = []
    if settings.html:
        members += project_members(project.folder, settings.html, "html")
    for name in settings.files:
        members += project_members(project.folder, name)
    for script in dict.fromkeys((manifest.post_install, manifest.pre_uninstall)):
        if not script:
            continue
        if not (project.folder / script).is_file():
            raise ConfigError(
                f"the manifest names the script {script}, which is not in {project.folder}", hint="add it, or remove it"
            )
        data = (project.folder / script).read_bytes()
        members.append(written(script, data, _PROGRAM_MODE))
    return {member.path: member for member in members}


def _require_distinct(generated: Mapping[str, Member], members: Mapping[str, Member]) -> None:
    """Raises ConfigError when a file of the project or the bundle has the name of one that incamera writes."""
    top = {path.partition("/")[0] for path in members}
    taken = next((name for name in generated if name in top), None)
    if taken is not None:
        raise ConfigError(
            f"the package would have two files with the name {taken}",
            hint=f'write another app-name in [{TABLE}], or rename the file or folder "{taken}"',
        )


def _license_text(project: Project, settings: PackageSettings) -> bytes:
    texts = [(project.folder / name).read_bytes() for name in settings.license_files]
    if not texts:
        texts = [f"{project.name}: {settings.license or 'no license was given'}\n".encode()]
    return b"\n".join(texts)


def _epoch(environment: Mapping[str, str]) -> int:
    text = environment.get(EPOCH_VARIABLE, "")
    if not text:
        return _DEFAULT_EPOCH
    if not text.isdecimal() or int(text) >= 1 << 33:
        raise ConfigError(
            f'{EPOCH_VARIABLE} is "{text}", which is not a number of seconds since 1970', hint=f"unset {EPOCH_VARIABLE}"
        )
    return int(text)


def _ensure(context: Context, bundle: Bundle, plan: _Plan, step: Step) -> Package:
    """Return the package of *plan*; if the store does not have it, pack it."""
    listing = list_members(plan.contents)
    total = sum(member.size for member in listing.members)

    def build(tree: Path) -> None:
        with step.phase("compressing", "compressed", total) as advance:
            packed = pack(listing.members, plan.epoch, tree / _EAP, advance)
        facts = {
            "sha256": packed.sha256,
            "tar_sha256": packed.tar_sha256,
            "packed": packed.bytes,
            "installed": total,
            "parts": [[part.name, part.files, part.installed] for part in _parts(listing.members)],
        }
        (tree / _FACTS).write_text(json.dumps(facts), "utf-8")

    tree, cached = context.store.ensure_tree("packages", _key(bundle, plan), build, most=MOST_KEPT)
    facts: dict[str, Any] = json.loads((tree / _FACTS).read_text("utf-8"))
    package = Package(
        target=bundle.target,
        manifest=plan.manifest,
        path=tree / _EAP,
        file_name=conf.package_file_name(plan.manifest, bundle.target.architecture),
        sha256=facts["sha256"],
        tar_sha256=facts["tar_sha256"],
        packed=facts["packed"],
        installed=facts["installed"],
        parts=tuple(Part(name=name, files=files, installed=size) for name, files, size in facts["parts"]),
        excluded=tuple(listing.excluded),
        cached=cached,
    )
    _require_small(package)
    return package


def _require_small(package: Package) -> None:
    if package.packed > MOST_BYTES:
        largest = max(package.parts, key=lambda part: part.installed)
        raise ConfigError(
            f"the package has {format_bytes(package.packed)}, more than the {format_bytes(MOST_BYTES)} that a camera "
            f"is sure to take; {largest.name} is the largest part",
            hint="`incamera build --json` lists what is in the bundle; exclude in [tool.incamera] leaves files out",
        )


def _parts(members: Iterable[Member]) -> list[Part]:
    """Return the sizes of the parts of a package: the runtime, the app, and what else there is."""
    sizes: dict[str, list[int]] = {}
    for member in members:
        if not member.is_folder:
            sizes.setdefault(_part_of(member.path), []).append(member.size)
    return [Part(name=name, files=len(found), installed=sum(found)) for name, found in sizes.items()]


def _part_of(path: str) -> str:
    words = path.split("/")
    if words[0] != BUNDLE:
        return words[0] if len(words) > 1 else "manifest and scripts"
    if words[1] == "app":
        return "the app"
    if "dist-packages" in words:
        return "packages"
    if words[1] in ("lib", "libexec") and len(words) > 3:
        return "standard library"
    return "interpreter and libraries"


def _key(bundle: Bundle, plan: _Plan) -> str:
    """Return a digest of all that goes into the package. Files of the bundle are known by its digest."""
    inputs: list[object] = [_FORMAT, bundle.digest, plan.epoch, zlib.ZLIB_RUNTIME_VERSION, list(plan.contents.operands)]
    for path, member in sorted(plan.contents.files.items()):
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


def write_package(package: Package, folder: Path) -> Path:
    """Copy *package* into *folder* under its own name, unless it is there. Returns its path. Raises StoreError."""
    path = folder / package.file_name
    data = package.path.read_bytes()
    try:
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
