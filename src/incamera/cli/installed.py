"""What the commands for installed apps have in common: they connect to the camera, and name the app in it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from incamera.connect.choose import choose_web_device
from incamera.connect.web import web_connected
from incamera.context import Context
from incamera.project.loading import find_project
from incamera.workflows.installed import find_app_name

if TYPE_CHECKING:
    from incamera.console import Console
    from incamera.vapix.client import Client


@contextmanager
def open_app(arguments: argparse.Namespace, console: Console) -> Iterator[tuple[Client, str]]:
    """Yield the client for the camera that *arguments* name, and the name of the app in it."""
    context = Context.open(console)
    project = find_project(Path(arguments.project))
    name = find_app_name(project, arguments.app)
    with web_connected(context, choose_web_device(context, arguments.device, project=project)) as client:
        yield client, name
