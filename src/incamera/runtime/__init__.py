"""Runtimes and bundles: the tree of files with which Python runs in the camera, its launcher, byte-code and images."""
