/* One static program with two faces, told apart by the name it is called by: the launcher (python3) and the guard
   (incamera-guard). It must run on any camera, so it uses nothing but system calls and a little of musl. */
#ifndef INCAMERA_H
#define INCAMERA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* main.c: both faces */
int launch(int argc, char **argv);
int guard(int argc, char **argv);

/* run.c: the processes of one run */
int guard_run(int argc, char **argv);
int guard_hold(int argc, char **argv);

/* receive.c, tidy.c, listing.c: bundles */
int guard_receive(int argc, char **argv);
int guard_tidy(int argc, char **argv);
int guard_verify(int argc, char **argv);

/* mount.c: network shares */
int guard_mount(int argc, char **argv);
int guard_unmount(int argc, char **argv);

/* stand.c: bundles that lie there as one image are mounted or unpacked */
int guard_stand(int argc, char **argv);
bool root_in_use(const char *name);

/* connect.c: standard input and output to a socket of the agent */
int guard_connect(int argc, char **argv);

/* measure.c: how fast a place is */
int guard_measure(int argc, char **argv);

/* processes.c */
bool folder_in_use(const char *folder);
int signal_run(const char *id, pid_t leader, int signal);

/* text.c: messages, strings, memory; each ends the program with a message where it cannot go on */
extern const char *program_name;
_Noreturn void fail(int code, const char *first, const char *second, int error);
/* As fail, with the exit code that tells what is wrong with the place that bundles lie in, or with /tmp. */
_Noreturn void fail_at_place(const char *first, const char *second, int error);
_Noreturn void fail_in_ram(const char *first, const char *second, int error);
void *require_memory(void *pointer);
char *join(const char *first, const char *second, const char *third);
char *join_path(const char *folder, const char *name);
void say(const char *text);
void say_number(const char *label, long number);
char *number_text(long number);

/* files.c */
char *read_file(const char *path, size_t *size);
bool write_all(int descriptor, const void *data, size_t size);
bool write_file(const char *path, const void *data, size_t size, mode_t mode);
bool make_parents(char *path, size_t from);
bool copy_file(const char *from, const char *to, mode_t mode);
void remove_tree(const char *path);
bool is_own_folder(const char *path);
void make_own_folder(const char *path); /* or end with EXIT_TAKEN */

/* sha256.c */
struct sha256 {
    uint32_t state[8];
    uint64_t length;
    unsigned char block[64];
};
void sha256_start(struct sha256 *hash);
void sha256_add(struct sha256 *hash, const void *data, size_t size);
void sha256_end(struct sha256 *hash, char text[65]);
bool sha256_file(int folder, const char *path, char text[65]);

#endif
