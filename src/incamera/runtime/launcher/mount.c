/* Network shares. Both verbs print the kernel's own error number, by which the host knows what was wrong. */
#define _GNU_SOURCE
#include "json.h"
#include "output.h"
#include "place.h"
#include "protocol.h"
#include "text.h"
#include "verbs.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

static int answer(int error, const char *what, const char *name) {
    char *start = error ? join(what, " ", name) : NULL, *problem = error ? join(start, ": ", strerror(error)) : NULL;
    begin_answer(ANSWER_MOUNTED);
    answer_number(KEY_ERROR, (uint64_t)error);
    answer_text(KEY_PROBLEM, problem);
    end_answer();
    return 0;
}

/* guard mount TYPE SOURCE TARGET: standard input brings the options, so that a password among them is in no list of
   processes. */
int guard_mount(int argc, char **argv) {
    if (argc != 3)
        fail(EXIT_USAGE, "usage: incamera-guard mount", "TYPE SOURCE TARGET < OPTIONS", 0);
    static char options[4096]; /* the kernel takes one page */
    size_t used = 0;
    ssize_t got;
    while (used < sizeof options - 1 && (got = read(0, options + used, sizeof options - 1 - used)) > 0)
        used += (size_t)got;
    options[strcspn(options, "\n")] = 0;
    refuse_taken(argv[2], WHOLE_PATH); /* a link to /etc would have the share in its place */
    if (mkdir(argv[2], 0755) < 0 && errno != EEXIST)
        return answer(errno, "cannot make the folder", argv[2]);
    if (mount(argv[1], argv[2], argv[0], MS_NOSUID | MS_NODEV | MS_NOATIME, options) < 0)
        return answer(errno, "cannot mount", argv[1]);
    return answer(0, NULL, NULL);
}

/* guard allow-exec TARGET: let programs run on a card that is mounted noexec. Of the mount's flags only that one changes. */
int guard_allow_exec(int argc, char **argv) {
    if (argc != 1)
        fail(EXIT_USAGE, "usage: incamera-guard allow-exec", "TARGET", 0);
    static const struct {
        unsigned long shown, flag;
    } kept[] = {{ST_RDONLY, MS_RDONLY},         {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV}, {ST_NOATIME, MS_NOATIME},
                {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME}};
    refuse_taken(argv[0], WHOLE_PATH);
    struct statvfs status;
    if (statvfs(argv[0], &status) < 0)
        return answer(errno, "cannot look at", argv[0]);
    unsigned long flags = MS_REMOUNT | MS_BIND;
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        flags |= status.f_flag & kept[i].shown ? kept[i].flag : 0;
    if (mount(NULL, argv[0], NULL, flags, NULL) < 0)
        return answer(errno, "cannot remount", argv[0]);
    return answer(0, NULL, NULL);
}

/* guard unmount TARGET */
int guard_unmount(int argc, char **argv) {
    if (argc != 1)
        fail(EXIT_USAGE, "usage: incamera-guard unmount", "TARGET", 0);
    /* Not by `umount`, which looks at the folder first, and waits for a server that is away. Forcing lets those go that
       wait already; the mount then disappears, though something may have a file open. */
    umount2(argv[0], MNT_FORCE | UMOUNT_NOFOLLOW);
    if (umount2(argv[0], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        return answer(errno, "cannot unmount", argv[0]);
    return answer(0, NULL, NULL);
}
