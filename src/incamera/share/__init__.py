"""Folders of this computer that cameras mount: served from here, or by the user's own server."""
