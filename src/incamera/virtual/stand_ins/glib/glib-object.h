/* What the stand-ins use of GObject's ABI. */
#ifndef STAND_INS_GLIB_OBJECT_H
#define STAND_INS_GLIB_OBJECT_H

#include <glib.h>

typedef gsize GType;
typedef struct _GTypeClass { GType type; } GTypeClass;
typedef struct _GTypeInstance { GTypeClass *class; } GTypeInstance;

typedef struct _GObject {
    GTypeInstance instance;
    guint references;
    gpointer data;
} GObject;

typedef struct _GObjectClass {
    GTypeClass type;
    gpointer others[5];
    void (*finalize)(GObject *object);
    gpointer more[10];
} GObjectClass;

typedef struct _GEnumValue {
    gint value;
    const gchar *name, *nick;
} GEnumValue;

typedef void (*GClassInitFunc)(gpointer class, gpointer data);
typedef void (*GInstanceInitFunc)(GTypeInstance *instance, gpointer class);

#define G_TYPE_OBJECT ((GType)80)
#define G_DEFINE_AUTOPTR_CLEANUP_FUNC(Type, function)
#define G_DECLARE_FINAL_TYPE(Type, name, MODULE, NAME, Parent) \
    typedef struct _##Type Type; \
    GType name##_get_type(void);

GType g_type_register_static_simple(GType parent, const gchar *name, guint class_size, GClassInitFunc class_init,
                                    guint instance_size, GInstanceInitFunc instance_init, guint flags);
GType g_enum_register_static(const gchar *name, const GEnumValue *values);
gpointer g_object_new(GType type, const gchar *property, ...);
gpointer g_object_ref(gpointer object);
void g_object_unref(gpointer object);

#endif
