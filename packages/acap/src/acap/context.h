/* A thread that serves GLib's default main context: the camera's libraries call back in it. */
#ifndef ACAP_CONTEXT_H
#define ACAP_CONTEXT_H

#include <pthread.h>
#include <signal.h>

#include "library.h"

#define CONTEXT_FUNCTIONS(FUNCTION) \
    FUNCTION(void *, g_main_loop_new, (void *context, int running), "9.80") \
    FUNCTION(void, g_main_loop_run, (void *loop), "9.80")

static struct {
    CONTEXT_FUNCTIONS(LIBRARY_POINTER)
} context;

static const struct library_function context_table[] = {
#define FUNCTION(result, name, arguments, since) {#name, since, (size_t)((char *)&context.name - (char *)&context)},
    CONTEXT_FUNCTIONS(FUNCTION)
#undef FUNCTION
};

static void *context_run(void *nothing)
{
    (void)nothing;
    context.g_main_loop_run(context.g_main_loop_new(NULL, 0));
    return NULL;
}

/* Start the thread, which blocks all signals: they are the program's. Returns NULL, or what is said against it. */
static const char *context_serve(void)
{
    pthread_t thread;
    sigset_t all, before;
    const char *message =
        library_open("libglib-2.0.so.0", &context, context_table, sizeof context_table / sizeof *context_table);
    if (message)
        return message;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&thread, NULL, context_run, NULL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return "there is no memory for a thread";
    pthread_detach(thread);
    return NULL;
}

#endif
