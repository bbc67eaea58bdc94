# What acap uses of the camera's library for license keys, as licensekey.h declares it.

cdef extern from "licensekey.h" nogil:
    const char *licensekey_open(const char *soname)
    const char *licensekey_lacks(const char **names, const char **since)

    struct licensekey_functions "":
        int (*licensekey_dyn_verify)(const char *, int, int, int) noexcept nogil
        int (*licensekey_dyn_verify_ex)(const char *, int, int, int, const char *) noexcept nogil
        char *(*licensekey_dyn_get_exp_date)(const char *, const char *) noexcept nogil

    licensekey_functions licensekey
