# Runs on the host under the target's Python version: reads file names from standard input, each ended by a NUL byte,
# and writes the unchecked-hash .pyc of each into the __pycache__ beside it. A file that is no valid Python for this
# version (templates, Python 2 leftovers in packages) is skipped: importing it would fail in the camera just the same.
import _imp
import os
import sys
from importlib import _bootstrap_external as bootstrap

sys.dont_write_bytecode = True


def compile_file(path):
    with open(path, "rb") as stream:
        source = stream.read()
    name = os.path.basename(path)
    try:
        # The import system puts the true path in place of this one when it loads the file (_fix_co_filename).
        code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    except (SyntaxError, ValueError):
        return
    hashed = _imp.source_hash(bootstrap._RAW_MAGIC_NUMBER, source)
    folder = os.path.join(os.path.dirname(path), "__pycache__")
    os.makedirs(folder, exist_ok=True)
    target = os.path.join(folder, f"{name[:-3]}.{sys.implementation.cache_tag}.pyc")
    with open(target, "wb") as stream:
        stream.write(bootstrap._code_to_hash_pyc(code, hashed, False))


def main():
    import warnings

    warnings.simplefilter("ignore")
    rest = b""
    while chunk := os.read(0, 1 << 16):
        *names, rest = (rest + chunk).split(b"\0")
        for name in names:
            compile_file(os.fsdecode(name))


main()
