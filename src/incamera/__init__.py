"""incamera: Python, in camera."""

__version__ = "0.1.0"
