"""The compiler driver: `cc` and `c++` of a build. It removes options that name files of this computer.

It is copied into each build folder, and the build interpreter runs it for every file that is compiled. So it uses only
the standard library, nothing of incamera, and few imports, since each costs time.
"""

# Importing pathlib takes longer than all the rest.
# ruff: noqa: PTH109, PTH113, PTH118, PTH119, PTH123

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # not from `typing`, whose import takes longer than all the rest
    from collections.abc import Iterator
    from typing import TypeAlias

    Places: TypeAlias = tuple[list[str], list[str], str]

# Folders in these options are allowed if they belong to the project, the sysroot, the compiler or the build
# requirements. Many packages' build scripts add others (/usr/include, /usr/local/lib), as for a native build.
_FOLDER_OPTIONS = (
    "-isystem",
    "-idirafter",
    "-iquote",
    "-isysroot",
    "-iwithprefixbefore",
    "-iwithprefix",
    "-iprefix",
    "-cxx-isystem",
    "--sysroot",
    "-I",
    "-L",
    "-B",
    "-F",
)
_FILE_OPTIONS = ("-include", "-imacros")
# Options whose value is the next argument, which is not an input file.
_WITH_VALUE = frozenset(
    (
        *("-o", "-MF", "-MT", "-MQ", "-D", "-U", "-l", "-x", "-u", "-z", "-e", "-h", "-T", "-A"),
        *("-aux-info", "-dumpbase", "-dumpdir", "-target", "--param", "-arch"),
        *("-Xassembler", "-Xpreprocessor", "-Xclang"),
    )
)
_LIBRARY_ENDINGS = (".so", ".a", ".o", ".lo", ".la")
_RUN_PATHS = ("-rpath", "--rpath", "-R", "-rpath-link", "--rpath-link")
# Options of the linker whose value looks like a library, but names none.
_NAMES = ("-soname", "--soname", "-h")
# Variables from which compilers, linkers and loaders take search paths.
_REMOVED_VARIABLES = (
    "COLLECT_",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "GCC_EXEC_PREFIX",
    "LD_",
    "LIBRARY_PATH",
    "OBJC",
    "SDKROOT",
    "SUNPRO_DEPENDENCIES",
)


class Refused(Exception):
    """The command line names a header or a library of this computer."""


class Filter:
    """Filters a compiler's command line: `kept` are the arguments that remain, `dropped` those left out.

    *allowed*: the folders whose files may be used. *folder*: the one that relative paths start from.
    """

    def __init__(self, allowed: list[str], folder: str) -> None:
        self.allowed = [os.path.realpath(path) + os.sep for path in allowed]
        self.folder = folder
        self.kept: list[str] = []
        self.dropped: list[str] = []
        self._named: set[str] = set()
        self._run_path_follows = self._name_follows = False

    def filter(self, arguments: list[str]) -> list[str]:
        """Return *arguments* without those that name folders of this computer. Raises Refused for such a file."""
        words = iter(_expand_response_files(arguments, self.folder))
        for word in words:
            self._take(word, words)
        return self.kept

    def search_last(self, headers: list[str]) -> list[str]:
        """Return options that make the compiler search the folders *headers* last, but for those it has been given.

        (gcc would search a folder that it gets twice in the later place only.)
        """
        return [word for path in headers if os.path.realpath(path) not in self._named for word in ("-idirafter", path)]

    def _take(self, word: str, rest: Iterator[str]) -> None:
        if word.startswith("-Wl,"):
            self._take_linker_words(word[4:].split(","))
        elif word in ("-Xlinker", "--for-linker"):
            self._take_linker_words([next(rest, "")])
        elif word in ("-march=native", "-mtune=native", "-mcpu=native"):
            self.dropped.append(word)
        elif word in _WITH_VALUE:
            self.kept += [word, *([value] if (value := next(rest, None)) is not None else [])]
        elif option := _option(word, _FILE_OPTIONS, joined=False):
            value = next(rest, "")
            self._refuse_outside(value, "header")
            self.kept += [option, value]
        elif option := _option(word, _FOLDER_OPTIONS, joined=True):
            separate = word == option
            value = next(rest, "") if separate else word[len(option) :]
            if option == "--sysroot":
                value = value.removeprefix("=")
            # "=/usr/include" and "$SYSROOT/usr/include" are folders in the sysroot.
            if value.startswith(("=", "$SYSROOT")) or self._inside(value):
                self.kept += [word, value] if separate else [word]
                self._named.add(os.path.realpath(os.path.join(self.folder, value)))
            else:
                self.dropped.append(f"{option} {value}" if separate else word)
        else:
            if not word.startswith("-") and _is_library(word):
                self._refuse_outside(word, "library")
            self.kept.append(word)

    def _take_linker_words(self, words: list[str]) -> None:
        kept: list[str] = []
        words = list(words)
        while words:
            word = words.pop(0)
            name, equals, value = word.partition("=")
            if self._run_path_follows:
                self._run_path_follows = False
                self._take_run_path(word, ["-rpath", word], kept)
            elif self._name_follows:
                self._name_follows = False
                kept.append(word)
            elif name in _RUN_PATHS and equals:
                self._take_run_path(value, [word], kept)
            elif word in _RUN_PATHS:
                self._run_path_follows = True
            elif word in _NAMES:
                kept.append(word)
                self._name_follows = True
            elif word.startswith("-R/"):
                self._take_run_path(word[2:], [word], kept)
            elif word.startswith("-L") and not self._inside(word[2:].removeprefix("=")):
                self.dropped.append(f"-Wl,{word}")
            else:
                if not word.startswith("-") and _is_library(word):
                    self._refuse_outside(word, "library")
                kept.append(word)
        if kept:
            self.kept.append("-Wl," + ",".join(kept))

    def _take_run_path(self, path: str, words: list[str], kept: list[str]) -> None:
        # An absolute path is a folder of this computer, which the loader would search in the camera.
        parts = [part for part in path.split(":") if part and not part.startswith("/")]
        if ":".join(parts) == path:
            kept += words
        else:
            # CMake adds folders of the sysroot, which are left out without a note, and an empty folder at the end.
            if not all(self._inside(part) for part in path.split(":") if part.startswith("/")):
                self.dropped.append(f"-rpath {path}")
            if parts:
                kept += ["-rpath", ":".join(parts)]

    def _inside(self, path: str) -> bool:
        real = os.path.realpath(os.path.join(self.folder, path)) + os.sep
        return any(real.startswith(folder) for folder in self.allowed)

    def _refuse_outside(self, path: str, kind: str) -> None:
        if not self._inside(path):
            raise Refused(f"{path} is a {kind} of this computer, and cannot be used in a build for the camera")


