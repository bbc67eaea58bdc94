/* Made by make_protocol.py of protocol.toml: change that, and run `python make_protocol.py`. */
#ifndef PROTOCOL_H
#define PROTOCOL_H

enum exit_code {
    EXIT_FAILED = 1, /* Anything else; standard error says what. */
    EXIT_USAGE = 2, /* The guard did not understand its arguments or its input. */
    EXIT_DAMAGED = 3, /* Not all files arrived as the listing describes them. */
    EXIT_NO_SPACE = 4, /* The place has no space left. */
    EXIT_BUSY = 5, /* Another deploy did not end in time. */
    EXIT_INTERRUPTED = 6, /* The host's end of the connection was closed, or it was silent for too long. */
    EXIT_CANNOT_MOUNT = 7, /* The kernel cannot mount the image. */
    EXIT_UNREACHABLE = 8, /* The place does not answer: a card was pulled, or a share's server is away. */
    EXIT_IMAGE_MISSING = 9, /* The runtime that the bundle names is not there. */
    EXIT_TAKEN = 11, /* Another user owns a folder that the guard needs. */
    EXIT_IMAGE_DAMAGED = 12, /* The bundle or its image is incomplete, or is not what its name says. */
    EXIT_NO_MEMORY = 13, /* There is too little RAM for the unpacked bundle. */
    EXIT_LOCKED = 14, /* Another process has changed the folders of links for a minute. */
    EXIT_READ_ONLY = 15, /* The place is mounted read-only. */
    EXIT_NOT_SEEN = 16, /* The bundle that another computer wrote to the share did not appear here in time. */
    EXIT_NO_GUARD = 99, /* There is no guard. This is from the shell text that starts it. */
    EXIT_RUN_ENDED = 125, /* The run was ended before its program could start. */
    EXIT_CANNOT_EXECUTE = 126, /* The program is there but cannot be executed. */
    EXIT_NOT_FOUND = 127, /* The program, or a part of the bundle that it needs, is not there. */
};

#define IMAGES ".images" /* The folder of runtimes, beside those of the apps. */
#define ENTRIES ".incamera-entries" /* In a bundle: its listing. */
#define CURRENT "current" /* In an app's folder: a link to its newest bundle. */
#define GUARDS ".guard" /* The folder of guards, beside those of the apps. */
#define GUARD "incamera-guard" /* What the name of the guard begins with. A program of another name is the launcher. */
#define ROOTS "/tmp/incamera-roots" /* The folder of the bundles' folders of links. */
#define RAM_IMAGES "/tmp/incamera-images" /* The folder of mounted and unpacked runtimes. */
#define OWN_FOLDER "/tmp/incamera-" /* What the paths of our folders for the time of a session begin with. */
#define RUN_FOLDER "/tmp/incamera-run-" /* What the path of a run's folder begins with. */
#define AGENTS_FOLDER "/tmp/incamera-agent" /* The folder of the agents' sockets, each in a folder of the app's name. */
#define OWN_SUFFIX "-u" /* With the number of our user: the end of a folder's name where another user has taken the name without it. */
#define RUN_VARIABLE "INCAMERA_RUN" /* The environment variable that names the run a process belongs to. */
#define SUBREAPER_VARIABLE "INCAMERA_SUBREAPER" /* The environment variable that makes Python adopt orphans. */
#define DATA_VARIABLE "INCAMERA_DATA" /* The environment variable with the folder in which an app keeps its data. */
#define WORK_VARIABLE "INCAMERA_WORK" /* The environment variable that names the folder of an app's working folder. The guard removes it. */
#define WORK_FOLDERS ".work" /* The folder of the apps' working folders, beside those of the apps. */
#define WORK_FILES "files" /* In it, for each app: a link to the folder of the app's files. */
#define WORK_APP "app" /* Beside that: the folder that the app works in. */
#define DATA_FOLDERS ".data" /* The folder of the apps' data, beside those of the apps. */
#define PARTIAL_PREFIX ".incamera-part-" /* What the name of a file begins with that has not arrived whole; the start of its digest follows. */
#define NETWORK_TYPES "ff534d42 fe534d42 517b 6969 65735546 1021997" /* File systems of shares, as statfs numbers them: SMB by any of its names, NFS, FUSE, 9P. */
#define FAT_TYPES "4d44 2011bab0" /* File systems that have no owners: FAT and exFAT. */
#define STAMP 946684800 /* The time of change that a checked file gets, in seconds since 1970. */
#define SILENCE_MS 30000 /* A host that sends nothing for so long is gone. */
#define SUPERVISE_TIMEOUT_MS 15000 /* A run ends when its host has sent nothing for so long. */
#define GRACE_MS 3000 /* So long an app has between SIGTERM and SIGKILL. */
#define SPACE_MARGIN 1048576 /* What is left free of a place, in bytes: for folders and the listing. */
#define RAM_RESERVE 67108864 /* The least RAM that the camera keeps for itself, in bytes. */
#define RAM_RESERVE_PART 4 /* The part of all RAM that the camera keeps for itself: a quarter, if that is more. */

