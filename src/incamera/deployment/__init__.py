"""Choose the place and form of a bundle on a device, and put it there."""
