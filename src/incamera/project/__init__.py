"""The user's project: its settings (pyproject.toml), lockfiles, recipes and files."""
