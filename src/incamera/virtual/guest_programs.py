"""Tiny programs for the camera, for system calls that no program of BusyBox makes. Their exit code is 0 on success.

`reseed </dev/urandom` reseeds the kernel's random number generator. Two cameras resumed from the same saved state would
produce the same random numbers for up to a minute. Bytes written to /dev/urandom are mixed into the entropy pool, but
the kernel uses them at once only after the ioctl RNDRESEEDCRNG.

`set-clock` sets the system's clock to the `struct timespec` that it reads: BusyBox's `date` knows whole seconds only.
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
    """Return the program `reseed` for *architecture*: a static ELF file without sections."""
    match architecture:
        case Architecture.armv7hf:
            return _executable_32(
                0xE3A00000,  # mov  r0, #0        standard input
                0xE3000000 | _RNDRESEEDCRNG >> 12 << 16 | _RNDRESEEDCRNG & 0xFFF | 1 << 12,  # movw r1, #RNDRESEEDCRNG
                0xE3A02000,  # mov  r2, #0
                0xE3A07036,  # mov  r7, #54       ioctl
                0xEF000000,  # svc  #0            r0: 0, or a negative error
                0xE3A07001,  # mov  r7, #1        exit
                0xEF000000,  # svc  #0
            )
        case Architecture.aarch64:
            return _executable_64(
                0xD2800000,  # mov  x0, #0        standard input
                0xD2800001 | _RNDRESEEDCRNG << 5,  # mov  x1, #RNDRESEEDCRNG
                0xD2800002,  # mov  x2, #0
                0xD28003A8,  # mov  x8, #29       ioctl
                0xD4000001,  # svc  #0            x0: 0, or a negative error
                0xD2800BA8,  # mov  x8, #93       exit
                0xD4000001,  # svc  #0
            )
    assert_never(architecture)


def clock_program(architecture: Architecture) -> bytes:
    """Return the program `set-clock` for *architecture*: a static ELF file without sections."""
    match architecture:
        case Architecture.armv7hf:
            return _executable_32(
                0xE24DD010,  # sub  sp, sp, #16
                0xE3A00000,  # mov  r0, #0        standard input
                0xE1A0100D,  # mov  r1, sp
                0xE3A02010,  # mov  r2, #16
                0xE3A07003,  # mov  r7, #3        read
                0xEF000000,  # svc  #0
                0xE3A00000,  # mov  r0, #0        CLOCK_REALTIME
                0xE1A0100D,  # mov  r1, sp
                0xE3007194,  # movw r7, #404      clock_settime64
                0xEF000000,  # svc  #0            r0: 0, or a negative error
                0xE3A07001,  # mov  r7, #1        exit
                0xEF000000,  # svc  #0
            )
        case Architecture.aarch64:
            return _executable_64(
                0xD10043FF,  # sub  sp, sp, #16
                0xD2800000,  # mov  x0, #0        standard input
                0x910003E1,  # mov  x1, sp
                0xD2800202,  # mov  x2, #16
                0xD28007E8,  # mov  x8, #63       read
                0xD4000001,  # svc  #0
                0xD2800000,  # mov  x0, #0        CLOCK_REALTIME
                0x910003E1,  # mov  x1, sp
                0xD2800E08,  # mov  x8, #112      clock_settime
                0xD4000001,  # svc  #0            x0: 0, or a negative error
                0xD2800BA8,  # mov  x8, #93       exit
                0xD4000001,  # svc  #0
            )
    assert_never(architecture)


def _executable_32(*instructions: int) -> bytes:
    code = struct.pack(f"<{len(instructions)}I", *instructions)
    offset = 52 + 2 * 32
    header = struct.pack(
        "<HHIIIIIHHHHHH", 2, _EM_ARM, 1, _ADDRESS + offset, 52, 0, _EF_ARM_EABI5_HARD_FLOAT, 52, 32, 2, 0, 0, 0
    )
    size = offset + len(code)
    segment = struct.pack("<8I", 1, 0, _ADDRESS, _ADDRESS, size, size, 5, 0x1000)
    stack = struct.pack("<8I", _PT_GNU_STACK, 0, 0, 0, 0, 0, 6, 16)
    return b"\x7fELF\x01\x01\x01" + bytes(9) + header + segment + stack + code


def _executable_64(*instructions: int) -> bytes:
    code = struct.pack(f"<{len(instructions)}I", *instructions)
    offset = 64 + 2 * 56
    header = struct.pack("<HHIQQQIHHHHHH", 2, _EM_AARCH64, 1, _ADDRESS + offset, 64, 0, 0, 64, 56, 2, 0, 0, 0)
    size = offset + len(code)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, size, size, 0x10000)
    stack = struct.pack("<IIQQQQQQ", _PT_GNU_STACK, 6, 0, 0, 0, 0, 0, 16)
    return b"\x7fELF\x02\x01\x01" + bytes(9) + header + segment + stack + code
