/* subscriber_traffic: builds the frames of events and acknowledgements, publishes the client's events, joins and leaves
 * rooms, and sends refusals. */
#include "session/subscriber_parts.h"

#include <stdlib.h>

#include "base/mem.h"
#include "hub/audience.h"
#include "session/asking.h"
#include "session/asking_entry.h"
#include "session/emit.h"
#include "session/polling_parts.h"
#include "session/presence.h"

void subscriber_room_name(struct buf *to, const struct nsp *nsp, struct span room)
{
    /* A namespace's name ends at the first comma on the wire, so the comma cannot be part of it. */
    buf_append(to, nsp->name);
    if (room.len == 0)
        return;
    buf_append_char(to, ',');
    buf_append(to, room);
}

struct span subscriber_room_of(const struct nsp *nsp, struct span name)
{
    return name.len > nsp->name.len ? span_from(name, nsp->name.len + 1) : (struct span){NULL, 0};
}

void subscriber_own_room_name(struct buf *to, const struct nsp *nsp, struct span sid)
{
    buf_append_char(to, BROKER_OWNED);
    subscriber_room_name(to, nsp, sid);
}

bool subscriber_is_in(struct subscriber *subscriber, struct span room)
{
    struct buf name = {0};
    subscriber_room_name(&name, subscriber->nsp, room);
    bool in = member_find(&subscriber->member, buf_span(&name)) != NULL;
    buf_finish(&name);
    return in;
}

void subscriber_connected(struct subscriber *subscriber, bool recovered)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    if (subscriber_is_leased(subscriber) && subscriber->lease->listing != LISTED_AS_OWNER)
        subscriber_list(subscriber);
    if (subscriber->is_moved)
        sessions->counters.moves++;
    else if (recovered)
        sessions->counters.resumes++;
    else
        sessions->counters.connects++;
    if (!subscriber->is_moved)
        subscriber->session->protocol->connected(subscriber, recovered);
    if (sessions->app->arrived != NULL)
        sessions->app->arrived(sessions->app, subscriber,
                               subscriber->is_moved ? ARRIVAL_MOVED
                               : recovered          ? ARRIVAL_RESUMED
                                                    : ARRIVAL_NEW);
    if (subscriber->is_moved && !subscriber->lacks_kept && subscriber->session->transport->format == TRANSPORT_POLLING)
        presence_known(subscriber);
    subscriber->is_moved = false;
    session_stirred(subscriber->session);
    if (subscriber->lease != NULL) {
        free(subscriber->lease->offset);
        subscriber->lease->offset = NULL;
    }
    subscriber_rooms_begin(subscriber);
}

/* The joined rooms begin to deliver, and the others there are told. */
void subscriber_rooms_begin(struct subscriber *subscriber)
{
    if (!subscriber_is_leased(subscriber))
        member_note(&subscriber->member); /* there is no lease to wait for */
    member_start(&subscriber->member);
    presence_enter(subscriber);
    if (member_is_settled(&subscriber->member))
        presence_settled(subscriber);
}

/* A token that names stretches says more than a position. Such an event is no point to catch up from. */
static struct frame_tag tag_of(const struct subscriber *subscriber, const struct token *token)
{
    if (!subscriber->nsp->recoverable)
        return (struct frame_tag){0};
    return (struct frame_tag){.whose = subscriber->number, .at = token->late_count == 0 ? token->seq : 0};
}

/* Damaged bytes may come from another program that writes on the broker. The client is told in place of the event. */
static const struct content damaged = {
    .args = {"[\"sennit\",{\"damaged\":true}]", sizeof "[\"sennit\",{\"damaged\":true}]" - 1},
};

static struct frame *entry_encode(struct subscriber *subscriber, const struct entry *entry, const struct token *token)
{
    struct content content;
    bool is_raw = subscriber->session->protocol->kind == PROTOCOL_RAW;
    bool is_good = (is_raw ? content_decode : content_decode_text)(entry_body(entry), &content);
    if (!is_good)
        refusals_note(&subscriber_sessions(subscriber)->refusals, REFUSAL_EVENT_DAMAGED, subscriber_sid(subscriber),
                      subscriber->nsp->name);
    return subscriber->session->protocol->event_encode(subscriber, is_good ? &content : &damaged, token);
}

