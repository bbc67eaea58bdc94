"""The agent that runs in the camera, and what an app may import from it: `data_folder`, `keep` and `reloading`.

Standard library only, for every Python from 3.9 on. The agent shares the camera's memory with the app, so its modules
import as little as possible.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from incamera_agent.data import data_folder as data_folder
    from incamera_agent.reload import keep as keep
    from incamera_agent.reload import reloading as reloading

__all__ = ["data_folder", "keep", "reloading"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    # Imported on access, so that the agent learns when an app imports `reloading`: that app is given time to return
    # when there is new code. Any other app is stopped at once.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "data_folder":
        from incamera_agent.data import data_folder

        return data_folder
    from incamera_agent import reload

    if name == "reloading":
        reload.report_import()
    return getattr(reload, name)
