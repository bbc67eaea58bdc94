"""The host's side of the guard, our static program on a device."""
