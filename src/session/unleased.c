/* unleased: one lease for all sockets that have none. See unleased.h.
 *
 * No client can claim it: its name begins with a character that is in no client's pid. It names no room and has no
 * data. Nothing waits for it: a socket that has come a moment ago may still be left out. */
#include "session/unleased.h"

#include "session/session.h"

enum { UNLEASED_WINDOW_MS = 600000, INSTANCE_BYTES_MAX = 63 /* of the 64 that a lease's name may have */ };

static struct broker_lease lease_of(const struct sessions *sessions, struct buf *name)
{
    struct span instance = span_str(sessions->instance);
    buf_append_char(name, '~');
    /* What instances of one revision differ in stands at the end. */
    buf_append(name, span_from(instance, instance.len > INSTANCE_BYTES_MAX ? instance.len - INSTANCE_BYTES_MAX : 0));
    return (struct broker_lease){
        .pid = buf_span(name), .sid = buf_span(name), .generation = 1, .window_ms = UNLEASED_WINDOW_MS};
}

static void written(void *arg, enum broker_result result)
{
    struct sessions *sessions = arg;
    if (result != BROKER_OK)
        sessions->unleased.due_us = 0; /* the next sweep tries again */
}

/* With one instance nobody asks who has sockets. */
static bool is_asked_for(const struct sessions *sessions)
{
    return mail_has_owners(hub_broker(sessions->hub));
}

static void write_now(struct sessions *sessions)
{
    struct buf name = {0};
    struct broker_lease lease = lease_of(sessions, &name);
    /* At half its life, as with every lease. */
    sessions->unleased.due_us = loop_now_us(sessions->loop) + LOOP_MS(UNLEASED_WINDOW_MS);
    broker_lease_write(hub_broker(sessions->hub), &lease, written, sessions);
    buf_finish(&name);
}

void unleased_begin(struct sessions *sessions)
{
    if (sessions->unleased.count++ == 0 && is_asked_for(sessions))
        write_now(sessions);
}

void unleased_end(struct sessions *sessions)
{
    struct buf name = {0};
    if (--sessions->unleased.count > 0 || !is_asked_for(sessions))
        return;
    struct broker_lease lease = lease_of(sessions, &name);
    broker_lease_release(hub_broker(sessions->hub), &lease, true);
    buf_finish(&name);
}

void unleased_sweep(struct sessions *sessions)
{
    if (sessions->unleased.count > 0 && is_asked_for(sessions) &&
        loop_now_us(sessions->loop) >= sessions->unleased.due_us)
        write_now(sessions);
}

void unleased_link_up(struct sessions *sessions)
{
    sessions->unleased.due_us = 0;
    unleased_sweep(sessions);
}