void subscriber_deliver(struct member *member, struct entry *entry, const struct token *token, bool shared)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    struct session *session = subscriber->session;
    if (asking_is_entry(entry_body(entry))) {
        asking_deliver(subscriber, entry_body(entry));
        return;
    }
    if (content_is_volatile(entry_body(entry)) && !session->transport->type->is_writable(session->transport)) {
        subscriber_sessions(subscriber)->counters.volatile_dropped++;
        return;
    }
    if (!polling_carries(session) &&
        transport_queued(session->transport) > subscriber_sessions(subscriber)->limits.slow_queue_bytes &&
        subscriber_slow(subscriber, entry->seq != 0))
        return; /* it comes again, or is dropped */
    session->moved = true;
    const char *key = &subscriber->nsp->formats[session->protocol->kind][session->transport->format];
    struct frame **kept = shared ? entry_frame(entry, key) : NULL;
    struct frame *frame = kept != NULL && *kept != NULL ? *kept : entry_encode(subscriber, entry, token);
    session->transport->type->send(session->transport, frame, tag_of(subscriber, token));
    if (kept == NULL)
        frame_unref(frame);
    else
        *kept = frame;
}

bool subscriber_has_room(struct member *member)
{
    struct subscriber *subscriber = container_of(member, struct subscriber, member);
    struct session *session = subscriber->session;
    if (!transport_is_open(session->transport))
        return false; /* it is ending: no further try */
    if (polling_carries(session) ||
        transport_queued(session->transport) < subscriber_sessions(subscriber)->limits.replay_queue_bytes)
        return true;
    transport_await_drained(session->transport);
    return false;
}

void subscriber_answer(struct subscriber *subscriber, struct span ack_id, const struct content *content)
{
    if (ack_id.len != 0)
        subscriber->session->protocol->answer(subscriber, ack_id, content);
}

void subscriber_ack(struct subscriber *subscriber, struct span ack_id)
{
    struct content nothing = content_of(SPAN_LIT("[]"));
    subscriber_answer(subscriber, ack_id, &nothing);
}

/* {"error":"<what is wrong and what to change>","reason":"<name>"} */
void subscriber_refuse(struct subscriber *subscriber, enum refusal refusal, struct span what, struct span ack_id)
{
    refusals_note(&subscriber_sessions(subscriber)->refusals, refusal, subscriber_sid(subscriber), what);
    if (subscriber->session->protocol->refused != NULL) {
        subscriber->session->protocol->refused(subscriber, refusal, ack_id);
        return;
    }
    if (ack_id.len == 0)
        return;
    struct buf args = {0};
    buf_printf(&args, "[{\"error\":\"%s\",\"reason\":\"%s\"}]", refusal_text(refusal), refusal_name(refusal));
    struct content content = content_of(buf_span(&args));
    subscriber_answer(subscriber, ack_id, &content);
    buf_finish(&args);
}

void subscriber_tell(struct subscriber *subscriber, struct span args)
{
    if (!subscriber_is_connected(subscriber))
        return;
    struct entry *entry = hub_entry_create(subscriber_sessions(subscriber)->hub, subscriber->nsp->name, args);
    member_tell(&subscriber->member, entry);
    entry_unref(entry);
}

/* What the broker refuses is not acknowledged: a client that takes any acknowledgement for an acceptance, as the stock
 * client's `retries` do, would forget a message that is in no log. It keeps it, and may send it again. Where
 * subscribers are told of their instance, they are told of this, too. */
static void refuse_for_now(struct subscriber *subscriber, enum refusal refusal, struct span what, struct span id)
{
    struct buf body = {0};
    if (subscriber->session->protocol->refused != NULL) { /* no such client takes it for an acceptance */
        subscriber_refuse(subscriber, refusal, what, id);
        return;
    }
    subscriber_refuse(subscriber, refusal, what, (struct span){NULL, 0});
    if (!subscriber->nsp->announce)
        return;
    buf_printf(&body, "[\"sennit\",{\"refused\":\"%s\",\"error\":\"%s\"}]", refusal_name(refusal),
               refusal_text(refusal));
    subscriber_tell(subscriber, buf_span(&body));
    buf_finish(&body);
}

