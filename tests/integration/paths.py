"""Folders that the integration tests read and write."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PROJECTS = Path(__file__).parent / "projects"
# Kept between runs, so that only the first run downloads and builds. INCAMERA_TEST_STORE names another folder.
STORE = Path(os.environ.get("INCAMERA_TEST_STORE", REPOSITORY / ".incamera" / "test-store"))