def _option(word: str, options: tuple[str, ...], *, joined: bool) -> str | None:
    if word in options:
        return word
    if joined:
        for option in options:
            if word.startswith(option):
                return option
    return None


def _is_library(word: str) -> bool:
    name = os.path.basename(word)
    return name.endswith(_LIBRARY_ENDINGS) or ".so." in name


def _expand_response_files(arguments: list[str], folder: str) -> list[str]:
    words = []
    for word in arguments:
        path = os.path.join(folder, word[1:])
        if word.startswith("@") and os.path.isfile(path):
            import shlex  # lazy: the driver starts for each file that is compiled

            with open(path, encoding="utf-8") as stream:
                words += _expand_response_files(shlex.split(stream.read()), folder)
        else:
            words.append(word)
    return words


def clean_environment(environment: dict[str, str]) -> dict[str, str]:
    """Return *environment* without variables from which compilers, linkers and loaders take search paths."""
    return {key: value for key, value in environment.items() if not key.startswith(_REMOVED_VARIABLES)}


def preprocess(command: list[str], places: Places, arguments: list[str]) -> int:
    """Do what `main` does with the arguments of `cpp`: files of any name are C, and a second file is the output."""
    options: list[str] = []
    files: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "-" or not word.startswith("-"):
            files.append(word)
        else:
            options.append(word)
            if word in (*_WITH_VALUE, *_FOLDER_OPTIONS, *_FILE_OPTIONS) and (value := next(words, None)) is not None:
                options.append(value)
    has_language = any(option.startswith("-x") for option in options)
    if not has_language and not (files and files[0].endswith(_SOURCES)):
        options += ["-x", "c"]
    output = ["-o", *files[1:2]] if len(files) > 1 and files[1] != "-" else []
    return main(command, places, ["-E", *options, *(files[:1] or ["-"]), *output])


_SOURCES = (".c", ".h", ".i", ".cc", ".cpp", ".cxx", ".C", ".hh", ".hpp", ".hxx", ".ii", ".S")


def main(command: list[str], places: Places, arguments: list[str]) -> int:
    """Replace this process by *command* with the filtered *arguments*.

    *places*: the folders whose files may be used, the folders with headers that are searched last, and the file that
    gets the arguments left out. Returns an exit code only when a file is refused.
    """
    allowed, headers, log = places
    lines = Filter(allowed, os.getcwd())
    try:
        kept = lines.filter(arguments)
    except Refused as refused:
        sys.stderr.write(
            f"incamera: error: {refused}\n"
            "incamera: hint: to build a package of the index, name the library's -dev package as dev in a recipe, and "
            "link with -l. Your own module can open the library with ctypes.\n"
        )
        return 1
    if lines.dropped:
        with open(log, "a", encoding="utf-8") as stream:  # one short write, so lines of parallel compilers don't mix
            stream.write("".join(f"{what}\n" for what in lines.dropped))
    words = [*command, *kept, *lines.search_last(headers)]
    os.execve(words[0], words, clean_environment(dict(os.environ)))
    return 1
