"""`incamera build`"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from incamera.cli.parser import (
    add_command,
    add_project_option,
    add_script_option,
    add_target_option,
    load_named_project,
)
from incamera.targets.form import Form
from incamera.units import format_bytes

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.context import Context
    from incamera.runtime.bundle import Bundle
    from incamera.runtime.images import Image


def add_parser(commands: Any) -> None:
    parser = add_command(
        commands,
        "build",
        execute,
        help="make the bundle for each target, unless it is up to date",
        description="Make the bundle for each target: runtime and app, ready to run from any path in a camera. A "
        "lockfile that does not match pyproject.toml is an error; `incamera lock` renews it.",
    )
    add_project_option(parser)
    add_script_option(parser)
    add_target_option(parser)
    parser.add_argument(
        "--form",
        metavar="FORM",
        choices=[form.value for form in Form if form is not Form.tree],
        help="also make the image of the runtime that is sent to a share or an SD card: squashfs, archive",
    )


def execute(arguments: argparse.Namespace, console: Console) -> int:
    from incamera.context import Context  # lazy: start-up
    from incamera.project.bundled_sources import check_sources
    from incamera.project.entry_check import check_declared_entry, check_in_bundle
    from incamera.project.targets import choose_targets
    from incamera.workflows.build import build_bundle

    context = Context.open(console)
    project = load_named_project(arguments, context)
    check_declared_entry(project)
    built = []
    for target in choose_targets(project, arguments.target):
        first = len(console.steps)
        bundle = build_bundle(context, project, target, renew_lock=False)
        paths = [entry.path for entry in bundle.entries]
        check_in_bundle(project, paths, bundle.path)
        check_sources(project, paths, bundle.path, target.python, outcome="the app cannot start")
        image = _build_image(context, bundle, Form(arguments.form)) if arguments.form else None
        steps = [{"name": s.name, "seconds": round(s.seconds, 3), "cached": s.cached} for s in console.steps[first:]]
        built.append((bundle, image, steps))
    if not arguments.json:
        for bundle, image, _ in built:
            console.paragraph(
                f"{bundle.target}: {bundle.digest[:16]}, {format_bytes(bundle.tree_bytes)}, {bundle.path}"
            )
            if image is not None:
                console.paragraph(f"{bundle.target}: {image.form}, {format_bytes(image.bytes)}, {image.path}")
        return 0
    from incamera.runtime.trimming import load_trimmed  # lazy: start-up

    documents = [
        {
            "target": str(bundle.target),
            "bundle": bundle.digest,
            "path": str(bundle.path),
            "tree_bytes": bundle.tree_bytes,
            "image_bytes": image.bytes if image else None,
            "image_path": str(image.path) if image else None,
            "steps": steps,
            "distributions": [dict(distribution) for distribution in bundle.distributions],
            "dropped": [unit.path for unit in load_trimmed(bundle.path)],
        }
        for bundle, image, steps in built
    ]
    # The first bundle's fields are at the top level too, for scripts that build for one target.
    console.emit({**documents[0], "bundles": documents})
    return 0


def _build_image(context: Context, bundle: Bundle, form: Form) -> Image:
    from incamera.build.images import build_image  # lazy: start-up

    return build_image(context, bundle, form)
