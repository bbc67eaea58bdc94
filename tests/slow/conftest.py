"""What takes too long for every day: `make test-slow`. Store and fixtures are those of the integration tests."""

from ..integration.conftest import context, incamera, project_copy, start_virtual, store

__all__ = ["context", "incamera", "project_copy", "start_virtual", "store"]
