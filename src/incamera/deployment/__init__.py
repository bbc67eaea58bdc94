"""Where a bundle goes on a device, in which form, and how it gets there."""
