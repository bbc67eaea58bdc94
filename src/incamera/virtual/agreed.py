"""What the supervisor of a virtual camera and its clients agree on."""

from __future__ import annotations

import signal

# The file in the camera's folder that describes the running camera.
RECORD = "camera.json"
# A file there: the AXIS OS that the camera is to have from its next restart on. The supervisor then writes another,
# with what has come of it.
UPGRADE, UPGRADED = "upgrade.json", "upgraded.json"
# Two more there: which video of this computer the camera sees instead of the known scene, and why it shows nothing.
SCENE, SCENE_FAILED = "scene.json", "scene-failed.json"
# The signals that have the supervisor restart the camera, as `reboot` does and as a power cut.
RESTART, POWER_CUT = signal.SIGUSR1, signal.SIGUSR2
# The camera's ports that can be forwarded, by their names in the record.
PORT_NAMES = {22: "ssh_port", 443: "https_port", 80: "http_port"}
# How long nobody has to use a camera until it is paused.
PAUSE_AFTER_SECONDS = 60.0
