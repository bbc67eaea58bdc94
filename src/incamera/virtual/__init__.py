"""The virtual camera: firmware, QEMU, saved states."""
