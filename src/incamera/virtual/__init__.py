"""Virtual cameras: QEMU machines with firmware made from Debian packages, resumed from saved states."""
