/* Text that grows. */
#ifndef STAND_INS_TEXT_H
#define STAND_INS_TEXT_H

#include <glib.h>
#include <string.h>

struct text {
    char *data;
    size_t size, room;
};

static inline void text_add(struct text *text, const char *data, size_t size)
{
    if (text->size + size + 1 > text->room) {
        size_t room = 2 * (text->size + size + 1);
        char *larger = g_malloc0(room);
        if (text->data)
            memcpy(larger, text->data, text->size);
        g_free(text->data);
        text->data = larger;
        text->room = room;
    }
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->data[text->size] = 0;
}

static inline void text_add_string(struct text *text, const char *string)
{
    text_add(text, string, strlen(string));
}

#endif
