"""Debian as a source: mirror, signatures, package index, closure, unpacking; no dpkg, no apt, no root."""
