"""ELF facts and what they mean for a device."""
