"""Cameras, real or virtual, over SSH: probing, deploying, running."""
