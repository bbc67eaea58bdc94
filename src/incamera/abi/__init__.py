"""The audit: whether what ELF files need is what a camera has."""
