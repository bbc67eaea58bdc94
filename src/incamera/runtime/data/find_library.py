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


def _machine(path):
    """Return what says for which machine the ELF file *path* is: its class and byte order, and the processor."""
    with open(path, "rb") as stream:
        header = stream.read(20)
    return header[:6] + header[18:] if header.startswith(b"\x7fELF") else None


def _is_library(path):
    try:
        return os.path.isfile(path) and _machine(path) == _machine("/proc/self/exe")
    except OSError:
        return False


def find_library(name):
    """Return the file name of the library *name* ("z" is libz.so.1); None when neither bundle nor camera has it.

    LD_LIBRARY_PATH is not searched: the launcher gives the loader other folders instead.
    """
    import re

    # As ldconfig's output is searched: "python3" is libpython3.11.so.1.0, if there is no libpython3.so.
    pattern = re.compile(rf"lib{re.escape(name)}((?:\.\S+)?)\.so((?:\.\w+)*)")
    for folder in _library_folders():
        try:
            matches = [match for match in map(pattern.fullmatch, os.listdir(folder)) if match]
        except OSError:
            continue

        # libx.so.1 is a soname, libx.so.1.2.3 the file that it links to, and libx.so is for compilers.
        def rank(match):
            version = match[2].split(".")[1:]
            return match[1], not version, len(version), [-int(part) if part.isdigit() else 0 for part in version]

        for match in sorted(matches, key=rank):
            if _is_library(os.path.join(folder, match[0])):
                return match[0]
    return None
