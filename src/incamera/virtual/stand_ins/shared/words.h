/* Numbers and texts in the content of a message, one after the other. A text ends with a zero and has none in it, so that
   it can be used where it lies. */
#ifndef STAND_INS_WORDS_H
#define STAND_INS_WORDS_H

#include "line.h"

/* What is read: after something that is not there, GOOD is false, and all that follows is 0 or "". */
struct words {
    const uint8_t *at;
    size_t left;
    bool good;
};

static inline struct words words_of(const struct line_message *message)
{
    return (struct words){message->data, message->size, true};
}

static inline uint32_t words_number(struct words *words)
{
    uint32_t number = 0;
    words->good = words->good && words->left >= sizeof number;
    if (!words->good)
        return 0;
    memcpy(&number, words->at, sizeof number);
    words->at += sizeof number;
    words->left -= sizeof number;
    return number;
}

static inline const char *words_text(struct words *words)
{
    size_t size = words->good ? strnlen((const char *)words->at, words->left) : 0;
    words->good = words->good && size < words->left;
    if (!words->good)
        return "";
    const char *text = (const char *)words->at;
    words->at += size + 1;
    words->left -= size + 1;
    return text;
}

/* What is written. GOOD is false when it did not fit. Begin with {.good = true}. */
struct words_out {
    bool good;
    size_t size;
    uint8_t data[LINE_BYTES];
};

static inline void words_put(struct words_out *words, const void *data, size_t size)
{
    words->good = words->good && size <= sizeof words->data - words->size;
    if (!words->good)
        return;
    memcpy(words->data + words->size, data, size);
    words->size += size;
}

static inline void words_put_number(struct words_out *words, uint32_t number)
{
    words_put(words, &number, sizeof number);
}

static inline void words_put_text(struct words_out *words, const char *text)
{
    words_put(words, text, strlen(text) + 1);
}

#endif
