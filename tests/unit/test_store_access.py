"""Who may read and write the store, whatever the umask is."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from incamera.errors import StoreError
from incamera.store import Store

# Makes a store, with a blob, a tree, a cache, a lock and the keys; then writes a file of the user's own.
_FILL = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from incamera.digest import Sha256
from incamera.disk import write_atomic, write_output
from incamera.device.registry import add_device
from incamera.store import Store
from incamera.transport.device import Device, SshAddress
from incamera.virtual.keys import ensure_keys, write_secret
root = Path(sys.argv[1])
store = Store(root / "above/store")
with store.writing_blob(Sha256.of(b"data"), name="thing") as blob:
    blob.write(b"data")
def fill(tree):
    (tree / "sub").mkdir()
    (tree / "sub/file").write_text("content")
    write_secret(tree / "initrd", b"key")
store.ensure_tree("kind", "key", fill)
write_atomic(store.root / "caches/index/x.page", b"page")
add_device(store.root / "devices", Device(name="gate", address=SshAddress(host="gate")))
with store.lock("name"):
    ensure_keys(store)
write_output(root / "report.json", b"{}")
"""


def modes(root: Path) -> dict[str, int]:
    return {
        str(path.relative_to(root)): stat.S_IMODE(path.lstat().st_mode)
        for path in [root, *root.rglob("*")]
        if not path.is_symlink()
    }


@pytest.fixture(autouse=True)
def _keep_umask() -> object:
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.mark.starts_processes
def test_modes_in_the_store_do_not_depend_on_the_umask(tmp_path: Path) -> None:
    found = {}
    for umask in ("000", "022", "077"):
        folder = tmp_path / umask
        folder.mkdir()
        subprocess.run([sys.executable, "-c", _FILL, folder, umask], check=True)
        found[umask] = modes(folder / "above/store")
        assert not stat.S_IMODE((folder / "above").stat().st_mode) & 0o022, "nobody else can rename the store"
        own = stat.S_IMODE((folder / "report.json").stat().st_mode)
        assert own == 0o666 & ~int(umask, 8), "the user's own files follow the umask"
    assert found["000"] == found["022"] == found["077"]
    assert not [name for name, mode in found["000"].items() if mode & 0o022]
    private = {name: mode for name, mode in found["000"].items() if "initrd" in name or name.endswith("/virtual_login")}
    assert set(private.values()) == {0o600}
    assert {found["000"][name] for name in ("keys", "caches", "locks", "devices")} == {0o700}
    assert found["000"]["."] == 0o711


@pytest.mark.parametrize("folder", ["", "trees", "blobs", "tmp", "caches", "trees/tools"])
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_store_that_others_can_write_to_is_refused_with_the_remedy(tmp_path: Path, folder: str, mode: int) -> None:
    root = tmp_path / "store"
    Store(root).ensure_tree("tools", "key", lambda tree: None)
    (root / folder).chmod(mode)
    with pytest.raises(StoreError, match="other users can write to") as caught:
        Store(root)
    assert str(root / folder) in str(caught.value)
    assert f"`chmod -R go-w {root}`" in str(caught.value.hint)
    (root / folder).chmod(mode & ~0o1022)
    Store(root)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("folder", ["", "trees", "caches", "trees/tools"])
def test_a_store_of_another_user_is_refused_even_for_root(tmp_path: Path, folder: str) -> None:
    root = tmp_path / "store"
    Store(root).ensure_tree("tools", "key", lambda tree: None)
    os.chown(root / folder, 65534, 65534)
    with pytest.raises(StoreError, match=r"is not yours: .* belongs to nobody") as caught:
        Store(root)
    assert "INCAMERA_STORE" in str(caught.value.hint)


def test_an_empty_folder_that_others_can_write_to_is_closed(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    Store(tmp_path)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o711


def test_a_store_of_an_older_version_is_closed(tmp_path: Path) -> None:
    Store(tmp_path)
    for name in (".", "caches", "trees"):
        (tmp_path / name).chmod(0o755)
    Store(tmp_path)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in (".", "caches", "trees")] == [
        0o711,
        0o700,
        0o711,
    ]


@pytest.mark.parametrize("name", ["tmp", "trees", "blobs", "locks", "caches", "devices", "keys"])
@pytest.mark.parametrize("what", ["file", "link to nothing", "link to itself", "link to a file"])
def test_store_with_something_in_place_of_a_folder_is_refused_with_its_name(
    tmp_path: Path, name: str, what: str
) -> None:
    root = tmp_path / "store"
    Store(root)
    path = root / name
    if path.exists():
        path.rename(tmp_path / "old")
    if what == "file":
        path.write_text("")
    else:
        path.symlink_to({"link to nothing": "gone", "link to itself": name}.get(what, tmp_path / "note"))
        (tmp_path / "note").write_text("")
    with pytest.raises(StoreError, match="is a file" if what == "file" else "file|link that leads nowhere") as error:
        Store(root)
    assert str(path) in str(error.value)
    assert "move it away" in str(error.value.hint)
    path.unlink()
    assert Store(root).root == root


def test_folder_of_the_store_may_be_a_link_to_a_folder(tmp_path: Path) -> None:
    """As for one that takes much room, on another disk."""
    Store(tmp_path / "store")
    (tmp_path / "store" / "trees").rename(tmp_path / "large")
    (tmp_path / "store" / "trees").symlink_to(tmp_path / "large")
    assert Store(tmp_path / "store").root == tmp_path / "store"
