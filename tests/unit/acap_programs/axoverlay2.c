/* Draws as the documentation of axoverlay2 describes it. */
#include <assert.h>
#include <axoverlay2.h>
#include <stdio.h>
#include <string.h>

static int create(unsigned width, unsigned height, unsigned stream)
{
    axo_err *error = NULL;
    axo_props *props = axo_props_new();
    axo_match *match = axo_match_new();
    unsigned full_width, full_height;
    assert(props && match);
    assert(axo_get_aligned_size(AXO_FORMAT_ARGB32, width, height, &full_width, &full_height, &error) && !error);
    assert(full_width >= width && full_height >= height);
    axo_props_set_size(props, full_width, full_height);
    axo_props_set_format(props, AXO_FORMAT_ARGB32);
    axo_props_set_upscale_x2(props, stream % 2);
    axo_match_stream_id(match, stream);
    int id = axo_create_overlay(props, match, &error);
    axo_props_free(props);
    axo_match_free(match);
    axo_err_clear(&error);
    return id;
}

static void draw(int id, int number)
{
    axo_err *error = NULL;
    axo_buffer *buffer = axo_get_buffer(id, NULL, &error);
    assert(buffer && !error);
    void *data = axo_buffer_get_data(buffer, &error);
    assert(data && axo_buffer_get_dma_buf_fd(buffer) >= 0);
    memset(data, number, axo_buffer_get_byte_size(buffer));
    assert(axo_submit_buffer(buffer, NULL, &error) && !error);
}

int main(void)
{
    axo_err *error = NULL;
    assert(axo_start(NULL, &error) && !error);
    int first = create(1900, 1000, 1), second = create(33, 17, 2);
    assert(first >= 0 && second >= 0 && first != second);
    for (int number = 0; number < 100; number++) {
        draw(first, number);
        draw(second, number);
    }
    axo_buffer *one = axo_get_buffer(first, NULL, NULL);
    assert(one && !axo_get_buffer(first, NULL, &error) && axo_err_get_code(error) == AXO_ERR_WAIT);
    assert(*axo_err_get_message(error));
    axo_err_clear(&error);
    assert(!error && axo_submit_buffer(one, NULL, &error));
    assert(create(0, 0, 1) < 0);
    assert(axo_remove_overlay(first, &error) && !axo_remove_overlay(first, &error));
    axo_err_clear(&error);
    axo_detailed_format *format = axo_suggest_detailed_format(AXO_FORMAT_ARGB32, AXO_FORMAT_FLAGS_NONE, &error);
    unsigned width, height;
    assert(format && axo_detailed_format_get_drm_modifier(format, 0) == 0 && axo_detailed_format_get_drm_fourcc(format));
    axo_detailed_format_get_aligned_size(format, 33, 17, &width, &height);
    assert(width >= 33 && height >= 17);
    axo_detailed_format_free(format);
    assert(axo_stop(&error) && !error);
    puts("done");
    return 0;
}
