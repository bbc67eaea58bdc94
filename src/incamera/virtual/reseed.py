"""A tiny program for the camera that reseeds its kernel's random number generator: `reseed </dev/urandom`.

Two cameras resumed from the same saved state would produce the same random numbers for up to a minute. Bytes written to
/dev/urandom are mixed into the entropy pool, but the kernel uses them at once only after the ioctl RNDRESEEDCRNG, which
no program of BusyBox calls. The program's exit code is 0 when the ioctl succeeded.
"""

from __future__ import annotations

import struct
from typing import assert_never

from incamera.targets.architecture import Architecture

_RNDRESEEDCRNG = 0x5207
_ADDRESS = 0x10000
_EM_ARM, _EM_AARCH64 = 40, 183
_PT_GNU_STACK = 0x6474E551  # says that the stack need not be executable
_EF_ARM_EABI5_HARD_FLOAT = 0x05000400


def reseed_program(architecture: Architecture) -> bytes:
    """Return the program for *architecture*: a static ELF file without sections."""
    match architecture:
        case Architecture.armv7hf:
            code = struct.pack(
                "<7I",
                0xE3A00000,  # mov  r0, #0        standard input
                0xE3000000 | _RNDRESEEDCRNG >> 12 << 16 | _RNDRESEEDCRNG & 0xFFF | 1 << 12,  # movw r1, #RNDRESEEDCRNG
                0xE3A02000,  # mov  r2, #0
                0xE3A07036,  # mov  r7, #54       ioctl
                0xEF000000,  # svc  #0            r0: 0, or a negative error
                0xE3A07001,  # mov  r7, #1        exit
                0xEF000000,  # svc  #0
            )
            offset = 52 + 2 * 32
            header = struct.pack(
                "<HHIIIIIHHHHHH", 2, _EM_ARM, 1, _ADDRESS + offset, 52, 0, _EF_ARM_EABI5_HARD_FLOAT, 52, 32, 2, 0, 0, 0
            )
            size = offset + len(code)
            segment = struct.pack("<8I", 1, 0, _ADDRESS, _ADDRESS, size, size, 5, 0x1000)
            stack = struct.pack("<8I", _PT_GNU_STACK, 0, 0, 0, 0, 0, 6, 16)
            return b"\x7fELF\x01\x01\x01" + bytes(9) + header + segment + stack + code
        case Architecture.aarch64:
            code = struct.pack(
                "<7I",
                0xD2800000,  # mov  x0, #0        standard input
                0xD2800001 | _RNDRESEEDCRNG << 5,  # mov  x1, #RNDRESEEDCRNG
                0xD2800002,  # mov  x2, #0
                0xD28003A8,  # mov  x8, #29       ioctl
                0xD4000001,  # svc  #0            x0: 0, or a negative error
                0xD2800BA8,  # mov  x8, #93       exit
                0xD4000001,  # svc  #0
            )
            offset = 64 + 2 * 56
            header = struct.pack("<HHIQQQIHHHHHH", 2, _EM_AARCH64, 1, _ADDRESS + offset, 64, 0, 0, 64, 56, 2, 0, 0, 0)
            size = offset + len(code)
            segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
            stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, 6, 0, 0, 0, 0, 0, 16)
            return b"\x7fELF\x02\x01\x01" + bytes(9) + header + segment + stack + code
    assert_never(architecture)
