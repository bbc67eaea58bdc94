"""A camera on a desk: its frames come from a video file, pictures, a webcam or a URL, through PyAV.

It has what `acap._video` has, with the settings by VDO's names, so that `acap.video` need not know which one it uses.
"""

from .camera import Camera

__all__ = ["Camera"]
