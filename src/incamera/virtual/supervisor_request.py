"""What the supervisor of a virtual camera is to do, as the process that starts it says."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from incamera.virtual.agreed import PAUSE_AFTER_SECONDS
from incamera.virtual.qemu import Disk


@dataclass(frozen=True, kw_only=True, slots=True)
class SupervisorRequest:
    """What a supervisor does: resume a camera and run it or, with `save`, boot one and save its state.

    `machine`: QEMU's command line, without the options of `plan_host_options`.
    `folder`: for logs, temporary files and the record; removed at the end, except with `save`.
    `state`: the file that is written with `save`, and else resumed from.
    `discard`: a folder that is removed when the starter is killed during `save`.
    `owner`: a process with which the camera ends.
    `record`: what the camera's record says, besides the port, the process ids, the time and what changes.
    `started`: when the caller began, in seconds of the monotonic clock.
    `timeout`: how long the camera may take to answer, in seconds.
    `pause_after`: how long nobody has to use the camera until it is paused, in seconds.
    `ports`: the camera's ports that are forwarded. `speaks_ssh`: its SSH server answers from its start on.
    `settings`: those of its web server (`web_settings.py`); "-" without one.
    `devices`: those of its chip for inference, with commas between them; "-" without a chip.
    `environment`: the variables that a download of LiteRT needs.
    """

    machine: tuple[str, ...]
    folder: Path
    state: Path
    disks: tuple[Disk, ...]
    save: bool
    discard: Path | None = None
    host_name: str = ""
    mac: str = ""
    owner: int | None = None
    record: dict[str, Any] | None = None
    started: float = 0
    timeout: float = 90
    pause_after: float = PAUSE_AFTER_SECONDS
    ports: tuple[int, ...] = (22,)
    speaks_ssh: bool = True
    settings: str = "-"
    devices: str = "-"
    environment: dict[str, str] = field(default_factory=dict)

    def dump(self) -> bytes:
        """Return the request as a line of JSON, which `parse` reads."""
        return json.dumps(asdict(self), default=str).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> SupervisorRequest:
        """Return the request in a *line* that `dump` has made."""
        table = json.loads(line)
        return cls(
            **table
            | {
                "machine": tuple(table["machine"]),
                "ports": tuple(table["ports"]),
                "folder": Path(table["folder"]),
                "state": Path(table["state"]),
                "discard": Path(table["discard"]) if table["discard"] else None,
                "disks": tuple(_parse_disk(disk) for disk in table["disks"]),
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Upgrade:
    """What changes in a camera's request when it gets another AXIS OS. *record* has what its record says then."""

    machine: tuple[str, ...]
    state: Path
    speaks_ssh: bool
    record: dict[str, Any]

    def dump(self) -> bytes:
        return json.dumps(asdict(self), default=str).encode()

    @classmethod
    def parse(cls, data: bytes) -> Upgrade:
        table = json.loads(data)
        return cls(**table | {"machine": tuple(table["machine"]), "state": Path(table["state"])})

    def apply(self, request: SupervisorRequest) -> SupervisorRequest:
        return replace(
            request,
            machine=self.machine,
            state=self.state,
            speaks_ssh=self.speaks_ssh,
            record={**(request.record or {}), **self.record},
        )


def _parse_disk(disk: dict[str, str | None]) -> Disk:
    base = disk["base"]
    return Disk(serial=str(disk["serial"]), path=Path(str(disk["path"])), base=Path(base) if base else None)
