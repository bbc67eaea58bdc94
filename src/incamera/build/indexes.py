"""The package indexes of the user's settings, opened."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from incamera.simple_index import find_index_urls
from incamera.wheels.index import PackageIndexes

if TYPE_CHECKING:
    from incamera.context import Context


def open_indexes(context: Context, *, fresh: bool | Collection[str] = False) -> PackageIndexes:
    """Return the package indexes of the user's pip settings.

    With *fresh*, cached pages are not used: no page, or not those of these projects.
    """
    urls = find_index_urls(context.environment)
    return PackageIndexes(urls, context.http, context.store, fresh=fresh, warn=context.reporter.warn)
