/*
 * Maps of named values, for settings and information. VDO, in the camera since AXIS OS 9.80. Made
 * by incamera from data/vdo.toml.
 */
#ifndef INCAMERA_VDO_MAP_H
#define INCAMERA_VDO_MAP_H

#include "incamera-axis-os.h"
#include "vdo-types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VDO_TYPE_MAP (vdo_map_get_type())
G_DECLARE_FINAL_TYPE(VdoMap, vdo_map, VDO, MAP, GObject)

/* Free a map with g_object_unref. */
VdoMap *vdo_map_new(void);

#if INCAMERA_AXIS_OS >= 1211
/* A new map. Newer than AXIS OS 12.1; in 12.11 at the latest. */
VdoMap *vdo_map_clone(const VdoMap *other);
#endif

/* A new map. */
VdoMap *vdo_map_new_from_variant(GVariant *dictionary);
gboolean vdo_map_empty(const VdoMap *self);
gsize vdo_map_size(const VdoMap *self);
void vdo_map_swap(VdoMap *lhs, VdoMap *rhs);
gboolean vdo_map_contains(const VdoMap *self, const gchar *name);
/* Names, and NULL after the last. */
gboolean vdo_map_contains_va(const VdoMap *self, ...);
gboolean vdo_map_contains_strv(const VdoMap *self, const gchar *const *names);
gboolean vdo_map_entry_equals(const VdoMap *self, const VdoMap *map, const gchar *name);
gboolean vdo_map_entry_updates(const VdoMap *self, const VdoMap *map, const gchar *name);
gboolean vdo_map_equals(const VdoMap *self, const VdoMap *map);
/* Names, and NULL after the last. */
gboolean vdo_map_equals_va(const VdoMap *self, const VdoMap *map, ...);
gboolean vdo_map_equals_strv(const VdoMap *self, const VdoMap *map, const gchar *const *names);
void vdo_map_remove(VdoMap *self, const gchar *name);
/* Names, and NULL after the last. */
void vdo_map_remove_va(VdoMap *self, ...);
void vdo_map_remove_strv(VdoMap *self, const gchar *const *names);
void vdo_map_clear(VdoMap *self);
/* A new map, as from the two functions that follow. */
VdoMap *vdo_map_filter_prefix(const VdoMap *self, const gchar *prefix);
/* Names, and NULL after the last. */
VdoMap *vdo_map_filter_va(const VdoMap *self, ...);
VdoMap *vdo_map_filter_strv(const VdoMap *self, const gchar *const *names);
void vdo_map_merge(VdoMap *self, const VdoMap *map);
void vdo_map_copy_value(VdoMap *self, const gchar *src, const gchar *dst);
GVariant *vdo_map_to_variant(const VdoMap *self);
/* Prints the map, for debugging. */
void vdo_map_dump(const VdoMap *self);
/* All getters return DEF where the map has no such value. */
guchar vdo_map_get_byte(const VdoMap *self, const gchar *name, guchar def);
gint16 vdo_map_get_int16(const VdoMap *self, const gchar *name, gint16 def);
guint16 vdo_map_get_uint16(const VdoMap *self, const gchar *name, guint16 def);
guint32 *vdo_map_get_uint32x2(const VdoMap *self, const gchar *name, guint32 *def);
guint32 *vdo_map_get_uint32x4(const VdoMap *self, const gchar *name, guint32 *def);
gdouble *vdo_map_get_doublex4(const VdoMap *self, const gchar *name, gdouble *def);
GVariant *vdo_map_get_variant(const VdoMap *self, const gchar *name, GVariant *def);
gboolean vdo_map_get_boolean(const VdoMap *self, const gchar *name, gboolean def);
gint32 vdo_map_get_int32(const VdoMap *self, const gchar *name, gint32 def);
guint32 vdo_map_get_uint32(const VdoMap *self, const gchar *name, guint32 def);
gint64 vdo_map_get_int64(const VdoMap *self, const gchar *name, gint64 def);
guint64 vdo_map_get_uint64(const VdoMap *self, const gchar *name, guint64 def);
gdouble vdo_map_get_double(const VdoMap *self, const gchar *name, gdouble def);
/* The string belongs to the map. SIZE may be NULL. */
const gchar *vdo_map_get_string(const VdoMap *self, const gchar *name, gsize *size, const gchar
    *def);
/* Free the result with g_free. */
gchar *vdo_map_dup_string(const VdoMap *self, const gchar *name, const gchar *def);
VdoPair32i vdo_map_get_pair32i(const VdoMap *self, const gchar *name, VdoPair32i def);

#if INCAMERA_AXIS_OS >= 1012
VdoPair32u vdo_map_get_pair32u(const VdoMap *self, const gchar *name, VdoPair32u def);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
VdoQuad32i vdo_map_get_quad32i(const VdoMap *self, const gchar *name, VdoQuad32i def);
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
VdoQuad32u vdo_map_get_quad32u(const VdoMap *self, const gchar *name, VdoQuad32u def);
#endif

void vdo_map_set_byte(VdoMap *self, const gchar *name, guchar value);
void vdo_map_set_int16(VdoMap *self, const gchar *name, gint16 value);
void vdo_map_set_uint16(VdoMap *self, const gchar *name, guint16 value);
void vdo_map_set_uint32x2(VdoMap *self, const gchar *name, const guint32 *value);
void vdo_map_set_uint32x4(VdoMap *self, const gchar *name, const guint32 *value);
void vdo_map_set_doublex4(VdoMap *self, const gchar *name, const gdouble *value);
void vdo_map_set_boolean(VdoMap *self, const gchar *name, gboolean value);
void vdo_map_set_int32(VdoMap *self, const gchar *name, gint32 value);
void vdo_map_set_uint32(VdoMap *self, const gchar *name, guint32 value);
void vdo_map_set_int64(VdoMap *self, const gchar *name, gint64 value);
void vdo_map_set_uint64(VdoMap *self, const gchar *name, guint64 value);
void vdo_map_set_double(VdoMap *self, const gchar *name, gdouble value);
void vdo_map_set_string(VdoMap *self, const gchar *name, const gchar *value);
void vdo_map_set_pair32i(VdoMap *self, const gchar *name, VdoPair32i value);

#if INCAMERA_AXIS_OS >= 1012
void vdo_map_set_pair32u(VdoMap *self, const gchar *name, VdoPair32u value);
#endif

#if INCAMERA_AXIS_OS >= 1211
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
void vdo_map_set_quad32i(VdoMap *self, const gchar *name, VdoQuad32i value);
/* Newer than AXIS OS 12.1; in 12.11 at the latest. */
void vdo_map_set_quad32u(VdoMap *self, const gchar *name, VdoQuad32u value);
#endif

GType vdo_map_get_type(void);

#ifdef __cplusplus
}
#endif

#endif
