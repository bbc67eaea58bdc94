# cython: language_level=3
cimport numpy

cdef extern from *:
    """
    /* Compiled only where numpy's headers speak of the machine that is compiled for. */
    #if NPY_SIZEOF_LONG != __SIZEOF_LONG__ || NPY_SIZEOF_INTP != __SIZEOF_POINTER__
    #error the sizes are another machine's
    #endif
    typedef char long_double[NPY_SIZEOF_LONGDOUBLE == sizeof(long double) ? 1 : -1];
    typedef char off_t_size[NPY_SIZEOF_OFF_T == sizeof(off_t) ? 1 : -1];
    """

numpy.import_array()


def total(numpy.ndarray[numpy.float64_t, ndim=1] values):
    cdef double result = 0
    for value in values:
        result += value
    return result
