/* backend: publishes events and directives that no client sends. */
#include "session/backend.h"

#include "session/emit.h"

/* Tells the bridge, if there is one. */
static void emitted(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *from)
{
    const struct outward *outward = sessions->outward;
    if (outward != NULL)
        outward->emitted(outward->arg, nsp, (struct span){NULL, 0}, from);
}

static void directed(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                     const struct directive *directive)
{
    const struct outward *outward = sessions->outward;
    if (outward != NULL)
        outward->directed(outward->arg, nsp, to, directive);
}

static bool publish(struct sessions *sessions, struct emit *emit, const struct subscriber_emit *from,
                    broker_done_fn *done, void *arg)
{
    struct broker_publish publish = {
        .room = buf_span(&emit->room),
        .audience = buf_span(&emit->audience),
        .body = emit->body,
        .id = from->id,
        .retention = from->retention,
    };
    bool taken = broker_publish(hub_broker(sessions->hub), &publish, done, arg);
    emit_finish(emit);
    return taken;
}

static void tell(struct sessions *sessions, struct emit *emit)
{
    hub_room_tell_audience(sessions->hub, buf_span(&emit->room), emit->body, buf_span(&emit->audience));
    emit_finish(emit);
}

bool backend_publish(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *from,
                     broker_done_fn *done, void *arg)
{
    struct emit emit;
    emit_event(&emit, nsp, (struct span){NULL, 0}, from);
    bool taken = publish(sessions, &emit, from, done, arg);
    if (taken)
        emitted(sessions, nsp, from);
    return taken;
}

bool backend_direct(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                    const struct directive *directive, broker_done_fn *done, void *arg)
{
    struct emit emit;
    emit_directive(&emit, nsp, to, directive);
    bool taken = publish(sessions, &emit, to, done, arg);
    if (taken)
        directed(sessions, nsp, to, directive);
    return taken;
}

void backend_publish_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *from)
{
    struct emit emit;
    emit_event(&emit, nsp, (struct span){NULL, 0}, from);
    tell(sessions, &emit);
}

void backend_direct_here(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                         const struct directive *directive)
{
    struct emit emit;
    emit_directive(&emit, nsp, to, directive);
    tell(sessions, &emit);
}
