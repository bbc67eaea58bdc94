/*
 * Channels: what the camera's sensors and view areas give. VDO, in the camera since AXIS OS 9.80.
 * Made by incamera from data/vdo.toml.
 */
#ifndef INCAMERA_VDO_CHANNEL_H
#define INCAMERA_VDO_CHANNEL_H

#include "incamera-axis-os.h"
#include "vdo-error.h"
#include "vdo-map.h"

#ifdef __cplusplus
extern "C" {
#endif

#define VDO_TYPE_CHANNEL (vdo_channel_get_type())
G_DECLARE_FINAL_TYPE(VdoChannel, vdo_channel, VDO, CHANNEL, GObject)

/* Since AXIS OS 12.1, vdo_channel_get_info of this tells how many channels there are. */
#define VDO_CHANNEL_GLOBAL NULL

/* Free a channel with g_object_unref. */
VdoChannel *vdo_channel_get(guint channel_nbr, GError **error);

#if INCAMERA_AXIS_OS >= 1104
/* DESC has exactly one of the keys view, warp, input and channel. */
VdoChannel *vdo_channel_get_ex(VdoMap *desc, GError **error);
#endif

/* Free the list with g_list_free_full (list, g_object_unref). */
GList *vdo_channel_get_all(GError **error);

#if INCAMERA_AXIS_OS >= 1007
/* Free the list as that of vdo_channel_get_all. */
GList *vdo_channel_get_filtered(VdoMap *filter, GError **error);
#endif

/* A new map. */
VdoMap *vdo_channel_get_info(VdoChannel *self, GError **error);
/* A new map. */
VdoMap *vdo_channel_get_settings(VdoChannel *self, GError **error);
gboolean vdo_channel_set_settings(VdoChannel *self, VdoMap *settings, GError **error);
VdoMap *vdo_channel_get_stream_profile(VdoChannel *self, const gchar *profile, VdoFormat format,
    GError **error);
/*
 * Free the set with g_free. NULL, or none in it: this camera does not have the format. FILTER's
 * keys: format, subformat, select (all, min, max, minmax), aspect_ratio.
 */
VdoResolutionSet *vdo_channel_get_resolutions(VdoChannel *self, VdoMap *filter, GError **error);
guint vdo_channel_get_id(VdoChannel *self);
/* Deprecated. */
gboolean vdo_channel_set_framerate(VdoChannel *self, gdouble framerate, GError **error);
GType vdo_channel_get_type(void);

#ifdef __cplusplus
}
#endif

#endif
