# Appended to ctypes.util in a bundle. The original runs ldconfig or a compiler; a camera has neither.


def _library_folders():
    """Return the folders that the loader searches: those in the launcher's settings, then the system's."""
    import sys

    multiarch = getattr(sys.implementation, "_multiarch", "")
    folders = ["lib"]
    for settings in ("device/launcher", "etc/launcher"):
        try:
            with open(os.path.join(sys.base_prefix, settings)) as lines:
                found = [line.split(" ", 1)[1].strip() for line in lines if line.startswith("libraries ")]
        except OSError:
            continue
        if found:
            folders = found[-1].split(":")
            break
    system = [*(f"{folder}/{multiarch}" for folder in ("/lib", "/usr/lib") if multiarch), "/lib", "/usr/lib"]
    return [os.path.join(sys.base_prefix, folder) for folder in dict.fromkeys([*folders, *system])]


def _is_library(path):
    import sys

    try:
        with open(path, "rb") as stream:
            return stream.read(5) == b"\x7fELF" + (b"\2" if sys.maxsize > 2**32 else b"\1")
    except OSError:
        return False


def find_library(name):
    """Return the file name of the library *name* ("z" is libz.so.1); None when neither bundle nor camera has it."""
    import re

    pattern = re.compile(rf"lib{re.escape(name)}\.so((?:\.\w+)*)")
    for folder in _library_folders():
        try:
            matches = [match for match in map(pattern.fullmatch, os.listdir(folder)) if match]
        except OSError:
            continue

        # libx.so.1 is a soname, libx.so.1.2.3 the file that it links to, and libx.so is for compilers.
        def rank(match):
            version = match[1].split(".")[1:]
            return not version, len(version), [-int(part) if part.isdigit() else 0 for part in version]

        for match in sorted(matches, key=rank):
            if _is_library(os.path.join(folder, match[0])):
                return match[0]
    return None
