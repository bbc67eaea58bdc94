/* Fills an overlay of one stream with half-transparent blue, until the stream is closed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <axoverlay2.h>

enum { WIDTH = 320, HEIGHT = 64 };

static bool draw(int id, const void *picture, size_t size, axo_err **error)
{
    axo_buffer *buffer = axo_get_buffer(id, NULL, error);
    void *data = buffer ? axo_buffer_get_data(buffer, error) : NULL;
    if (!data || axo_buffer_get_byte_size(buffer) < size)
        return false;
    memcpy(data, picture, size);
    return axo_submit_buffer(buffer, NULL, error);
}

int main(int argc, char **argv)
{
    axo_err *error = NULL;
    unsigned stream = argc > 1 ? (unsigned)atoi(argv[1]) : 1, width, height;
    if (!axo_start(NULL, &error) || !axo_get_aligned_size(AXO_FORMAT_ARGB32, WIDTH, HEIGHT, &width, &height, &error))
        goto failed;
    size_t size = 4 * (size_t)width * height;
    unsigned char *picture = calloc(1, size);
    if (!picture)
        goto failed;
    for (size_t n = 0; n < size; n += 4)
        picture[n] = picture[n + 3] = 0x80;
    axo_props *props = axo_props_new();
    axo_match *match = axo_match_new();
    axo_props_set_size(props, width, height);
    axo_props_set_format(props, AXO_FORMAT_ARGB32);
    axo_match_stream_id(match, stream);
    int id = axo_create_overlay(props, match, &error);
    axo_props_free(props);
    axo_match_free(match);
    while (id >= 0 && (draw(id, picture, size, &error) || (error && axo_err_get_code(error) == AXO_ERR_WAIT))) {
        axo_err_clear(&error);
        sleep(1);
    }
    free(picture);
    if (id >= 0 && error && axo_err_get_code(error) == AXO_ERR_NO_STREAM) {
        axo_err_clear(&error);
        if (axo_remove_overlay(id, &error) && axo_stop(&error))
            return EXIT_SUCCESS;
    }
failed:
    fprintf(stderr, "%s\n", error ? axo_err_get_message(error) : "failed");
    axo_err_clear(&error);
    return EXIT_FAILURE;
}