/* X(name, function) for each verb of the guard. */
#define VERBS(X) \
    X("run", guard_run) \
    X("supervise", guard_supervise) \
    X("receive", guard_receive) \
    X("tidy", guard_tidy) \
    X("adopt", guard_adopt) \
    X("verify", guard_verify) \
    X("activate", guard_activate) \
    X("deactivate", guard_deactivate) \
    X("list", guard_list) \
    X("try-images", guard_try_images) \
    X("measure", guard_measure) \
    X("connect", guard_connect) \
    X("mount", guard_mount) \
    X("unmount", guard_unmount) \
    X("allow-exec", guard_allow_exec) \
    X("processes", guard_processes) \
    X("end", guard_end) \
    X("sockets", guard_sockets) \
    X("make-folder", guard_make_folder) \
    X("show", guard_show) \
    X("copy-folder", guard_copy_folder) \
    X("remove-folder", guard_remove_folder) \
    X("look", guard_look) \
    X("read", guard_read) \
    X("write", guard_write) \
    X("erase", guard_erase)

/* The kinds of entries in a listing. */
enum {
    ENTRY_FILE = 'f',
    ENTRY_EXECUTABLE = 'x',
    ENTRY_LINK = 'l',
};

/* The kinds of answers, and the keys of their fields. */
#define ANSWER_ACTIVATED "activated"
#define ANSWER_LISTED "listed"
#define ANSWER_TRIED "tried"
#define ANSWER_MEASURED "measured"
#define ANSWER_VERIFIED "verified"
#define ANSWER_MOUNTED "mounted"
#define ANSWER_SAMPLE "sample"
#define ANSWER_COPIED "copied"
#define ANSWER_FOUND "found"
#define ANSWER_SENDING "sending"
#define ANSWER_SENT "sent"
#define ANSWER_RESUMED "resumed"
#define ANSWER_WRITTEN "written"
#define ANSWER_LEFT "left"
#define ANSWER_SOCKETS "sockets"
#define ANSWER_READY "ready"
#define ANSWER_EXITED "exited"
#define ANSWER_ENDED "ended"
#define ANSWER_WAITING "waiting"
#define ANSWER_WANTED "wanted"
#define ANSWER_COMPLETE "complete"
#define KEY_APP "app"
#define KEY_ARGUMENTS "arguments"
#define KEY_BEGAN "began"
#define KEY_BUNDLE "bundle"
#define KEY_CHANGED "changed"
#define KEY_COUNT "count"
#define KEY_DIGEST "digest"
#define KEY_ERROR "error"
#define KEY_FILES "files"
#define KEY_FOLDER "folder"
#define KEY_FREE "free"
#define KEY_IMAGE_FROM "image_from"
#define KEY_IMAGES "images"
#define KEY_LEFT "left"
#define KEY_MISSING "missing"
#define KEY_MODE "mode"
#define KEY_MOUNTED "mounted"
#define KEY_NAME "name"
#define KEY_OFFSET "offset"
#define KEY_OUT_OF_MEMORY "out_of_memory"
#define KEY_OWNER "owner"
#define KEY_PACKINGS "packings"
#define KEY_PARENT "parent"
#define KEY_PASSING "passing"
#define KEY_PATH "path"
#define KEY_PATHS "paths"
#define KEY_PEAK "peak"
#define KEY_PID "pid"
#define KEY_PREVIOUS "previous"
#define KEY_PROBLEM "problem"
#define KEY_PROCESSES "processes"
#define KEY_PROPORTIONAL "proportional"
#define KEY_READ "read"
#define KEY_REPAIRED "repaired"
#define KEY_RESIDENT "resident"
#define KEY_ROOT "root"
#define KEY_ROOTS "roots"
#define KEY_RUN "run"
#define KEY_SECONDS "seconds"
#define KEY_SIZE "size"
#define KEY_SQUASHFS "squashfs"
#define KEY_STATE "state"
#define KEY_STORED "stored"
#define KEY_THREADS "threads"
#define KEY_TICKS "ticks"
#define KEY_TOTAL "total"
#define KEY_TYPE "type"
#define KEY_UPTIME "uptime"
#define KEY_USED "used"
#define KEY_WRITE "write"

#endif
