"""Which version of each package, and from which source."""
