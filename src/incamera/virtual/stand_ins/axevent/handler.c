/* Declarations and subscriptions of a program, and its line to the engine that has the events of all programs. The values
   of states are here, too, so that they outlast the service. */
#include "objects.h"

struct subscription {
    struct subscription *next;
    guint number;
    AXEventKeyValueSet *filter;
    AXSubscriptionCallback callback;
    gpointer data;
};

struct declaration {
    struct declaration *next;
    guint number;
    bool stateless, complete;
    gint64 microseconds; /* of its last event */
    AXEventKeyValueSet *set;
    AXDeclarationCompleteCallback callback;
    gpointer data;
};

struct _AXEventHandler {
    struct returning returning;
    struct subscription *subscriptions;
    struct declaration *declarations;
    struct words_out out, opening; /* what the program asks; what a new line is told before */
};

/* What a source in the main context is about. */
struct later {
    AXEventHandler *handler;
    guint number;
    AXUnsubscribeCompleteCallback callback;
    gpointer data;
};

static pthread_mutex_t numbers = PTHREAD_MUTEX_INITIALIZER;

static guint next_number(void)
{
    static guint last;
    pthread_mutex_lock(&numbers);
    guint number = ++last;
    pthread_mutex_unlock(&numbers);
    return number;
}

static void free_later(gpointer data)
{
    struct later *later = data;
    returning_leave(&later->handler->returning);
    g_free(later);
}

/* Call FUNCTION in the main context. The handler's lock is held. */
static void call_later(AXEventHandler *handler, GSourceFunc function, struct later values)
{
    struct later *later = g_malloc0(sizeof *later);
    *later = values;
    later->handler = handler;
    returning_enter(&handler->returning);
    g_timeout_add_full(G_PRIORITY_DEFAULT, 0, function, later, free_later);
}

/* The event of a line, or NULL. LINE is written to. */
static AXEvent *parse_line(char *line)
{
    char *rest = NULL, *time = strtok_r(line, "\t\n", &rest), *name = time ? strtok_r(NULL, "\t\n", &rest) : NULL;
    char *kind = name ? strtok_r(NULL, "\t\n", &rest) : NULL;
    if (!kind)
        return NULL;
    AXEventKeyValueSet *set = ax_event_key_value_set_new();
    for (char *part; (part = strtok_r(NULL, "\t\n", &rest));) {
        struct pair *pair = read_pair(part);
        if (pair)
            put_pair(set, pair);
    }
    AXEvent *event = make_event(set, strtoll(time, NULL, 10));
    ax_event_key_value_set_free(set);
    return event;
}

/* The line */

engine_function engine_axevent;

static const struct engine own_engines[] = {{"axevent", engine_axevent}, {0}};

static struct words_out *begin_words(struct words_out *out, guint number)
{
    out->good = true;
    out->size = 0;
    words_put_number(out, number);
    return out;
}

static void put_time(struct words_out *out, gint64 microseconds)
{
    words_put_number(out, (guint)((guint64)microseconds >> 32));
    words_put_number(out, (guint)microseconds);
}

static void put_keys(struct words_out *out, const AXEventKeyValueSet *set)
{
    struct text text = {0};
    text_add_string(&text, "");
    for (const struct pair *pair = set->first; pair; pair = pair->next)
        write_pair(&text, pair);
    out->good = out->good && text.size <= EVENT_LONGEST;
    words_put_text(out, text.data);
    g_free(text.data);
}

static void put_declaration(struct words_out *out, const struct declaration *declaration)
{
    begin_words(out, declaration->number);
    words_put_number(out, declaration->stateless);
    put_time(out, declaration->microseconds);
    put_keys(out, declaration->set);
}

/* Ask for what was written. False: an error with CODE, or GENERIC when the service does not run. */
static gboolean order(AXEventHandler *handler, guint32 kind, AXEventErrorCode code, GError **error)
{
    if (!handler->out.good)
        return fail(error, code, "its keys are too long");
    struct line_message *answer = returning_ask(&handler->returning, kind, handler->out.data, handler->out.size);
    if (!answer)
        return fail(error, AX_EVENT_ERROR_GENERIC, "the service for events is not running");
    gboolean done = answer->code == 0;
    char why[128];
    snprintf(why, sizeof why, "%.*s", (int)(answer->size < 127 ? answer->size : 127), (const char *)answer->data);
    line_free(answer);
    return done || fail(error, code, why);
}

/* Ask while the line is being opened. */
static bool order_new(AXEventHandler *handler, guint32 kind)
{
    const struct words_out *out = &handler->opening;
    struct line_message *answer = line_ask(handler->returning.line, kind, out->data, out->size);
    bool done = answer && answer->code == 0;
    if (answer)
        line_free(answer);
    return done;
}

