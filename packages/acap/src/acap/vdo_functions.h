/* Made by make_functions.py from incamera's tables: result, name, arguments, the AXIS OS that has it. */
#define VDO_FUNCTIONS(FUNCTION) \
    FUNCTION(gboolean, vdo_error_is_expected, (GError **error), "9.80") \
    FUNCTION(VdoMap *, vdo_map_new, (void), "9.80") \
    FUNCTION(void, vdo_map_set_boolean, (VdoMap *self, const gchar *name, gboolean value), "9.80") \
    FUNCTION(void, vdo_map_set_uint32, (VdoMap *self, const gchar *name, guint32 value), "9.80") \
    FUNCTION(void, vdo_map_set_double, (VdoMap *self, const gchar *name, gdouble value), "9.80") \
    FUNCTION(void, vdo_map_set_string, (VdoMap *self, const gchar *name, const gchar *value), "9.80") \
    FUNCTION(guint32, vdo_map_get_uint32, (const VdoMap *self, const gchar *name, guint32 def), "9.80") \
    FUNCTION(gdouble, vdo_map_get_double, (const VdoMap *self, const gchar *name, gdouble def), "9.80") \
    FUNCTION(const gchar *, vdo_map_get_string, (const VdoMap *self, const gchar *name, gsize *size, const gchar *def), "9.80") \
    FUNCTION(VdoPair32u, vdo_map_get_pair32u, (const VdoMap *self, const gchar *name, VdoPair32u def), "10.12") \
    FUNCTION(VdoChannel *, vdo_channel_get, (guint channel_nbr, GError **error), "9.80") \
    FUNCTION(VdoChannel *, vdo_channel_get_ex, (VdoMap *desc, GError **error), "11.4") \
    FUNCTION(GList *, vdo_channel_get_all, (GError **error), "9.80") \
    FUNCTION(guint, vdo_channel_get_id, (VdoChannel *self), "9.80") \
    FUNCTION(VdoMap *, vdo_channel_get_info, (VdoChannel *self, GError **error), "9.80") \
    FUNCTION(VdoResolutionSet *, vdo_channel_get_resolutions, (VdoChannel *self, VdoMap *filter, GError **error), "9.80") \
    FUNCTION(VdoStream *, vdo_stream_new, (VdoMap *settings, VdoBufferFinalizer fin, GError **error), "9.80") \
    FUNCTION(gboolean, vdo_stream_start, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(void, vdo_stream_stop, (VdoStream *self), "9.80") \
    FUNCTION(gint, vdo_stream_get_fd, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(VdoMap *, vdo_stream_get_info, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(guint, vdo_stream_get_id, (VdoStream *self), "9.80") \
    FUNCTION(VdoMap *, vdo_stream_get_settings, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(VdoBuffer *, vdo_stream_get_buffer, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(gboolean, vdo_stream_buffer_unref, (VdoStream *self, VdoBuffer **buffer, GError **error), "9.80") \
    FUNCTION(gboolean, vdo_stream_set_framerate, (VdoStream *self, gdouble framerate, GError **error), "9.80") \
    FUNCTION(gboolean, vdo_stream_force_key_frame, (VdoStream *self, GError **error), "9.80") \
    FUNCTION(VdoBuffer *, vdo_stream_snapshot, (VdoMap *settings, GError **error), "9.80") \
    FUNCTION(VdoStream *, vdo_stream_get, (guint id, GError **error), "9.80") \
    FUNCTION(gboolean, vdo_stream_attach, (VdoStream *self, VdoMap *intent, GError **error), "9.80") \
    FUNCTION(gint, vdo_stream_get_event_fd, (VdoStream *self, GError **error), "10.9") \
    FUNCTION(VdoMap *, vdo_stream_get_event, (VdoStream *self, GError **error), "10.9") \
    FUNCTION(gpointer, vdo_buffer_get_data, (VdoBuffer *self), "9.80") \
    FUNCTION(gint, vdo_buffer_get_fd, (VdoBuffer *self), "9.80") \
    FUNCTION(gint64, vdo_buffer_get_offset, (VdoBuffer *self), "9.80") \
    FUNCTION(gsize, vdo_buffer_get_capacity, (VdoBuffer *self), "9.80") \
    FUNCTION(gboolean, vdo_buffer_is_contiguous, (VdoBuffer *self), "12.11") \
    FUNCTION(VdoChunk, vdo_frame_take_chunk, (VdoFrame *self, GError **error), "9.80") \
    FUNCTION(gsize, vdo_frame_get_size, (VdoFrame *self), "9.80") \
    FUNCTION(guint, vdo_frame_get_sequence_nbr, (VdoFrame *self), "9.80") \
    FUNCTION(guint64, vdo_frame_get_timestamp, (VdoFrame *self), "9.80") \
    FUNCTION(gint64, vdo_frame_get_custom_timestamp, (VdoFrame *self), "9.80") \
    FUNCTION(VdoFrameType, vdo_frame_get_frame_type, (VdoFrame *self), "9.80") \
    FUNCTION(gboolean, vdo_frame_is_key, (VdoFrame *self), "9.80") \
    FUNCTION(gssize, vdo_frame_get_header_size, (VdoFrame *self), "9.80")
