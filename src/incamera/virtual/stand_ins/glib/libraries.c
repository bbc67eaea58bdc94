/* Names to link with: build.py makes libglib-2.0.so.0 and libgobject-2.0.so.0 of these, for the linker only. */
#ifdef OF_GLIB
void g_malloc0(void) {}
void g_free(void) {}
void g_strdup(void) {}
void g_list_append(void) {}
void g_list_free(void) {}
void g_quark_from_static_string(void) {}
void g_set_error_literal(void) {}
void g_timeout_add_full(void) {}
void g_source_remove(void) {}
void g_str_hash(void) {}
void g_str_equal(void) {}
void g_hash_table_new_full(void) {}
void g_hash_table_insert(void) {}
void g_hash_table_remove(void) {}
void g_hash_table_foreach(void) {}
void g_hash_table_size(void) {}
void g_hash_table_unref(void) {}
void g_date_time_new_from_unix_utc(void) {}
void g_date_time_add(void) {}
void g_date_time_to_unix(void) {}
void g_date_time_get_microsecond(void) {}
void g_date_time_unref(void) {}
void g_unix_fd_add_full(void) {}
#else
void g_type_register_static_simple(void) {}
void g_enum_register_static(void) {}
void g_object_new(void) {}
void g_object_ref(void) {}
void g_object_unref(void) {}
#endif
