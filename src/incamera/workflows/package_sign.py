"""Sign a package with the project's own command, and check that what it wrote is that package with a signature."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from incamera import proc
from incamera.archives import BadArchive
from incamera.disk import users_umask
from incamera.eap.signed import NotSigned, check_signed
from incamera.errors import ConfigError, ToolFailed
from incamera.project.package_settings import SIGN_WORDS, TABLE, load_package_settings

if TYPE_CHECKING:
    from pathlib import Path

    from incamera.context import Context
    from incamera.project.settings import Project

_SUFFIX = "_signed"
_PURPOSE = "sign the package"


def require_sign_command(project: Project) -> tuple[str, ...]:
    """Return the words of the command that signs packages of *project*. Raises ConfigError when there is none."""
    command = load_package_settings(project).sign_command
    if not command:
        raise ConfigError(
            f"sign-command is not set in [{TABLE}]",
            hint='write, for example, sign-command = "./sign.sh {package} {signed}"; '
            "docs/how-to/make-a-package.md tells of Axis' own services",
        )
    return command


def sign_package(context: Context, project: Project, command: tuple[str, ...], package: Path) -> Path:
    """Run *command* for the file *package*, and return the path of the signed one, beside it.

    The command runs in the project's folder with the user's environment, without a shell. Raises ToolFailed when it
    fails, or has written something other than the package with a signature behind it; that file is then removed.
    """
    signed = package.resolve().with_name(f"{package.stem}{_SUFFIX}{package.suffix}")
    signed.unlink(missing_ok=True)
    files = dict(zip(SIGN_WORDS, (str(package.resolve()), str(signed)), strict=True))
    words = [_fill(word, files) for word in command]
    with context.reporter.step("sign") as step:
        with users_umask():
            proc.run(words, purpose=_PURPOSE, env=os.environ, cwd=project.folder, hint=f"see sign-command in [{TABLE}]")
        try:
            signature = check_signed(signed, package)
        except FileNotFoundError as error:
            raise ToolFailed(
                f"cannot {_PURPOSE}: {words[0]} has not written {signed}", hint="it must write the file {signed}"
            ) from error
        except (NotSigned, BadArchive, OSError) as error:
            signed.unlink(missing_ok=True)
            raise ToolFailed(f"cannot {_PURPOSE}: {error}", hint="a signature only follows the built file") from error
        step.note(f"key {signature.key}" if signature.key else "by an unknown key")
    return signed


def _fill(word: str, files: dict[str, str]) -> str:
    for name, path in files.items():
        word = word.replace(name, path)
    return word
