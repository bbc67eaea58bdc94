/* The files of parameters. */
#include "store.h"

#include <strings.h>

#define USUAL_FOLDER "/usr/local/packages/.incamera-parameters"
#define SYSTEM_FILE "/etc/incamera-parameters"
#define PACKAGES "/usr/local/packages"
enum { MOST_BYTES = 4 << 20 };

const char *param_folder(void)
{
    return service_folder("INCAMERA_PARAMETERS", USUAL_FOLDER);
}

int param_lock(void)
{
    return service_lock(param_folder());
}

bool param_is_group(const char *name)
{
    return *name && *name != '.' && !strchr(name, '/') && strlen(name) < 128;
}

/* Lists */

static void free_entry(struct param_entry *entry)
{
    free(entry->name);
    free(entry->value);
    free(entry->type);
    free(entry);
}

void param_free(struct param_entry *list)
{
    while (list) {
        struct param_entry *next = list->next;
        free_entry(list);
        list = next;
    }
}

struct param_entry *param_find(struct param_entry *list, const char *name)
{
    for (; list; list = list->next)
        if (strcasecmp(list->name, name) == 0)
            return list;
    return NULL;
}

bool param_append(struct param_entry **list, const char *name, const char *value, const char *type)
{
    struct param_entry *entry = calloc(1, sizeof *entry);
    if (!entry)
        return false;
    entry->name = strdup(name);
    entry->value = strdup(value);
    entry->type = strdup(type);
    if (!entry->name || !entry->value || !entry->type) {
        free_entry(entry);
        return false;
    }
    while (*list)
        list = &(*list)->next;
    *list = entry;
    return true;
}

bool param_replace(char **place, const char *value)
{
    char *copy = strdup(value);
    if (!copy)
        return false;
    free(*place);
    *place = copy;
    return true;
}

/* Files */

/* The whole of the file PATH, with a zero at its end, or NULL. */
static char *read_file(const char *path)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    char *text = NULL;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size <= MOST_BYTES)
        text = calloc(1, (size_t)status.st_size + 1);
    for (size_t used = 0; text && used < (size_t)status.st_size;) {
        ssize_t count = read(fd, text + used, (size_t)status.st_size - used);
        if (count <= 0)
            break;
        used += (size_t)count;
    }
    close(fd);
    return text;
}

static int hex(char digit)
{
    if (digit >= '0' && digit <= '9')
        return digit - '0';
    digit |= 32;
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static void decode(char *text)
{
    char *to = text;
    for (; *text; text++) {
        int high = *text == '%' ? hex(text[1]) : -1, low = high < 0 ? -1 : hex(text[2]);
        if (low >= 0 && (high || low)) {
            *to++ = (char)(16 * high + low);
            text += 2;
        } else {
            *to++ = *text;
        }
    }
    *to = 0;
}

/* The text between quotes at *FROM, or up to a space; *FROM is then what follows. */
static char *take_value(char **from)
{
    char *start = *from, *end;
    if (*start == '"') {
        end = strchr(++start, '"');
        if (!end)
            return NULL;
        *from = end + 1;
    } else {
        end = start + strcspn(start, " \t");
        *from = end + (*end != 0);
    }
    *end = 0;
    return start;
}

/* The parameters of the file PATH. *FOUND: whether there is one. */
static struct param_entry *load(const char *path, bool encoded, bool *found)
{
    struct param_entry *list = NULL, **end = &list;
    char *text = read_file(path), *rest = NULL;
    *found = text != NULL;
    for (char *line = text ? strtok_r(text, "\r\n", &rest) : NULL; line; line = strtok_r(NULL, "\r\n", &rest)) {
        char *equals = strchr(line, '='), *type = NULL;
        if (!equals || equals == line)
            continue;
        *equals = 0;
        char *after = equals + 1, *value = take_value(&after);
        if (!value)
            continue;
        char *mark = strstr(after, "type=");
        if (mark) {
            after = mark + 5;
            type = take_value(&after);
        }
        if (encoded)
            decode(value);
        if (param_append(end, line, value, type ? type : "string"))
            end = &(*end)->next;
    }
    free(text);
    return list;
}

static void write_encoded(FILE *file, const char *value)
{
    for (; *value; value++)
        switch (*value) {
        case '%': fputs("%25", file); break;
        case '"': fputs("%22", file); break;
        case '\n': fputs("%0A", file); break;
        case '\r': fputs("%0D", file); break;
        default: fputc(*value, file);
        }
}

bool param_save(const char *group, const struct param_entry *list)
{
    char path[2 * PATH_SIZE], new[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", param_folder(), group);
    snprintf(new, sizeof new, "%s/.new", param_folder());
    unlink(new); /* what is left of a program that was killed */
    int fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w");
    if (!file) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    fchmod(fd, 0666);
    for (; list; list = list->next) {
        fprintf(file, "%s=\"", list->name);
        write_encoded(file, list->value);
        fputs("\" type=\"", file);
        write_encoded(file, list->type);
        fputs("\"\n", file);
    }
    bool done = fflush(file) == 0 && !ferror(file) && fdatasync(fd) == 0;
    return fclose(file) == 0 && done && rename(new, path) == 0;
}

struct param_entry *param_load(const char *group)
{
    char path[2 * PATH_SIZE];
    bool found;
    snprintf(path, sizeof path, "%s/%s", param_folder(), group);
    return load(path, true, &found);
}

struct param_entry *param_load_system(void)
{
    char path[2 * PATH_SIZE];
    bool found;
    snprintf(path, sizeof path, "%s/.system", param_folder());
    struct param_entry *list = load(path, true, &found);
    return found ? list : load(SYSTEM_FILE, true, &found);
}

static bool has_group(const char *group)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", param_folder(), group);
    return param_is_group(group) && access(path, F_OK) == 0;
}

/* A parameter of an installed package is there before the app runs for the first time. */
bool param_import(const char *app)
{
    char path[2 * PATH_SIZE];
    bool found;
    int lock = param_lock();
    if (lock < 0)
        return false;
    if (!has_group(app)) {
        snprintf(path, sizeof path, PACKAGES "/%s/param.conf", app);
        struct param_entry *list = load(path, false, &found);
        if (found)
            param_save(app, list);
        param_free(list);
    }
    close(lock);
    return true;
}

/* Names */

bool param_find_place(const char *app, const char *name, struct param_place *place)
{
    memset(place, 0, sizeof *place);
    if (!*name || strlen(name) >= sizeof place->name || strpbrk(name, "=\"\n\r "))
        return false;
    bool full = strncasecmp(name, "root.", 5) == 0;
    const char *rest = full ? name + 5 : name, *dot = strchr(rest, '.');
    if (dot)
        memcpy(place->group, rest, (size_t)(dot - rest));
    if (dot && strcasecmp(place->group, app) == 0) {
        place->own = true;
        strcpy(place->group, app);
        strcpy(place->name, dot + 1);
        return dot[1] != 0;
    }
    if (full && dot && has_group(place->group)) {
        strcpy(place->name, dot + 1);
        return dot[1] != 0;
    }
    place->system = full || dot;
    if (!place->system) {
        place->own = true;
        strcpy(place->group, app);
    }
    strcpy(place->name, rest);
    return true;
}

/* As callbacks get it. */
void param_full_name(const struct param_place *place, char full[3 * PATH_SIZE])
{
    if (place->system)
        snprintf(full, 3 * PATH_SIZE, "root.%s", place->name);
    else
        snprintf(full, 3 * PATH_SIZE, "root.%s.%s", place->group, place->name);
}
