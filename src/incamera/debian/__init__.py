"""Debian's archive: mirror, signatures, package index, closure, unpacking. Needs no dpkg, no apt and no root."""
