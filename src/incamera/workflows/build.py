"""build: lock, fetch, build and bundle. Each step runs only when its result is stale."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.build.background import Background
from incamera.build.keys import bundle_key, sdk_key
from incamera.project.files import files_digest
from incamera.runtime.bundle import load_bundle
from incamera.tree import tree_digest
from incamera.units import format_count
from incamera.workflows.lock import ensure_lock

if TYPE_CHECKING:
    from incamera.build.runtime import Interpreter
    from incamera.context import Context
    from incamera.project.settings import Project
    from incamera.runtime.bundle import Bundle
    from incamera.targets.target import Target


def build_bundle(context: Context, project: Project, target: Target, *, renew_lock: bool = True) -> Bundle:
    """Return the project's bundle for *target*. What is stale is made first; a stale lock only with *renew_lock*.

    Raises ConfigError, ResolveError, FetchError, BuildError, ToolFailed.
    """
    files = project.find_files()
    app_digest = files_digest(project.folder, files)
    # While the resolver works, the interpreter that byte-compiles is downloaded in the background.
    with Background(context, lambda: _ensure_byte_compiler(context, target)) as interpreter:
        lock = ensure_lock(context, project, target, renew=renew_lock, before_resolving=interpreter.start)
        key = bundle_key(project, lock, app_digest, context.environment, sdk_key(context.store, project, target))
        if context.store.find_tree("bundles", key):
            with context.reporter.step("bundle") as step:
                step.cached = True
                bundle = _load(context, key)
                step.note(f"{bundle.digest[:16]}, nothing changed")
            return bundle
        from incamera.build.bundle import BundleParts, ensure_project_wheel, make_bundle  # lazy: idle builds make none
        from incamera.build.runtime import ensure_runtime, ensure_wheels
        from incamera.project.bundled_sources import describe_invalid
        from incamera.workflows.left_out import report_left_out

        interpreter.start()
        wheels = ensure_wheels(context, project, lock)
        runtime_key = ensure_runtime(context, project, lock, wheels, interpreter.result)
        wheel = ensure_project_wheel(context, project, lock, app_digest) if project.has_build_system else None
        with context.reporter.step("bundle") as step:
            parts = BundleParts(
                project=project,
                lock=lock,
                runtime_key=runtime_key,
                files=files,
                wheel=wheel,
                interpreter=interpreter.result(),
            )
            make_bundle(context, key, parts)
            bundle = _load(context, key)
            counted = format_count(len(bundle.entries), "file")
            step.note(f"{bundle.digest[:16]}, {counted}, {bundle.tree_bytes / 1e6:.1f} MB")
    paths = [entry.path for entry in bundle.entries]
    if (warning := describe_invalid(project, paths, bundle.path, target.python)) is not None:
        context.warn_once(warning)
    if not project.has_build_system and project.script is None:
        report_left_out(context, project)
    return bundle


def _ensure_byte_compiler(context: Context, target: Target) -> Interpreter:
    from incamera.build.runtime import ensure_byte_compiler  # lazy: an idle build compiles nothing

    return ensure_byte_compiler(context, target)


def _load(context: Context, key: str) -> Bundle:
    path = context.store.find_tree("bundles", key)
    assert path is not None
    entries = context.store.tree_entries("bundles", key)
    return load_bundle(path, entries, tree_digest(entries))
