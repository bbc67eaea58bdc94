/* Calls the parsers of the launcher and the guard. Standard input brings inputs: a byte that names the parser, the size in
   four bytes, and as many bytes. For each of them one line is written. test_sanitized_parsers.py compiles this with
   sanitizers, together with the files of the launcher except main.c, output.c and those that are included here. */
#define _GNU_SOURCE
#include "files.h"
#include "image.h"
#include "json.h"
#include "listing.h"
#include "output.h"
#include "place.h"
#include "plain.h"
#include "roots.h"
#include "sha256.h"
#include "text.h"
#include "tidy.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A link that an input asks for must not lead anywhere. */
#define symlink(target, path) symlink("nowhere", path)
#include "activate.c"
#undef symlink
#include "end.c"
#include "launcher.c"
#include "list_processes.c"
#include "lock.c"
#include "run.c"

/* In place of output.c: an error ends the parser, not the program. */
const char *program_name = "parsers", *program_path = "parsers";
static jmp_buf refused;

bool write_all(int descriptor, const void *data, size_t size) {
    for (const char *bytes = data; size;) {
        ssize_t written = write(descriptor, bytes, size);
        if (written <= 0)
            return false;
        bytes += written, size -= (size_t)written;
    }
    return true;
}

void let_go_of_host(void) { abort(); }

_Noreturn void fail(int code, const char *first, const char *second, int error) {
    size_t read_all = strlen(first) + (second ? strlen(second) : 0);
    longjmp(refused, code && error >= 0 && read_all < ~(size_t)0 ? 1 : 2);
}

_Noreturn void fail_at_place(const char *first, const char *second, int error) { fail(EXIT_FAILED, first, second, error); }

_Noreturn void fail_in_ram(const char *first, const char *second, int error) { fail(EXIT_FAILED, first, second, error); }

static void answer_word(const char *word) {
    begin_answer("word");
    answer_text("value", word);
    end_answer();
}

static void save(const char *folder, const char *name, const char *data, size_t size) {
    char *path = join_path(folder, name);
    unlink(path);
    if (!write_file(path, data, size, 0644))
        abort();
    free(path);
}

static void parse_and_use_listing(char *text, size_t size) {
    struct listing listing = {.folder = -1};
    if (parse_listing(&listing, text, size))
        for (size_t i = 0; i < listing.count; i++)
            free(target_of("/root", &listing.entries[i]));
    free(listing.entries);
}

static void check_bundle(const char *folder, const char *text, size_t size) {
    struct listing listing = {.folder = -1};
    save(folder, ENTRIES, text, size);
    if (load_listing(&listing, folder, false)) {
        is_whole(folder, &listing, true);
        is_whole(folder, &listing, false);
        free_listing(&listing);
    }
}

static void read_root(const char *folder, const char *text, size_t size) {
    char *lines[2];
    save(folder, MADE_OF, text, size);
    if (read_made_of(folder, lines)) {
        is_intact(lines[1]);
        free(parent_of(lines[0]));
    }
}

static void hash(const char *data, size_t size) {
    struct sha256 hash;
    char digest[65];
    size_t first = size ? (unsigned char)*data % (size + 1) : 0;
    sha256_start(&hash);
    sha256_add(&hash, data, first);
    sha256_add(&hash, data + first, size - first);
    sha256_end(&hash, digest);
    answer_word(digest);
}

static void read_processes(const char *text, size_t size) {
    begin_answer("process");
    answer_text(KEY_RUN, find_run(text, size));
    answer_words(text, size);
    answer_size(KEY_RESIDENT, text, "VmRSS:");
    end_answer();
}

static void read_lock(const char *folder, const char *text, size_t size) {
    save(folder, "lock", text, size);
    char *path = join_path(folder, "lock");
    lock = open(path, O_RDONLY | O_CLOEXEC);
    const char *holder = read_holder();
    close(lock);
    free(path);
    answer_word(holder);
}

/* An archive that is not packed, of two files and a link. It comes in pieces of growing size. */
static void receive_plain(const char *folder, const char *data, size_t size) {
    char text[] = "f 5 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824 a/b/c\0\0x 0 "
                  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 a/d\0\0l 0 - e\0a";
    struct listing listing = {0};
    if (!parse_listing(&listing, text, sizeof text))
        abort();
    listing.folder = open(folder, O_RDONLY | O_DIRECTORY);
    listing.entries[0].missing = listing.entries[1].missing = true;
    struct plain plain = {.wanted = &listing};
    for (size_t at = 0, piece = 1; at < size; at += piece++)
        plain_add(&plain, data + at, piece < size - at ? piece : size - at);
    plain_end(&plain);
    close(listing.folder);
    answer_word(!listing.entries[0].sealed ? "damaged" : listing.entries[1].sealed ? "sealed" : "one");
    free(listing.entries);
}

/* Returns whether a line was written. */
static bool parse(char parser, const char *folder, char *text, size_t size) {
    struct image image = {0};
    struct settings settings = {0};
    switch (parser) {
    case 'L': parse_and_use_listing(text, size); return false;
    case 'A': receive_plain(folder, text, size); return true;
    case 'B': check_bundle(folder, text, size); return false;
    case 'I': parse_image("image", text, &image); return false;
    case 'D': remove_tree(folder), mkdir(folder, 0755), write_device(folder, text); return false;
    case 'S': read_settings("/root", "launcher", text, &settings); return false;
    case 'R': read_root(folder, text, size); return false;
    case 'C': save(folder, CURRENT, text, size), answer_word(read_current(folder)); return true;
    case 'P': save(folder, "pid", text, size), read_leader(folder); return false;
    case 'K': read_lock(folder, text, size); return true;
    case 'E': parse_target(text); return false;
    case 'F': is_own_folder(text); return false;
    case 'N': free(parent_of(text)); return false;
    case 'T': answer_word(text); return true;
    case 'H': hash(text, size); return true;
    case 'W': read_processes(text, size); return true;
    default: abort();
    }
}

int main(int argc, char **argv) {
    if (argc != 2)
        return 2;
    unsigned char head[5];
    while (fread(head, sizeof head, 1, stdin) == 1) {
        size_t size = head[1] | head[2] << 8 | head[3] << 16;
        char *text = malloc(size + 1); /* exactly as long, so that one byte too far is noticed */
        if (!text || fread(text, 1, size, stdin) != size)
            return 2;
        text[size] = 0;
        if (setjmp(refused))
            answer_word("refused");
        else if (!parse((char)head[0], argv[1], text, size))
            write_all(1, "{}\n", 3);
        free(text);
    }
    return 0;
}
