/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define AXOVERLAY2_FUNCTIONS(FUNCTION) \
    FUNCTION(bool, axo_start, (axo_settings *settings, axo_err **err), "12.10") \
    FUNCTION(axo_props *, axo_props_new, (void), "12.10") \
    FUNCTION(void, axo_props_free, (axo_props *props), "12.10") \
    FUNCTION(void, axo_props_set_size, (axo_props *props, unsigned width, unsigned height), "12.10") \
    FUNCTION(void, axo_props_set_format, (axo_props *props, axo_format format), "12.10") \
    FUNCTION(axo_match *, axo_match_new, (void), "12.10") \
    FUNCTION(void, axo_match_free, (axo_match *match), "12.10") \
    FUNCTION(void, axo_match_stream_id, (axo_match *match, unsigned stream_id), "12.10") \
    FUNCTION(int, axo_create_overlay, (axo_props *props, axo_match *match, axo_err **err), "12.10") \
    FUNCTION(bool, axo_remove_overlay, (int id, axo_err **err), "12.10") \
    FUNCTION(bool, axo_get_aligned_size, (axo_format format, unsigned width, unsigned height, unsigned *aligned_width, unsigned *aligned_height, axo_err **err), "12.10") \
    FUNCTION(axo_buffer *, axo_get_buffer, (int id, axo_request *request, axo_err **err), "12.10") \
    FUNCTION(void *, axo_buffer_get_data, (axo_buffer *buffer, axo_err **err), "12.10") \
    FUNCTION(size_t, axo_buffer_get_byte_size, (axo_buffer *buffer), "12.10") \
    FUNCTION(bool, axo_submit_buffer, (axo_buffer *buffer, axo_submit *submit, axo_err **err), "12.10") \
    FUNCTION(axo_err_code, axo_err_get_code, (const axo_err *err), "12.10") \
    FUNCTION(const char *, axo_err_get_message, (const axo_err *err), "12.10") \
    FUNCTION(void, axo_err_clear, (axo_err **err), "12.10")
