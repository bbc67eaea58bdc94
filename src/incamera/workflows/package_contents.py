"""What a package consists of: the bundle, the project's own files, license texts, and what incamera writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from incamera.build.licenses import ensure_licenses
from incamera.eap import conf, sbom, settings_page
from incamera.eap.archive import Contents, plan_operands
from incamera.eap.contents import bundle_members, project_members, written
from incamera.eap.licenses import FOLDER as LICENSES
from incamera.eap.licenses import dump_license, license_members
from incamera.eap.manifest import FILE as MANIFEST
from incamera.eap.start import BUNDLE, dump_start_script
from incamera.errors import ConfigError
from incamera.project.lockfile import find_lock
from incamera.project.package_settings import TABLE
from incamera.tree import list_tree

if TYPE_CHECKING:
    from collections.abc import Iterable

    from incamera.context import Context, Step
    from incamera.eap.manifest import Manifest
    from incamera.eap.tar import Member
    from incamera.eap.trim import Trim
    from incamera.project.locked import Lock
    from incamera.project.package_settings import PackageSettings
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle

LICENSE = "LICENSE"
_MANIFEST_MODE, _PROGRAM_MODE = 0o600, 0o755
# The guard receives and supervises bundles; in a package, the camera does that.
_LEFT_OUT = ("bin/incamera-guard",)


def plan_contents(
    context: Context,
    project: Project,
    settings: PackageSettings,
    bundle: Bundle,
    manifest: Manifest,
    step: Step,
    *,
    trim: Trim | None = None,
) -> Contents:
    """Return the contents of the package of *bundle* with *manifest*: of the bundle, what *trim* keeps.

    Raises ConfigError, FetchError.
    """
    if not bundle.arguments:
        project.require_entry()
    kept = trim.kept if trim is not None else None
    others = [BUNDLE, LICENSES, sbom.FILE, *settings.files]
    taken = {
        **_by_path(bundle_members(bundle.path, bundle.entries, _LEFT_OUT, kept)),
        **_own_files(project, settings, manifest),
    }
    generated = {
        **_configuration(settings, bundle, manifest, others),
        LICENSE: written(LICENSE, _license_text(project, settings)),
        **_descriptions(context, project, bundle, manifest, step),
    }
    _require_distinct(generated, taken)
    members = {**taken, **generated}
    there = {*members, *(path.partition("/")[0] for path in members)}
    operands = plan_operands(
        app_name=manifest.app_name,
        others=others,
        has=there.__contains__,
        post_install=manifest.post_install,
        pre_uninstall=manifest.pre_uninstall,
    )
    return Contents(files=members, operands=operands)


def _by_path(members: Iterable[Member]) -> dict[str, Member]:
    return {member.path: member for member in members}


def _configuration(
    settings: PackageSettings, bundle: Bundle, manifest: Manifest, others: Sequence[str]
) -> dict[str, Member]:
    """Return the members that a camera reads: the program, the manifest, and the files that follow from it."""
    architecture = bundle.target.architecture
    listed = [*others, *([manifest.pre_uninstall] if manifest.pre_uninstall else [])]
    start = dump_start_script(manifest.app_name, bundle.arguments)
    cgi = conf.dump_cgi_conf(manifest)
    return _by_path(
        [
            written(manifest.app_name, start, _PROGRAM_MODE),
            written(conf.PACKAGE_CONF, conf.dump_package_conf(manifest, architecture, listed)),
            written(conf.PARAM_CONF, conf.dump_param_conf(manifest)),
            written(MANIFEST, manifest.dump(), _MANIFEST_MODE),
            *([written(conf.CGI_CONF, cgi)] if cgi is not None else []),
        ]
    )


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
        members.append(written(script, (project.folder / script).read_bytes(), _PROGRAM_MODE))
    if has_generated_page(project, settings):
        title = str(manifest.setup.get("friendlyName", manifest.app_name))
        data = settings_page.dump_settings_page(title, manifest.app_name, settings.parameters)
        members.append(written(f"html/{settings_page.NAME}", data))
    page = str(manifest.configuration.get("settingPage", ""))
    if page and f"html/{page}" not in {member.path for member in members}:
        raise ConfigError(
            f'the manifest names the settings page "{page}", which is not in {settings.html or "html"}',
            hint="add it there, or remove settings-page",
        )
    return _by_path(members)


def has_generated_page(project: Project, settings: PackageSettings) -> bool:
    """Return whether incamera writes the settings page: there are parameters, and the user tells of no other page."""
    if settings.manifest is not None or "settings-page" in settings.written:
        return False
    if settings.html and (project.folder / settings.html / settings_page.NAME).exists():
        return False
    return bool(settings_page.find_shown(settings.parameters))


def _require_distinct(generated: Mapping[str, Member], taken: Mapping[str, Member]) -> None:
    """Raises ConfigError when a file of the project or the bundle has the name of one that incamera writes."""
    ours = {path.partition("/")[0] for path in generated}
    theirs = {path.partition("/")[0] for path in taken}
    if both := sorted(ours & theirs):
        raise ConfigError(
            f"the package would have two files with the name {both[0]}",
            hint=f'write another app-name in [{TABLE}], or rename the file or folder "{both[0]}"',
        )


def _license_text(project: Project, settings: PackageSettings) -> bytes:
    texts = [(project.folder / name).read_bytes() for name in settings.license_files]
    return dump_license(project.name, settings.license, texts)


def _descriptions(
    context: Context, project: Project, bundle: Bundle, manifest: Manifest, step: Step
) -> dict[str, Member]:
    """Return the members that describe what is inside: license texts, and the bill of materials."""
    lock = find_lock(project, bundle.target)
    assert lock is not None  # the bundle was made of it
    texts = ensure_licenses(context, project, lock, step)
    document = dump_sbom(lock, bundle, manifest)
    return _by_path([*license_members(texts, list_tree(texts)), written(sbom.FILE, document)])


def dump_sbom(lock: Lock, bundle: Bundle, manifest: Manifest) -> bytes:
    """Return the bill of materials for the packages of *lock*."""
    suite = lock.target.suite.name
    components = [
        *(sbom.deb_component(deb.package, deb.version, deb.architecture, suite, deb.sha256) for deb in lock.debs),
        *(
            sbom.python_component(item.name, item.version, item.source, item.file.sha256, item.requires)
            for item in lock.distributions
            if item.file is not None
        ),
        sbom.incamera_component(),
    ]
    return sbom.dump_sbom(manifest.app_name, manifest.setup["version"], components, identity=bundle.digest)
