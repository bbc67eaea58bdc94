/* The processes and the memory of this device, read from /proc, which is all there is on every camera. */
#ifndef PROCESSES_H
#define PROCESSES_H

#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Has any process mapped a file below FOLDER (an absolute path without links)? */
bool folder_in_use(const char *folder);

/* Does any process work in FOLDER or below it? */
bool is_working_folder(const char *folder);

/* Has the process PID not ended yet? One that its parent has not waited for has. */
bool is_alive(pid_t pid);

/* Is this entry of /proc a process? */
bool is_process(const struct dirent *entry);

/* The file NAME of the process PID in /proc, with a NUL behind it; NULL where it cannot be read. */
char *read_proc(const char *pid, const char *name, size_t *size);

/* The environment of the process PID: SIZE bytes, a NUL behind each setting; NULL where it cannot be read. In the middle
   of an execve the kernel shows none: that is waited for. */
char *read_environment(const char *pid, size_t *size);

/* Send SIGNAL (0: none) to every process of the run ID whose first process is LEADER (0: unknown): those of its
   session, those that have its id in their environment (they began sessions of their own), and the children of
   either. Returns how many there are. */
int signal_run(const char *id, pid_t leader, int signal);

/* The number behind KEY, such as "MemTotal:", in the file PATH of /proc; 0 where there is none. */
uint64_t read_count(const char *path, const char *key);

/* What /proc/meminfo says of KEY, such as "MemTotal:", in bytes. */
uint64_t read_memory(const char *key);

/* Wait for CHILD; returns its status as waitpid does. */
int await_child(pid_t child);

#endif
