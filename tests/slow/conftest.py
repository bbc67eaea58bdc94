"""What takes too long for every day: `make test-slow`. Store and fixtures are those of the integration tests."""

from ..integration.conftest import cameras, context, incamera, package_index, project_copy, store

__all__ = ["cameras", "context", "incamera", "package_index", "project_copy", "store"]