static bool listen_for_events(AXEventHandler *handler)
{
    struct line_message *answer = line_ask(handler->returning.line, EVENT_LISTEN, NULL, 0);
    int fd = answer ? line_take_fd(answer, 0) : -1;
    if (answer)
        line_free(answer);
    if (fd >= 0)
        returning_listen(&handler->returning, fd);
    return fd >= 0;
}

static bool declare_again(AXEventHandler *handler, const struct declaration *declaration)
{
    if (!declaration)
        return true;
    bool good = declare_again(handler, declaration->next); /* the oldest first */
    put_declaration(&handler->opening, declaration);
    return good && order_new(handler, EVENT_DECLARE);
}

static bool subscribe_again(AXEventHandler *handler, const struct subscription *subscription)
{
    if (!subscription)
        return true;
    bool good = subscribe_again(handler, subscription->next);
    put_keys(begin_words(&handler->opening, subscription->number), subscription->filter);
    return good && order_new(handler, EVENT_SUBSCRIBE);
}

/* Declare and subscribe anew. States come anew, too. */
static bool begin_line(struct returning *returning)
{
    AXEventHandler *handler = (AXEventHandler *)returning;
    return listen_for_events(handler) && declare_again(handler, handler->declarations) &&
           subscribe_again(handler, handler->subscriptions);
}

/* Begin what the service tells of: the line then returns by itself. */
static bool begin_waiting(AXEventHandler *handler)
{
    struct returning *returning = &handler->returning;
    if (returning->owner != getpid())
        return false;
    bool waited = returning->waits;
    returning->waits = true;
    if ((returning->line && !returning_is_dead(returning->line)) || returning_open(returning))
        return true;
    returning->waits = waited;
    return false;
}

/* Declarations */

static void free_declaration(struct declaration *declaration)
{
    ax_event_key_value_set_free(declaration->set);
    g_free(declaration);
}

static gboolean complete(gpointer data)
{
    struct later *later = data;
    AXEventHandler *handler = later->handler;
    AXDeclarationCompleteCallback callback = NULL;
    gpointer user_data = NULL;
    pthread_mutex_lock(&handler->returning.lock);
    for (struct declaration *declaration = handler->declarations; declaration; declaration = declaration->next)
        if (declaration->number == later->number) {
            declaration->complete = true;
            callback = declaration->callback;
            user_data = declaration->data;
        }
    pthread_mutex_unlock(&handler->returning.lock);
    if (callback)
        callback(later->number, user_data);
    return FALSE;
}

static bool has_topic(const AXEventKeyValueSet *set)
{
    for (const struct pair *pair = set->first; pair; pair = pair->next)
        if (strcmp(pair->name.key, "topic0") == 0 && pair->value.exists && pair->value.type == AX_VALUE_TYPE_STRING)
            return true;
    return false;
}

gboolean ax_event_handler_declare2(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, gboolean stateless,
                                   gchar *property_name, guint *declaration, AXDeclarationCompleteCallback callback,
                                   gpointer user_data, GError **error)
{
    if (!event_handler || !key_value_set || !declaration)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, no keys, or no place for the declaration");
    if (!has_topic(key_value_set))
        return fail(error, AX_EVENT_ERROR_DECLARATION, "an event needs the key topic0");
    if (property_name && (stateless || !find_pair(key_value_set, property_name, NULL)))
        return fail(error, AX_EVENT_ERROR_DECLARATION, "the property is no key of a state");
    struct declaration *own = g_malloc0(sizeof *own);
    own->number = next_number();
    own->stateless = stateless;
    own->set = copy_set(key_value_set);
    own->callback = callback;
    own->data = user_data;
    own->microseconds = now();
    pthread_mutex_lock(&event_handler->returning.lock);
    begin_waiting(event_handler);
    put_declaration(&event_handler->out, own);
    if (!order(event_handler, EVENT_DECLARE, AX_EVENT_ERROR_DECLARATION, error)) {
        pthread_mutex_unlock(&event_handler->returning.lock);
        free_declaration(own);
        return FALSE;
    }
    own->next = event_handler->declarations;
    event_handler->declarations = own;
    *declaration = own->number;
    call_later(event_handler, complete, (struct later){.number = own->number});
    pthread_mutex_unlock(&event_handler->returning.lock);
    return TRUE;
}

gboolean ax_event_handler_declare(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set, gboolean stateless,
                                  guint *declaration, AXDeclarationCompleteCallback callback, gpointer user_data,
                                  GError **error)
{
    return ax_event_handler_declare2(event_handler, key_value_set, stateless, NULL, declaration, callback, user_data,
                                     error);
}

