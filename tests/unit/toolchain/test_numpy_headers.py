"""numpy's headers come from a wheel for the host, but their sizes must be those of the target."""

from __future__ import annotations

from pathlib import Path

from incamera.toolchain.numpy_headers import generalise, generalise_headers

# As in numpy 2.3's wheel for x86-64; 1.26's has the same lines.
HEADER = """\
/* #undef NPY_HAVE_ENDIAN_H */

#define NPY_SIZEOF_SHORT 2
#define NPY_SIZEOF_INT 4
#define NPY_SIZEOF_LONG 8
#define NPY_SIZEOF_FLOAT 4
#define NPY_SIZEOF_COMPLEX_FLOAT 8
#define NPY_SIZEOF_DOUBLE 8
#define NPY_SIZEOF_COMPLEX_DOUBLE 16
#define NPY_SIZEOF_LONGDOUBLE 16
#define NPY_SIZEOF_COMPLEX_LONGDOUBLE 32
#define NPY_SIZEOF_PY_INTPTR_T 8
#define NPY_SIZEOF_INTP 8
#define NPY_SIZEOF_UINTP 8
#define NPY_SIZEOF_WCHAR_T 4
#define NPY_SIZEOF_OFF_T 8
#define NPY_SIZEOF_PY_LONG_LONG 8
#define NPY_SIZEOF_LONGLONG 8

#define NPY_USE_C99_COMPLEX
#define NPY_NO_SIGNAL 1
#define NPY_ABI_VERSION 0x02000000
"""


def test_only_sizes_are_replaced_by_macros() -> None:
    before, after = HEADER.splitlines(), generalise(HEADER).splitlines()
    assert "#define NPY_SIZEOF_LONG __SIZEOF_LONG__" in after
    assert "#define NPY_SIZEOF_COMPLEX_LONGDOUBLE (2 * __SIZEOF_LONG_DOUBLE__)" in after
    changed = {old for old, new in zip(before, after, strict=True) if old != new}
    sizes = {line for line in before if "SIZEOF" in line}
    assert changed == sizes - {"#define NPY_SIZEOF_OFF_T 8"}
    assert generalise("\n".join(after)).splitlines() == after


def test_headers_of_numpy_1_and_2_are_found(tmp_path: Path) -> None:
    headers = [tmp_path / f"numpy/{core}/include/numpy/_numpyconfig.h" for core in ("core", "_core")]
    for header in headers:
        header.parent.mkdir(parents=True)
        header.write_text(HEADER)
    generalise_headers(tmp_path)
    for header in headers:
        assert "__SIZEOF_POINTER__" in header.read_text()
