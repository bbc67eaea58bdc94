"""The edit loop: what keeps the app in the camera like the one on the host."""
