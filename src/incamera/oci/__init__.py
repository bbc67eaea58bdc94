"""Container images: read from a registry, a folder or a file, and never run. Everything in them is a stranger's."""
