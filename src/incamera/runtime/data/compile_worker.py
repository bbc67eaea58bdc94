# Runs on the host under the target's Python version and makes unchecked-hash .pyc files.
#
# Standard input is a row of requests, three strings each ended by a NUL byte: "keep" or "drop" (the source), the name to
# write into the byte-code, the source's path. With the source kept, the .pyc goes into the __pycache__ beside it; else it
# takes the source's place. A file that is no valid Python for this version (templates, leftovers of Python 2 in
# packages) is left as it is: importing it would fail in the camera just the same.
#
# Each file is compiled in a child of its own. Marshalled code notes which objects are shared, and strings are shared with
# whatever else the process has seen: in one long process, the bytes would depend on the order of the files.
import _imp
import os
import sys
from importlib import _bootstrap_external as bootstrap

sys.dont_write_bytecode = True


def compile_file(drop_source, name, path):
    with open(path, "rb") as stream:
        source = stream.read()
    try:
        # Where there is a source, the import system puts its true path in place of the name (_fix_co_filename).
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return
    hashed = _imp.source_hash(bootstrap._RAW_MAGIC_NUMBER, source)
    folder, file = os.path.split(path)
    if drop_source:
        target = path + "c"
    else:
        folder = os.path.join(folder, "__pycache__")
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, f"{file[:-3]}.{sys.implementation.cache_tag}.pyc")
    with open(target, "wb") as stream:
        stream.write(bootstrap._code_to_hash_pyc(code, hashed, False))
    if drop_source:
        os.unlink(path)


def main():
    import warnings

    warnings.simplefilter("ignore")
    rest = b""
    words = []
    while chunk := os.read(0, 1 << 16):
        *ended, rest = (rest + chunk).split(b"\0")
        words += ended
        while len(words) >= 3:
            kind, name, path = words[:3]
            del words[:3]
            child = os.fork()
            if child == 0:
                try:
                    compile_file(kind == b"drop", os.fsdecode(name), os.fsdecode(path))
                    os._exit(0)
                except BaseException as error:
                    os.write(2, f"{os.fsdecode(name)}: {error!r}\n".encode())
                    os._exit(1)
            if os.waitpid(child, 0)[1]:
                sys.exit(1)


main()
