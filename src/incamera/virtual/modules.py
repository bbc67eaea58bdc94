"""Chooses the kernel modules of a firmware, and writes the indexes that modprobe reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from incamera.elf import parse_section
from incamera.errors import BuildError


@dataclass(frozen=True, kw_only=True, slots=True)
class Module:
    """A kernel module: its path below `lib/modules/<release>`, its bytes, and what its `.modinfo` section says."""

    name: str
    path: str
    data: bytes
    depends: tuple[str, ...] = ()
    softdeps: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()


def read_module(path: str, data: bytes) -> Module:
    """Return the module with the bytes *data*, the file *path*. Raises BuildError when it is not a kernel module."""
    try:
        section = parse_section(data, ".modinfo")
    except ValueError as error:
        raise BuildError(f"{path} is not a kernel module: {error}") from error
    if section is None:
        raise BuildError(f"{path} is not a kernel module: it has no .modinfo section")
    facts: dict[str, list[str]] = {}
    for line in section.decode("utf-8", "replace").split("\0"):
        key, _, value = line.partition("=")
        facts.setdefault(key, []).append(value)
    return Module(
        name=module_name(path),
        path=path,
        data=data,
        depends=tuple(_canonical(name) for text in facts.get("depends", ()) for name in text.split(",") if name),
        softdeps=tuple(name for text in facts.get("softdep", ()) for name in _parse_softdep(text)),
        aliases=tuple(facts.get("alias", ())),
    )


def module_name(path: str) -> str:
    """Return the kernel's name for the module in the file *path*: `virtio_net` for `…/virtio-net.ko`."""
    return _canonical(PurePosixPath(path).name.removesuffix(".ko"))


def _canonical(name: str) -> str:
    # File names have hyphens or underscores, the kernel's names only underscores.
    return name.replace("-", "_")


def _parse_softdep(text: str) -> Iterable[str]:
    """Return the modules of a line such as `pre: aes ccm post: foo`."""
    return (_canonical(word) for word in text.split() if not word.endswith(":"))


def select_modules(folder: Path, required: Iterable[str], optional: Iterable[str]) -> list[Module]:
    """Return the modules *required* and *optional* in *folder* (`lib/modules/<release>`), with all that they need.

    Modules built into the kernel are left out. Raises BuildError when a required module does not exist.
    """
    files = {module_name(path.name): path for path in sorted(folder.rglob("*.ko"))}
    built_in = {module_name(line) for line in (folder / "modules.builtin").read_text().split()}
    chosen: dict[str, Module] = {}

    def add(name: str, needed_by: str | None) -> None:
        if name in chosen or name in built_in:
            return
        if name not in files:
            if needed_by is None:
                return
            raise BuildError(f"the kernel in {folder.name} has no module {name}, which {needed_by} needs")
        module = read_module(files[name].relative_to(folder).as_posix(), files[name].read_bytes())
        chosen[name] = module
        for needed in module.depends:
            add(needed, name)
        for softdep in module.softdeps:
            add(softdep, None)

    for name in required:
        add(_canonical(name), "a virtual camera")
    for name in optional:
        add(_canonical(name), None)
    return sorted(chosen.values(), key=lambda module: module.path)


def write_indexes(modules: Iterable[Module]) -> dict[str, str]:
    """Return the text of `modules.dep` and `modules.alias` for *modules*."""
    by_name = {module.name: module for module in modules}
    depend = "".join(
        f"{module.path}: {' '.join(by_name[name].path for name in _all_needed(module, by_name))}".rstrip() + "\n"
        for module in by_name.values()
    )
    alias = "".join(f"alias {alias} {module.name}\n" for module in by_name.values() for alias in module.aliases)
    return {"modules.dep": depend, "modules.alias": alias}


def _all_needed(module: Module, by_name: Mapping[str, Module]) -> list[str]:
    """Return all modules that *module* needs, in modprobe's order: each before those that it needs itself."""
    order: dict[str, None] = {}

    def visit(current: Module) -> None:
        for name in current.depends:
            if name in by_name:
                order.pop(name, None)
                order[name] = None
                visit(by_name[name])

    visit(module)
    return list(order)
