# Runs on the host under the target's Python version and makes unchecked-hash .pyc files.
#
# Standard input is a row of batches: the number of files, then for each three strings: "keep" or "drop" (the source), the
# name to write into the byte-code, the source's path; every one of these is ended by a NUL byte. With the source kept, the .pyc goes into the __pycache__ beside it; else it
# takes the source's place. A file that is no valid Python for this version (templates, leftovers of Python 2 in
# packages) is left as it is: importing it would fail in the camera just the same.
#
# Each batch is compiled in a child of its own. Marshalled code notes which objects are shared, and strings are shared
# with whatever else the process has seen: in one long process, the bytes would depend on the order of the batches.
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


def compile_batch(words):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    for kind, name, path in zip(*[map(os.fsdecode, words)] * 3):
        try:
            compile_file(kind == "drop", name, path)
        except BaseException as error:
            os.write(2, f"{name}: {error!r}\n".encode())
            os._exit(1)
    os._exit(0)


def main():
    import warnings

    warnings.simplefilter("ignore")
    rest = b""
    words = []
    while chunk := os.read(0, 1 << 16):
        *ended, rest = (rest + chunk).split(b"\0")
        words += ended
        while words and len(words) > 3 * int(words[0]):
            end = 1 + 3 * int(words[0])
            if not compile_batch(words[1:end]):
                sys.exit(1)
            del words[:end]


main()
