from cffi import FFI

ffi = FFI()
ffi.cdef("unsigned long crc32(unsigned long crc, const unsigned char *data, unsigned int size);")
ffi.set_source("_crc", "#include <zlib.h>", libraries=["z"])