gboolean ax_event_handler_declare_from_template(AXEventHandler *event_handler, const char *event_template,
                                                AXEventKeyValueSet *key_value_set, guint *declaration,
                                                AXDeclarationCompleteCallback callback, gpointer user_data,
                                                GError **error)
{
    (void)event_handler, (void)event_template, (void)key_value_set, (void)declaration, (void)callback, (void)user_data;
    return fail(error, AX_EVENT_ERROR_DECLARATION, "there are no templates");
}

gboolean ax_event_handler_undeclare(AXEventHandler *event_handler, guint declaration, GError **error)
{
    struct declaration *found = NULL;
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->returning.lock);
    for (struct declaration **at = &event_handler->declarations; *at; at = &(*at)->next)
        if ((*at)->number == declaration) {
            found = *at;
            *at = found->next;
            break;
        }
    if (found) {
        begin_words(&event_handler->out, declaration);
        order(event_handler, EVENT_UNDECLARE, AX_EVENT_ERROR_UNDECLARE, NULL); /* one that has ended knows it no longer */
    }
    pthread_mutex_unlock(&event_handler->returning.lock);
    if (!found)
        return fail(error, AX_EVENT_ERROR_UNDECLARE, "there is no such declaration");
    free_declaration(found);
    return TRUE;
}

/* The keys of an event as all programs get it: those of its declaration, with the values that are sent. NULL: an error. */
static AXEventKeyValueSet *merge(const struct declaration *declaration, const AXEventKeyValueSet *sent, GError **error)
{
    char message[256];
    bool marked = false;
    for (const struct pair *pair = declaration->set->first; pair; pair = pair->next)
        marked = marked || pair->value.is_data;
    AXEventKeyValueSet *set = copy_set(declaration->set);
    for (struct pair *pair = set->first; pair; pair = pair->next) {
        const struct pair *given = find_pair(sent, pair->name.key, pair->name.name_space);
        const char *against = NULL;
        if (given && given->value.type != pair->value.type)
            against = "has another type than in the declaration";
        else if (given ? !given->value.exists : !pair->value.exists || (marked && pair->value.is_data))
            against = "is missing";
        if (against) {
            snprintf(message, sizeof message, "the key %.64s %s", pair->name.key, against);
            fail(error, given && given->value.type != pair->value.type ? AX_EVENT_ERROR_INCOMPATIBLE_VALUE : AX_EVENT_ERROR_SEND,
                 message);
            ax_event_key_value_set_free(set);
            return NULL;
        }
        if (!given)
            continue;
        struct pair *copy = copy_pair(given);
        gchar *text = pair->value.text;
        AXEventElementItem *element = pair->value.element;
        pair->value.integer = copy->value.integer;
        pair->value.boolean = copy->value.boolean;
        pair->value.real = copy->value.real;
        pair->value.exists = true;
        pair->value.text = copy->value.text;
        pair->value.element = copy->value.element;
        copy->value.text = text;
        copy->value.element = element;
        free_pair(copy);
    }
    return set;
}

gboolean ax_event_handler_send_event(AXEventHandler *event_handler, guint declaration, AXEvent *event, GError **error)
{
    struct declaration *found = NULL;
    gboolean done = FALSE;
    if (!event_handler || !event)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, or no event");
    pthread_mutex_lock(&event_handler->returning.lock);
    for (struct declaration *one = event_handler->declarations; one; one = one->next)
        if (one->number == declaration)
            found = one;
    AXEventKeyValueSet *set = found && found->complete ? merge(found, event->set, error) : NULL;
    if (!found || !found->complete) {
        fail(error, AX_EVENT_ERROR_SEND, found ? "the declaration is not complete" : "there is no such declaration");
    } else if (set) {
        struct words_out *out = begin_words(&event_handler->out, declaration);
        put_time(out, event->microseconds);
        put_keys(out, set);
        done = order(event_handler, EVENT_SEND, AX_EVENT_ERROR_SEND, error);
        if (!found->stateless && done) {
            ax_event_key_value_set_free(found->set);
            found->set = copy_set(set);
            found->microseconds = event->microseconds;
        }
    }
    ax_event_key_value_set_free(set);
    pthread_mutex_unlock(&event_handler->returning.lock);
    return done;
}

/* Subscriptions */

static void free_subscription(struct subscription *subscription)
{
    ax_event_key_value_set_free(subscription->filter);
    g_free(subscription);
}