enum refusal subscriber_refusal_of(enum broker_result result)
{
    return result == BROKER_TAKEN        ? REFUSAL_ID_TAKEN
           : result == BROKER_FULL       ? REFUSAL_BROKER_FULL
           : result == BROKER_FULL_ROOMS ? REFUSAL_BROKER_ROOMS_FULL
                                         : REFUSAL_BROKER_SPOILED;
}

void subscriber_refuse_publish(struct subscriber *subscriber, enum broker_result result, struct span what,
                               struct span ack_id)
{
    refuse_for_now(subscriber, subscriber_refusal_of(result), what, ack_id);
}

static void published(void *arg, enum broker_result result)
{
    struct call *call = arg;
    struct subscriber *subscriber = call->subscriber;
    if (subscriber->session != NULL && result == BROKER_OK)
        subscriber_ack(subscriber, call_id(call));
    else if (subscriber->session != NULL && broker_refusal_text(result) != NULL)
        subscriber_refuse_publish(subscriber, result, (struct span){NULL, 0}, call_id(call));
    call_end(call);
    free(call);
}

/* To the members on this instance, at once: nobody else is asked. */
static void publish_here(struct subscriber *subscriber, const struct broker_publish *publish, struct span ack_id)
{
    hub_room_tell_audience(subscriber_sessions(subscriber)->hub, publish->room, publish->body, publish->audience);
    subscriber_ack(subscriber, ack_id);
}

/* False: the broker does not take it, and the client is told. */
static bool publish_all(struct subscriber *subscriber, const struct broker_publish *publish, struct span ack_id)
{
    size_t bytes = publish->room.len + publish->audience.len + publish->body.len + publish->id.len;
    struct call *call = call_create(subscriber->session, subscriber, ack_id, bytes);
    if (broker_publish(hub_broker(subscriber_sessions(subscriber)->hub), publish, published, call))
        return true;
    call_end(call);
    free(call);
    /* Without an acknowledgement, closing is the only way to tell a client of Socket.IO. */
    if (ack_id.len != 0 || subscriber->session->protocol->refused != NULL)
        refuse_for_now(subscriber, REFUSAL_BROKER_BACKLOG, publish->room, ack_id);
    else
        session_close(subscriber->session, CLOSE_BROKER_BACKLOG);
    return false;
}

void subscriber_publish(struct subscriber *subscriber, const struct subscriber_emit *from)
{
    struct emit emit;
    emit_event(&emit, subscriber->nsp, subscriber_sid(subscriber), from);
    struct broker_publish publish = {
        .room = buf_span(&emit.room),
        .audience = buf_span(&emit.audience),
        .body = emit.body,
        .id = from->id,
        .retention = from->retention,
    };
    const struct outward *outward = subscriber_sessions(subscriber)->outward;
    if (from->is_local)
        publish_here(subscriber, &publish, from->ack_id);
    else if (publish_all(subscriber, &publish, from->ack_id) && outward != NULL)
        outward->emitted(outward->arg, subscriber->nsp, subscriber_sid(subscriber), from);
    emit_finish(&emit);
}

static bool is_active(const struct membership *membership)
{
    return membership != NULL && membership_has_begun(membership);
}

void subscriber_joins_done(struct subscriber *subscriber)
{
    subscriber_rooms_begin(subscriber);
    if (!subscriber_is_leased(subscriber)) /* there is no lease to wait for, but maybe the start of a room */
        subscriber_calls_note(subscriber);
    subscriber_calls_answer(subscriber);
}

/* Number of its rooms, without the namespace's and its own. */
static size_t rooms_count(const struct subscriber *subscriber)
{
    size_t count = member_room_count(&subscriber->member), always = subscriber->nsp->direct ? 2 : 1;
    return count > always ? count - always : 0; /* a lease may be from before subscribers had a room of their own */
}

bool subscriber_room_is_of(const struct nsp *nsp, struct span name, struct span sid)
{
    struct buf own = {0};
    if (broker_room_is_owned(name)) {
        subscriber_own_room_name(&own, nsp, sid);
        bool is_own = span_equal(name, buf_span(&own));
        buf_finish(&own);
        return is_own;
    }
    return span_equal(name, nsp->name) ||
           (name.len > nsp->name.len + 1 && span_starts_with(name, nsp->name) && name.data[nsp->name.len] == ',');
}

