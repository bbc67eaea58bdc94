"""The sizes of a bundle."""

from pathlib import Path

from incamera.runtime.bundle import Bundle
from incamera.targets.target import Target
from incamera.tree import Entry


def test_disk_bytes_counts_whole_blocks() -> None:
    entries = [Entry("empty"), Entry("small", size=1), Entry("full", size=4096), Entry("more", size=4097)]
    bundle = Bundle(
        name="bell",
        target=Target.parse("armv7hf"),
        digest="",
        path=Path(),
        entries=(*entries, Entry("link", link="small")),
        arguments=(),
        missing=(),
        distributions=(),
    )
    assert bundle.tree_bytes == 1 + 4096 + 4097
    assert bundle.disk_bytes == 4 * 4096
