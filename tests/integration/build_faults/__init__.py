"""What can go wrong before anything reaches a camera."""
