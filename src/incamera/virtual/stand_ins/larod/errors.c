/* Errors. */
#include "objects.h"

void larodClearError(larodError **error)
{
    clear_error(error);
}