/* An event has come. The callback may unsubscribe, and free the handler. */
static void told(struct returning *returning, const struct line_message *message)
{
    AXEventHandler *handler = (AXEventHandler *)returning;
    struct words words = words_of(message);
    guint number = words_number(&words);
    gchar *line = g_strdup(words_text(&words));
    struct subscription *subscription = handler->subscriptions;
    while (subscription && subscription->number != number)
        subscription = subscription->next;
    AXEvent *event = words.good && subscription ? parse_line(line) : NULL;
    g_free(line);
    if (!event)
        return;
    AXSubscriptionCallback callback = subscription->callback;
    gpointer data = subscription->data;
    pthread_mutex_unlock(&returning->lock);
    callback(number, event, data); /* which frees the event */
    pthread_mutex_lock(&returning->lock);
}

static void destroy(struct returning *returning)
{
    g_free(returning);
}

static const struct returning_kind kind = {own_engines, begin_line, told, destroy};

gboolean ax_event_handler_subscribe(AXEventHandler *event_handler, AXEventKeyValueSet *key_value_set,
                                    guint *subscription, AXSubscriptionCallback callback, gpointer user_data,
                                    GError **error)
{
    if (!event_handler || !key_value_set || !subscription || !callback)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "no handler, keys, callback or place for the subscription");
    struct subscription *own = g_malloc0(sizeof *own);
    own->number = next_number();
    own->filter = copy_set(key_value_set);
    own->callback = callback;
    own->data = user_data;
    pthread_mutex_lock(&event_handler->returning.lock);
    begin_waiting(event_handler);
    put_keys(begin_words(&event_handler->out, own->number), own->filter);
    if (!order(event_handler, EVENT_SUBSCRIBE, AX_EVENT_ERROR_SUBSCRIPTION, error)) {
        pthread_mutex_unlock(&event_handler->returning.lock);
        free_subscription(own);
        return FALSE;
    }
    own->next = event_handler->subscriptions;
    event_handler->subscriptions = own;
    *subscription = own->number;
    pthread_mutex_unlock(&event_handler->returning.lock);
    return TRUE;
}

static bool remove_subscription(AXEventHandler *handler, guint number)
{
    for (struct subscription **at = &handler->subscriptions; *at; at = &(*at)->next)
        if ((*at)->number == number) {
            struct subscription *found = *at;
            *at = found->next;
            free_subscription(found);
            begin_words(&handler->out, number);
            order(handler, EVENT_UNSUBSCRIBE, AX_EVENT_ERROR_UNSUBSCRIBE, NULL); /* one that has ended knows it no longer */
            return true;
        }
    return false;
}

gboolean ax_event_handler_unsubscribe(AXEventHandler *event_handler, guint subscription, GError **error)
{
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->returning.lock);
    bool found = remove_subscription(event_handler, subscription);
    pthread_mutex_unlock(&event_handler->returning.lock);
    return found || fail(error, AX_EVENT_ERROR_UNSUBSCRIBE, "there is no such subscription");
}

static gboolean tell_end(gpointer data)
{
    struct later *later = data;
    later->callback(later->number, later->data, NULL);
    return FALSE;
}

gboolean ax_event_handler_unsubscribe_and_notify(AXEventHandler *event_handler, guint subscription,
                                                 AXUnsubscribeCompleteCallback callback, gpointer user_data,
                                                 GError **error)
{
    if (!event_handler)
        return fail(error, AX_EVENT_ERROR_INVALID_ARGUMENT, "there is no handler");
    pthread_mutex_lock(&event_handler->returning.lock);
    bool found = remove_subscription(event_handler, subscription);
    if (found && callback)
        call_later(event_handler, tell_end,
                   (struct later){.number = subscription, .callback = callback, .data = user_data});
    pthread_mutex_unlock(&event_handler->returning.lock);
    return found || fail(error, AX_EVENT_ERROR_UNSUBSCRIBE, "there is no such subscription");
}

AXEventHandler *ax_event_handler_new(void)
{
    AXEventHandler *handler = g_malloc0(sizeof *handler);
    returning_start(&handler->returning, &kind);
    return handler;
}

void ax_event_handler_free(AXEventHandler *event_handler)
{
    if (!event_handler)
        return;
    pthread_mutex_lock(&event_handler->returning.lock);
    struct declaration *declarations = event_handler->declarations;
    struct subscription *subscriptions = event_handler->subscriptions;
    event_handler->declarations = NULL;
    event_handler->subscriptions = NULL;
    for (struct declaration *one = declarations; one; one = one->next) {
        begin_words(&event_handler->out, one->number);
        order(event_handler, EVENT_UNDECLARE, AX_EVENT_ERROR_UNDECLARE, NULL);
    }
    pthread_mutex_unlock(&event_handler->returning.lock);
    while (declarations) {
        struct declaration *next = declarations->next;
        free_declaration(declarations);
        declarations = next;
    }
    while (subscriptions) {
        struct subscription *next = subscriptions->next;
        free_subscription(subscriptions);
        subscriptions = next;
    }
    returning_end(&event_handler->returning);
}