/* Whether the room's members are told about joins and leaves. */
static bool is_watched(const struct subscriber *subscriber, struct span room)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    return app->room_policy(app, subscriber->nsp, room)->presence;
}

static bool is_in_or_enters(struct subscriber *subscriber, struct span name)
{
    return member_find(&subscriber->member, name) != NULL;
}

static void name_of(struct buf *to, const struct subscriber *subscriber, struct span room)
{
    buf_clear(to);
    subscriber_room_name(to, subscriber->nsp, room);
}

static bool is_named_before(const struct span *rooms, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (span_equal(rooms[i], rooms[count]))
            return true;
    return false;
}

/* Decides about all rooms before it joins one: if one of them cannot be joined, none is. `directed`: a backend says so,
 * for whom the rules of access are not meant. Returns REFUSAL_COUNT if all can, else `*bad` is the one that cannot. */
static enum refusal rooms_check(struct subscriber *subscriber, const struct span *rooms, size_t count, bool directed,
                                size_t *bad)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    size_t own = rooms_count(subscriber), all = hub_room_count(sessions->hub);
    enum refusal refusal = REFUSAL_COUNT;
    struct buf name = {0};
    for (size_t i = 0; i < count && refusal == REFUSAL_COUNT; i++) {
        *bad = i;
        name_of(&name, subscriber, rooms[i]);
        bool is_new = !span_equal(rooms[i], subscriber_sid(subscriber)) && !is_named_before(rooms, i) &&
                      !is_in_or_enters(subscriber, buf_span(&name));
        bool is_new_here = is_new && !hub_has_room(sessions->hub, buf_span(&name));
        if (rooms[i].len == 0 || name.len > BROKER_ROOM_BYTES_MAX)
            refusal = REFUSAL_ROOM_INVALID;
        else if (!directed && !span_equal(rooms[i], subscriber_sid(subscriber)) &&
                 !subscriber_may(subscriber, DEED_JOIN, rooms[i]))
            refusal = REFUSAL_ROOM_FORBIDDEN;
        else if (is_new && engineio_sid_is_valid(rooms[i]))
            refusal = REFUSAL_ROOM_IS_SOCKET;
        else if (is_new && own++ >= sessions->limits.rooms_max)
            refusal = REFUSAL_ROOMS_FULL;
        else if (is_new_here && all++ >= sessions->limits.hub_rooms_max)
            refusal = REFUSAL_INSTANCE_ROOMS_FULL;
    }
    buf_finish(&name);
    return refusal;
}

static void join(struct subscriber *subscriber, struct span room, struct span name, struct call *call)
{
    struct sessions *sessions = subscriber_sessions(subscriber);
    const struct room_policy *policy = sessions->app->room_policy(sessions->app, subscriber->nsp, room);
    if (policy->presence || !hub_has_room(sessions->hub, name))
        session_change(subscriber->session, 1);
    enum start_mode replay = subscriber_may(subscriber, DEED_HISTORY, room) ? policy->replay : START_NOW;
    call->room = membership_room_number(member_join(&subscriber->member, name, replay, policy->replay_entries));
}

void subscriber_join(struct subscriber *subscriber, const struct span *rooms, size_t count, struct span ack_id)
{
    struct buf name = {0};
    struct call *call = NULL;
    size_t bad = 0;
    enum refusal refusal = rooms_check(subscriber, rooms, count, false, &bad);
    if (refusal != REFUSAL_COUNT) {
        subscriber_refuse(subscriber, refusal, rooms[bad], ack_id);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        name_of(&name, subscriber, rooms[i]);
        if (span_equal(rooms[i], subscriber_sid(subscriber)) || /* it is in the room of its own id all the while */
            is_active(member_find(&subscriber->member, buf_span(&name))))
            continue;
        if (call != NULL)
            call->more = true;
        call = subscriber_call_await(subscriber, (struct span){NULL, 0});
        join(subscriber, rooms[i], buf_span(&name), call);
    }
    buf_finish(&name);
    if (call == NULL) {
        subscriber_ack(subscriber, ack_id);
        return;
    }
    call_answers(call, ack_id);
    member_joined(&subscriber->member);
}

