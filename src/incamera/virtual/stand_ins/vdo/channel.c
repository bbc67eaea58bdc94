/* VdoChannel: the one sensor of the camera, as channel 0 (overview) and 1. */
#include "objects.h"

#include <string.h>

DEFINE_TYPE(VdoChannel, vdo_channel)

static void vdo_channel_finalize(GObject *object)
{
    (void)object;
}

VdoChannel *vdo_channel_get(guint channel_nbr, GError **error)
{
    if (is_denied(error))
        return NULL;
    if (channel_nbr >= CAMERA_CHANNELS) {
        fail(error, VDO_ERROR_NOT_FOUND, "no such channel");
        return NULL;
    }
    VdoChannel *channel = g_object_new(vdo_channel_get_type(), NULL);
    channel->id = channel_nbr;
    return channel;
}

VdoChannel *vdo_channel_get_ex(VdoMap *desc, GError **error)
{
    for (const char *const *name = (const char *const[]){"channel", "view", NULL}; *name; name++)
        if (vdo_map_contains(desc, *name))
            return vdo_channel_get(vdo_map_get_uint32(desc, *name, 0), error);
    if (vdo_map_get_uint32(desc, "input", 0) == 1 || vdo_map_get_uint32(desc, "warp", 0) == 1)
        return vdo_channel_get(1, error);
    fail(error, VDO_ERROR_NOT_FOUND, "no such channel");
    return NULL;
}

GList *vdo_channel_get_all(GError **error)
{
    GList *list = NULL;
    if (is_denied(error))
        return NULL;
    for (guint id = 0; id < CAMERA_CHANNELS; id++)
        list = g_list_append(list, vdo_channel_get(id, error));
    return list;
}

GList *vdo_channel_get_filtered(VdoMap *filter, GError **error)
{
    (void)filter;
    return vdo_channel_get_all(error);
}

VdoMap *vdo_channel_get_info(VdoChannel *self, GError **error)
{
    (void)error;
    VdoMap *info = vdo_map_new();
    if (!self) {
        vdo_map_set_uint32(info, "channel.count", CAMERA_CHANNELS);
        vdo_map_set_uint32(info, "input.count", 1);
        vdo_map_set_uint32(info, "view.count", 1);
        vdo_map_set_uint32(info, "warp.count", 0);
        return info;
    }
    vdo_map_set_uint32(info, "id", self->id);
    vdo_map_set_uint32(info, "rotation", camera_rotation());
    vdo_map_set_pair32u(info, "aspect_ratio", (VdoPair32u){.val = {16, 9}});
    vdo_map_set_boolean(info, "mirror.possible", FALSE);
    vdo_map_set_boolean(info, "crop.possible", FALSE);
    vdo_map_set_boolean(info, "dptz.possible", FALSE);
    return info;
}

VdoMap *vdo_channel_get_settings(VdoChannel *self, GError **error)
{
    return vdo_channel_get_info(self, error);
}

gboolean vdo_channel_set_settings(VdoChannel *self, VdoMap *settings, GError **error)
{
    (void)self, (void)settings;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in's channel has no settings");
    return FALSE;
}

gboolean vdo_channel_set_framerate(VdoChannel *self, gdouble framerate, GError **error)
{
    (void)self, (void)framerate;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in's channel has no rate of its own");
    return FALSE;
}

VdoMap *vdo_channel_get_stream_profile(VdoChannel *self, const gchar *profile, VdoFormat format, GError **error)
{
    (void)self, (void)profile, (void)format;
    fail(error, VDO_ERROR_NOT_SUPPORTED, "the stand-in has no stream profiles");
    return NULL;
}

static bool is_wanted(const VdoResolution *size, const char *ratio)
{
    if (!ratio || strcmp(ratio, "native") == 0 || strcmp(ratio, "16:9") == 0)
        return !ratio || size->width * 9 == size->height * 16;
    return strcmp(ratio, "4:3") == 0 && size->width * 3 == size->height * 4;
}

VdoResolutionSet *vdo_channel_get_resolutions(VdoChannel *self, VdoMap *filter, GError **error)
{
    (void)self, (void)error;
    guint format = vdo_map_get_uint32(filter, "format", VDO_FORMAT_YUV);
    const char *select = vdo_map_get_string(filter, "select", NULL, "all");
    const char *ratio = vdo_map_get_string(filter, "aspect_ratio", NULL, NULL);
    VdoResolutionSet *set = g_malloc0(sizeof *set + CAMERA_RESOLUTIONS * sizeof *camera_resolutions);
    if (!camera_has_format(format))
        return set;
    for (gsize number = 0; number < CAMERA_RESOLUTIONS; number++)
        if (is_wanted(&camera_resolutions[number], ratio))
            set->resolutions[set->count++] = camera_resolutions[number];
    if (set->count == 0 || strcmp(select, "all") == 0)
        return set;
    VdoResolution largest = set->resolutions[set->count - 1];
    if (strcmp(select, "minmax") == 0)
        set->resolutions[1] = largest;
    else if (strcmp(select, "max") == 0)
        set->resolutions[0] = largest;
    set->count = strcmp(select, "minmax") == 0 ? 2 : 1;
    return set;
}

guint vdo_channel_get_id(VdoChannel *self)
{
    return self->id;
}
