"""The user's project: pyproject.toml parsed once into frozen settings."""
