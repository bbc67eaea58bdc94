# Makes unchecked hash-based .pyc files. Runs on the host, in a Python of the target's minor version.
#
# Standard input is a sequence of batches. A batch is the number of its files, then three strings for each file: "keep",
# "drop" or "small", the name to write into the byte-code, and the source's path. A NUL byte ends each string. With
# "keep", the .pyc goes into __pycache__. With "drop", it replaces the source. "small" is "keep", and leaves docstrings
# and assertions out. A file that is not valid Python for this version (a template, or Python 2 code in a package) stays
# as it is: importing it would fail in the camera, too. So does one that is nested too deep for the compiler.
#
# Each batch is compiled in its own child process. Marshalled code depends on which objects are shared, and the process
# shares strings with everything compiled before. In one long process, the bytes would depend on the order of batches.
import _imp
import os
import sys
from importlib import _bootstrap_external as bootstrap

sys.dont_write_bytecode = True


def compile_file(kind, name, path):
    with open(path, "rb") as stream:
        source = stream.read()
    try:
        # Where the source is kept, the import system replaces the name by its real path (_fix_co_filename).
        code = compile(source, name, "exec", dont_inherit=True, optimize=2 if kind == "small" else 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    hashed = _imp.source_hash(bootstrap._RAW_MAGIC_NUMBER, source)
    folder, file = os.path.split(path)
    if kind == "drop":
        target = path + "c"
    else:
        folder = os.path.join(folder, "__pycache__")
        os.makedirs(folder, exist_ok=True)
        target = os.path.join(folder, f"{file[:-3]}.{sys.implementation.cache_tag}.pyc")
    with open(target, "wb") as stream:
        stream.write(bootstrap._code_to_hash_pyc(code, hashed, False))
    if kind == "drop":
        os.unlink(path)


def compile_batch(words):
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1] == 0
    for kind, name, path in zip(*[map(os.fsdecode, words)] * 3):
        try:
            compile_file(kind, name, path)
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
