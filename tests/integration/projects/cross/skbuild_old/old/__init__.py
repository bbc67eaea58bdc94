"""Holds the extension module `plain`."""
