/* incamera-guard mount TYPE SOURCE TARGET and incamera-guard unmount TARGET, for network shares. The options come on
   standard input, so that a password among them is in no process list. Both end with the kernel's own error number,
   which tells the host what was wrong. */
#include "output.h"
#include "verbs.h"

#include <errno.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

int guard_mount(int argc, char **argv) {
    if (argc != 3)
        fail(255, "usage: incamera-guard mount", "TYPE SOURCE TARGET < OPTIONS", 0);
    static char options[4096]; /* the kernel takes one page */
    size_t used = 0;
    ssize_t got;
    while (used < sizeof options - 1 && (got = read(0, options + used, sizeof options - 1 - used)) > 0)
        used += (size_t)got;
    options[strcspn(options, "\n")] = 0;
    if (mkdir(argv[2], 0755) < 0 && errno != EEXIST)
        fail(errno, "cannot make the folder", argv[2], errno);
    if (mount(argv[1], argv[2], argv[0], MS_NOSUID | MS_NODEV | MS_NOATIME, options) < 0)
        fail(errno, "cannot mount", argv[1], errno);
    return 0;
}

int guard_unmount(int argc, char **argv) {
    if (argc != 1)
        fail(255, "usage: incamera-guard unmount", "TARGET", 0);
    /* Not by `umount`, which looks at the folder first, and waits for a server that is away. Forcing lets those go that
       wait already; the mount then disappears, though something may have a file open. */
    umount2(argv[0], MNT_FORCE | UMOUNT_NOFOLLOW);
    if (umount2(argv[0], MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
        fail(errno, "cannot unmount", argv[0], errno);
    return 0;
}
