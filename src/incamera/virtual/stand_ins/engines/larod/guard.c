/* A client may make the file of a buffer shorter while the service reads it. The kernel then sends SIGBUS, which must end
   the job only. */
#include "objects.h"

#include <setjmp.h>

static __thread sigjmp_buf *place;

static void jump(int signal)
{
    if (place)
        siglongjmp(*place, 1);
    struct sigaction def = {.sa_handler = SIG_DFL};
    sigaction(signal, &def, NULL); /* the fault comes again, and ends the process */
}

/* Only in the service: a program's own signals are its own. */
void install_guard(void)
{
    struct sigaction action = {.sa_handler = jump, .sa_flags = SA_NODEFER};
    sigaction(SIGBUS, &action, NULL);
    sigset_t bus;
    sigemptyset(&bus);
    sigaddset(&bus, SIGBUS);
    pthread_sigmask(SIG_UNBLOCK, &bus, NULL); /* in this thread, and those that it starts */
}

/* Whether FUNCTION has come to its end. It must neither lock nor allocate anything. */
bool guarded(bool (*function)(void *data), void *data)
{
    sigjmp_buf here;
    bool good = false;
    if (sigsetjmp(here, 0) == 0) {
        place = &here;
        good = function(data);
    }
    place = NULL;
    return good;
}
