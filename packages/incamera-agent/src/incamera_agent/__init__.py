"""The agent that runs in the camera, and what an app may ask of it: `keep` and `reloading`.

Standard library only, for every Python from 3.9 on. It shares the camera's memory with the app, so its modules import
as little as they can.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from incamera_agent.inapp.reload import keep as keep
    from incamera_agent.inapp.reload import reloading as reloading

__all__ = ["keep", "reloading"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Not imported above, so that we see when an app does: one that has `reloading` means to ask it, and a reload that
    # comes before it has got that far need not end it.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from incamera_agent.inapp import reload as keeping

    if name == "reloading":
        keeping.tell_listening()
    return getattr(keeping, name)
