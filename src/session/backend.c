/* backend: publishes events and directives that no client sends. */
#include "session/backend.h"

#include "session/emit.h"

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
    return publish(sessions, &emit, from, done, arg);
}

bool backend_direct(struct sessions *sessions, const struct nsp *nsp, const struct subscriber_emit *to,
                    const struct directive *directive, broker_done_fn *done, void *arg)
{
    struct emit emit;
    emit_directive(&emit, nsp, to, directive);
    return publish(sessions, &emit, to, done, arg);
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