/* Nothing changes, but the lease may not record an earlier leave yet. */
static void leave_nothing(struct subscriber *subscriber, struct span ack_id)
{
    if (subscriber->lease == NULL || subscriber->lease->state == LEASE_IDLE) {
        subscriber_ack(subscriber, ack_id);
        return;
    }
    struct call *call = subscriber_call_await(subscriber, ack_id);
    call->lease = subscriber->lease->state == LEASE_WRITING ? subscriber->lease->writes : 0;
}

static bool leave(struct subscriber *subscriber, struct span room)
{
    struct buf name = {0};
    subscriber_room_name(&name, subscriber->nsp, room);
    struct membership *membership = room.len != 0 ? member_find(&subscriber->member, buf_span(&name)) : NULL;
    if (membership != NULL) {
        if (is_watched(subscriber, room))
            session_change(subscriber->session, 1);
        presence_leave(subscriber, membership);
        member_leave(&subscriber->member, buf_span(&name));
    }
    buf_finish(&name);
    return membership != NULL;
}

void subscriber_leave(struct subscriber *subscriber, const struct span *rooms, size_t count, struct span ack_id)
{
    bool left = false;
    for (size_t i = 0; i < count; i++)
        left |= leave(subscriber, rooms[i]);
    if (!left) {
        leave_nothing(subscriber, ack_id);
        return;
    }
    subscriber_call_await(subscriber, ack_id);
    if (subscriber_is_leased(subscriber))
        subscriber_lease_refresh(subscriber);
    else
        subscriber_joins_done(subscriber);
}

/* The lease is written in any case: it says that the directive was obeyed. */
static void directive_end(struct subscriber *subscriber, uint64_t seq, bool joins)
{
    member_directed(&subscriber->member, seq);
    if (joins)
        member_joined(&subscriber->member); /* `ready` follows */
    else if (subscriber_is_leased(subscriber))
        subscriber_lease_refresh(subscriber);
    else
        subscriber_joins_done(subscriber);
}

void subscriber_join_directed(struct subscriber *subscriber, const struct span *rooms, size_t count, uint64_t seq)
{
    struct session_app *app = subscriber_sessions(subscriber)->app;
    struct buf name = {0};
    bool joins = false;
    size_t bad = 0;
    enum refusal refusal = rooms_check(subscriber, rooms, count, true, &bad);
    if (refusal != REFUSAL_COUNT)
        subscriber_refuse(subscriber, refusal, rooms[bad], (struct span){NULL, 0});
    for (size_t i = 0; i < count && refusal == REFUSAL_COUNT; i++) {
        name_of(&name, subscriber, rooms[i]);
        if (span_equal(rooms[i], subscriber_sid(subscriber)) || is_in_or_enters(subscriber, buf_span(&name)))
            continue;
        const struct room_policy *policy = app->room_policy(app, subscriber->nsp, rooms[i]);
        joins = true;
        if (seq == 0)
            member_join(&subscriber->member, buf_span(&name), policy->replay, policy->replay_entries);
        else if (policy->replay == START_NOW) /* from the directive on, also for one that was cut off meanwhile */
            member_join_directed(&subscriber->member, buf_span(&name), START_AT, seq, seq);
        else
            member_join_directed(&subscriber->member, buf_span(&name), policy->replay, policy->replay_entries, seq);
    }
    buf_finish(&name);
    directive_end(subscriber, seq, joins);
}

void subscriber_leave_directed(struct subscriber *subscriber, const struct span *rooms, size_t count, uint64_t seq)
{
    struct buf name = {0};
    for (size_t i = 0; i < count; i++) {
        name_of(&name, subscriber, rooms[i]);
        struct membership *membership = member_find(&subscriber->member, buf_span(&name));
        /* One that it has joined behind the directive stays. */
        if (membership == NULL || (seq != 0 && !member_was_in(&subscriber->member, buf_span(&name), seq)))
            continue;
        presence_leave(subscriber, membership);
        member_leave_directed(&subscriber->member, buf_span(&name), seq);
    }
    buf_finish(&name);
    directive_end(subscriber, seq, false);
}
