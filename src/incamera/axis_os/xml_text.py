"""Text in XML. The standard library's functions for it import what opens connections, which takes time in a camera."""

from __future__ import annotations


def escape(text: str) -> str:
    """Return *text* as it stands in an element; control characters, which XML cannot have, are left out."""
    shown = "".join(one for one in text if one.isprintable() or one in "\t\n")
    return shown.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quoteattr(text: str) -> str:
    """Return *text* as the value of an attribute, with quotes."""
    return '"' + escape(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;") + '"'
