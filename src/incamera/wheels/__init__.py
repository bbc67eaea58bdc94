"""Wheels and sdists: find them in package indexes, read their metadata, fetch, install, write and repair them."""
