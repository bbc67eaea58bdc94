"""Makes the build interpreter build for the target: its sysconfig, its headers, environment variables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from incamera.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from incamera.targets.target import Target

# The project's own flags come after these. No -g, which takes time: a project may ask for it. wheel_paths.py strips.
_CFLAGS = "-O2 -DNDEBUG -fwrapv -Wall"
LDFLAGS = "-Wl,-O1,--build-id=sha1"

# Makes os.uname() and sysconfig describe the target. A .pth file loads it at every start of Python.
_CROSS_MODULE = '''\
"""Written by incamera: makes build scripts that ask for the machine see the camera."""
import os
import sysconfig

_host = os.uname()
_camera = os.uname_result((_host.sysname, "camera", _host.release, _host.version, {machine!r}))
os.uname = lambda: _camera
for _scheme in sysconfig._INSTALL_SCHEMES.values():  # `sysconfig.get_path("include")`
    _scheme["include"] = _scheme["platinclude"] = {headers!r}
'''

_SYSCONFIG_MODULE = '''\
"""Written by incamera: the target's own sysconfig data, with the paths of this build."""
with open({original!r}, encoding="utf-8") as _stream:
    exec(compile(_stream.read(), {original!r}, "exec"))
build_time_vars.update({overrides!r})
'''


def sysconfig_name(target: Target) -> str:
    """Return the name of the module with the target's sysconfig data."""
    return f"_sysconfigdata__{target.architecture.facts.gnu}"


def extension_suffix(target: Target) -> str:
    """Return the suffix of extension modules: `.cpython-311-arm-linux-gnueabihf.so`."""
    return f".cpython-{target.python.replace('.', '')}-{target.architecture.facts.gnu}.so"


def write_sysconfig(target: Target, sysroot: Path, tools: Mapping[str, Path], site_packages: Path) -> dict[str, str]:
    """Write the modules that make a Python with *site_packages* build for *target*.

    Returns the environment variables that it needs. Raises BuildError when a file is missing in the *sysroot*.
    """
    python = f"python{target.python}"
    name = sysconfig_name(target)
    original = sysroot / f"usr/lib/{python}/{name}.py"
    headers = sysroot / f"usr/include/{python}"
    for needed in (original, headers / "Python.h"):
        if not needed.exists():
            raise BuildError(
                f"the sysroot for {target} has no {needed.relative_to(sysroot)}",
                hint="`incamera store verify` removes damaged trees",
            )
    overrides = _overrides(target, sysroot, tools)
    module = _SYSCONFIG_MODULE.format(original=str(original), overrides=overrides)
    (site_packages / f"{name}.py").write_text(module, "utf-8")
    machine = target.architecture.facts.wheel
    (site_packages / "_incamera_cross.py").write_text(
        _CROSS_MODULE.format(machine=machine, headers=str(headers)), "utf-8"
    )
    (site_packages / "_incamera_cross.pth").write_text("import _incamera_cross\n", "utf-8")
    return {
        "_PYTHON_SYSCONFIGDATA_NAME": name,
        "_PYTHON_HOST_PLATFORM": f"linux-{machine}",
        # For back ends that don't use sysconfig. The C++ compiler links C++ modules.
        "CC": overrides["CC"],
        "CXX": overrides["CXX"],
        "LDSHARED": overrides["LDSHARED"],
        "LDCXXSHARED": overrides["LDCXXSHARED"],
        "AR": overrides["AR"],
        **{key.upper(): str(tools[key]) for key in ("ranlib", "strip", "nm", "objcopy", "ld") if key in tools},
    }


def _overrides(target: Target, sysroot: Path, tools: Mapping[str, Path]) -> dict[str, str]:
    python, gnu = f"python{target.python}", target.architecture.facts.gnu
    cc, cxx = str(tools["cc"]), str(tools["c++"])
    headers, libraries = str(sysroot / f"usr/include/{python}"), str(sysroot / f"usr/lib/{gnu}")
    return {
        "AR": str(tools["ar"]),
        "ARFLAGS": "rcsD",  # D: no times or owners in the archive
        "BLDSHARED": f"{cc} -shared {LDFLAGS}",
        "CC": cc,
        "CCSHARED": "-fPIC",
        "CFLAGS": _CFLAGS,
        "CONFIGURE_CFLAGS": "",
        "CONFIGURE_LDFLAGS": "",
        "CONFINCLUDEDIR": str(sysroot / "usr/include"),
        "CONFINCLUDEPY": headers,
        "CXX": cxx,
        "INCLUDEDIR": str(sysroot / "usr/include"),
        "INCLUDEPY": headers,
        "LDCXXSHARED": f"{cxx} -shared {LDFLAGS}",
        "LDFLAGS": LDFLAGS,
        "LDSHARED": f"{cc} -shared {LDFLAGS}",
        "LIBDIR": libraries,
        "LIBPC": f"{libraries}/pkgconfig",
        "LINKCC": cc,
        "OPT": _CFLAGS,
        "PY_CFLAGS": _CFLAGS,
        "PY_LDFLAGS": LDFLAGS,
    }
