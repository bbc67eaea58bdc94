"""Tells what .gitignore files keep out of an app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.project.left_out import describe_left_out, find_import_warnings

if TYPE_CHECKING:
    from incamera.context import Context
    from incamera.project.settings import Project


def report_left_out(context: Context, project: Project) -> None:
    """Tell what does not go into the bundle of *project* though it lies among its files."""
    found = project.app_files().find()
    if (text := describe_left_out(found)) is not None:
        context.reporter.info(text)
    for warning in find_import_warnings(project.folder, found):
        context.warn_once(warning)
