"""What a camera's error numbers mean, each as a sentence and what to do. Source: the VAPIX Application API."""

from __future__ import annotations

from incamera.errors import DeviceError

# Of upload.cgi: by its number, what happened and what to do.
_UPLOAD = {
    1: ("it says that this is not a package", "`incamera audit FILE.eap` shows what is wrong with it"),
    2: (
        "it cannot verify the package's signature",
        "the package is not signed, or was changed after it was signed: sign it, or let the camera take unsigned "
        "packages with --allow-unsigned; for a virtual camera, `incamera virtual sign` signs",
    ),
    3: (
        "it has no room for the package",
        "`incamera status` shows what is installed: uninstall what is not needed, or make the package smaller "
        "(`incamera package` lists its parts)",
    ),
    5: (
        "it says that the package is not for this camera: for another architecture or another AXIS OS",
        "`incamera package --for` says what each AXIS OS demands",
    ),
    10: ("it gives no reason", "the last lines of its log may tell"),
    12: ("another upload to it is under way", "try again when that has ended"),
    13: (
        "it does not allow the user or a group that the manifest asks for",
        "leave them out of the manifest: from AXIS OS 12 on, only the groups of `incamera package --for 12` exist",
    ),
    14: (
        "an app is installed whose name differs only in small and capital letters",
        "choose another app-name, or uninstall that app",
    ),
    15: ("the installation took too long", "restart the camera if it is busy, and try again"),
    27: (
        "the installed app of that name has another vendor ID",
        "write the installed app's vendor-id into [tool.incamera.package], or uninstall that app first, which "
        "removes its data",
    ),
    29: (
        "it cannot use manifest.json or package.conf of the package",
        "`incamera package --for` says what each AXIS OS demands",
    ),
}
# Of control.cgi.
_CONTROL = {
    1: ("it says that the package or its manifest is invalid", "install it again"),
    4: ("no such app is installed", "`incamera status` lists those that are"),
    6: ("the app is running already", "`incamera restart` starts it anew"),
    7: ("the app is not running", "`incamera start` starts it"),
    8: ("the app could not be started", "the last lines of its log may tell why"),
    9: ("too many apps are running", "stop another one"),
    10: ("it gives no reason", "the last lines of its log may tell"),
    15: ("it took too long", "try again; `incamera status` shows what is running"),
}
ALREADY_RUNNING, NOT_RUNNING, NOT_FOUND = 6, 7, 4
NOT_VERIFIED = 2


class ApplicationError(DeviceError):
    """The camera refused what was asked of its apps. *code* is its error number, 0 when it gave none.

    *tail* holds the last lines of its log, or is "".
    """

    def __init__(self, message: str, *, code: int, hint: str | None, tail: str = "") -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.tail = tail


def explain_upload(device: str, name: str, code: int) -> ApplicationError:
    """Return the error that *device* has refused the package *name*."""
    return _explain(f"{device} does not install {name}", code, _UPLOAD)


def explain_control(device: str, action: str, name: str, code: int) -> ApplicationError:
    """Return the error that *device* could not do *action* with the app *name*."""
    return _explain(f"{device} cannot {action} {name}", code, _CONTROL)


def _explain(what: str, code: int, known: dict[int, tuple[str, str]]) -> ApplicationError:
    why, hint = known.get(code, ("for a reason that has no known meaning", "the last lines of its log may tell"))
    return ApplicationError(f"{what}: {why} (error {code or 'without a number'})", code=code, hint=hint)
