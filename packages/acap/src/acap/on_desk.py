"""What stands in for the camera's libraries on a desk, by environment variables.

ACAP_PICTURE: the picture that boxes and overlays are drawn into. ACAP_STORAGE: the folder with SD_DISK.
ACAP_LICENSES: the folder with APP.key. ACAP_PARAMETERS: the file with the app's parameters. ACAP_EVENTS: the file that
events are written to, or "stderr". ACAP_MESSAGES: the file with messages of the camera, or "stderr".
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path


def desk_path(variable: str) -> Path | None:
    """Return the path that *variable* names, or None: then there is a camera."""
    name = os.environ.get(variable)
    if not name:
        return None
    from pathlib import Path

    return Path(name)
