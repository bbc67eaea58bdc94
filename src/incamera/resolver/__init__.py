"""Resolving: which version of each package a target gets, and from which source (wheel, deb, sdist, emulated)."""
