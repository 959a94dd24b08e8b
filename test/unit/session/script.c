/* script: the operations of a transport, and what each notes. See script.h. */
#include "script.h"

#include <stdio.h>

static struct script *script_of(struct transport *transport)
{
    return container_of(transport, struct script, transport);
}

static struct frame *encode(const struct transport *transport, const struct span *parts, size_t count)
{
    struct buf all = {0};
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            buf_append_char(&all, '\n');
        buf_append(&all, parts[i]);
    }
    struct frame *frame = frame_copy(buf_span(&all));
    buf_finish(&all);
    return frame;
}

static void send_frame(struct transport *transport, struct frame *frame, struct frame_tag tag)
{
    struct script *script = script_of(transport);
    if (script->closed)
        return;
    assert_true(script->count < SENT_MAX);
    script->sent[script->count].frame = frame_ref(frame);
    script->sent[script->count++].tag = tag;
    script->bytes += frame->len;
}

static size_t queued(const struct transport *transport)
{
    return container_of(transport, const struct script, transport)->bytes;
}

static bool is_writable(const struct transport *transport)
{
    return queued(transport) == 0;
}

static bool is_open(const struct transport *transport)
{
    return !container_of(transport, const struct script, transport)->closed;
}

static void await_drained(struct transport *transport)
{
    script_of(transport)->awaited = true;
}

static void filter(struct transport *transport, transport_keep_fn *keep, void *arg)
{
    struct script *script = script_of(transport);
    size_t kept = 0;
    for (size_t i = 0; i < script->count; i++) {
        if (keep(arg, &script->sent[i].tag)) {
            script->sent[kept++] = script->sent[i];
        } else {
            script->bytes -= script->sent[i].frame->len;
            frame_unref(script->sent[i].frame);
        }
    }
    script->count = kept;
}

static void pause_reading(struct transport *transport, bool paused)
{
    script_of(transport)->paused = paused;
}

static void close_now(struct transport *transport, enum close_reason reason)
{
    script_of(transport)->closed = true;
    script_of(transport)->reason = reason;
}

static void abort_now(struct transport *transport, enum close_reason reason)
{
    script_of(transport)->aborted = true;
    close_now(transport, reason);
}

static void ping(struct transport *transport, uint32_t number)
{
    script_of(transport)->pings++;
    script_of(transport)->ping_number = number;
}

static const struct addr_ip *peer(const struct transport *transport)
{
    return &container_of(transport, const struct script, transport)->peer;
}

static const struct transport_type script_type = {
    .encode = encode,
    .send = send_frame,
    .queued = queued,
    .is_writable = is_writable,
    .is_open = is_open,
    .await_drained = await_drained,
    .filter = filter,
    .pause = pause_reading,
    .close = close_now,
    .abort = abort_now,
    .ping = ping,
    .peer = peer,
};

struct session *script_begin(struct script *script, const struct protocol *protocol)
{
    *script = (struct script){.transport.type = &script_type};
    return session_create(&sessions, &script->transport, protocol, NULL);
}

void script_take(struct script *script)
{
    for (size_t i = 0; i < script->count; i++)
        frame_unref(script->sent[i].frame);
    script->count = script->bytes = 0;
    if (script->awaited && script->transport.session != NULL) {
        script->awaited = false;
        session_drained(script->transport.session);
    }
}

void script_end(struct script *script)
{
    struct session *session = script->transport.session;
    script->transport.session = NULL;
    if (session != NULL)
        session_closed(session, script->closed ? script->reason : CLOSE_PEER_CLOSED);
    script_take(script);
}

void script_receive(struct script *script, const char *text)
{
    session_received(script->transport.session, span_str(text));
    turn(5);
}

static bool begins(const struct script *script, size_t i, const char *start)
{
    return span_starts_with(span_of(script->sent[i].frame->data, script->sent[i].frame->len), span_str(start));
}

size_t script_waiting(const struct script *script, const char *start)
{
    size_t count = 0;
    for (size_t i = 0; i < script->count; i++)
        count += begins(script, i, start);
    return count;
}

const char *script_last(const struct script *script, const char *start)
{
    static char text[4096];
    for (size_t i = script->count; i-- > 0;) {
        if (begins(script, i, start)) {
            snprintf(text, sizeof text, "%.*s", (int)script->sent[i].frame->len, script->sent[i].frame->data);
            return text;
        }
    }
    fail_msg("no message \"%s...\" waits", start);
    return "";
}
