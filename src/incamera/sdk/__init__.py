"""The camera's own libraries for C and Cython modules: headers, pkg-config files, and libraries to link with."""
