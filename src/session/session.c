/* session: a session's life: heartbeats, rotation, closing; and the state that sessions share. Messages are passed to
 * the session's protocol. */
#include "session/session.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "session/asking_entry.h"
#include "session/call.h"
#include "session/departed.h"
#include "session/directive.h"
#include "session/polling_parts.h"
#include "session/presence.h"
#include "session/socket.h"
#include "session/subscriber.h"

enum {
    LEASE_SWEEP_MS = 1000,
    LEASE_AGAIN_MS = 5000, /* after the link broke, or when a room has got its first entry, leases are written again,
                            * spread over so long */
    NOTICE_MS = 1000,      /* from the notice to the end, when the instance shuts down */
    QUIET_MS = 100,        /* nothing came or went for so long: a quiet moment */
    CATCHING_CAP_MIN = 64,
};

const struct session_limits session_limits_default = {
    .ping_interval_ms = 25000,
    .ping_timeout_ms = 20000,
    .connect_timeout_ms = 45000,
    .payload_bytes_max = 1000000,
    .nesting_max = 512,
    .sockets_max = 16,
    .rooms_max = 64,
    .hub_rooms_max = 200000,
    .calls_max = 256,
    .call_bytes_max = 512 << 10,
    .call_bytes_total_max = 24 << 20,
    .attachments_max = SOCKETIO_ATTACHMENTS_MAX,
    .unfinished_bytes_max = 64 << 20,
    .answer_bytes_total_max = 32 << 20,
    .lease_bytes_max = 64 << 20,
    .asks_max = 1000,
    .asks_total_max = 100000,
    .changes_burst = 1000,
    .changes_per_second = 100,
    .replay_queue_bytes = 256 * 1024,
    .slow_queue_bytes = 1024 * 1024,
    .queue_bytes_max = 4 << 20,
    .frames_max = 100000,
    .messages = {.at_once = 100},
    .address_messages = {.at_once = 1000},
    .address_connects = {.at_once = 100},
    .close_linger_ms = 2000,
    .upgrade_timeout_ms = 10000,
    .upgrades = true,
};

static void heartbeat_in(struct session *session, uint64_t delay_us)
{
    times_beat_at(session, loop_now_us(session->sessions->loop) + delay_us);
}

static void deadline_in(struct session *session, uint64_t delay_us)
{
    times_deadline_at(session, loop_now_us(session->sessions->loop) + delay_us);
}

void session_beat_due(struct session *session)
{
    if (session->awaiting_pong && !session_is_unread(session)) {
        session_close(session, CLOSE_PING_TIMEOUT);
        return;
    }
    if (session->awaiting_pong) { /* its pong may wait among what is not read */
        heartbeat_in(session, LOOP_MS(session->sessions->limits.ping_timeout_ms));
        return;
    }
    session->awaiting_pong = true;
    session->pinged_us = loop_now_us(session->sessions->loop);
    session->protocol->ping(session);
    times_ask(session);
}

/* Closes the session after a while, in which its client can open another connection. */
static void end_soon(struct session *session, enum close_reason reason, uint64_t in_us)
{
    session->warned = true;
    session->end_reason = (uint8_t)reason;
    session->protocol->ending_soon(session, in_us / 1000);
    deadline_in(session, in_us);
}

static bool is_quiet(struct session *session)
{
    bool quiet = !session->moved && session->load == NULL && transport_queued(session->transport) == 0;
    session->moved = false;
    return quiet;
}

/* Closes the session in a quiet moment, before the platform cuts the stream. */
static void rotate(struct session *session)
{
    struct sessions *sessions = session->sessions;
    uint64_t age_us = loop_now_us(sessions->loop) - session->opened_us;
    uint64_t last_us = LOOP_MS(sessions->request_timeout_ms - sessions->limits.rotate_lead_ms / 4);
    if (session->protocol->ending_soon != NULL && age_us < last_us) {
        sessions->counters.rotated++;
        end_soon(session, CLOSE_ROTATED, last_us - age_us);
    } else if (is_quiet(session) || age_us >= last_us) {
        sessions->counters.rotated++;
        session_close(session, CLOSE_ROTATED);
    } else {
        deadline_in(session, LOOP_MS(QUIET_MS));
    }
}

void session_deadline_due(struct session *session)
{
    if (session->warned)
        session_close(session, (enum close_reason)session->end_reason);
    else if (session->joined)
        rotate(session);
    else
        session_close(session, CLOSE_CONNECT_PACKET_TIMEOUT);
}

/* The session is closed before the platform cuts its request. A polling session has no request of its own to be cut. */
static void rotation_begin(struct session *session)
{
    struct sessions *sessions = session->sessions;
    uint64_t lead_ms = sessions->limits.rotate_lead_ms, timeout_ms = sessions->request_timeout_ms;
    if (lead_ms == 0 || timeout_ms <= lead_ms || session->transport->format == TRANSPORT_POLLING)
        return;
    /* Sessions that were opened together are not closed together. */
    uint64_t begin_us = LOOP_MS(timeout_ms - lead_ms + loop_random_below(sessions->loop, lead_ms / 2 + 1));
    uint64_t age_us = loop_now_us(sessions->loop) - session->opened_us;
    deadline_in(session, begin_us > age_us ? begin_us - age_us : 0);
}

void session_joined(struct session *session)
{
    if (session->joined)
        return;
    session->joined = true;
    if (session->warned)
        return;
    times_deadline_at(session, UINT64_MAX);
    rotation_begin(session);
}

void session_move(struct session *session, struct transport *transport, uint64_t since_us)
{
    session->transport = transport;
    transport->session = session;
    session->opened_us = since_us;
    if (session->joined)
        rotation_begin(session);
    if (session_is_unread(session))
        transport->type->pause(transport, true);
}

static void catch_up(struct task *task)
{
    struct sessions *sessions = container_of(task, struct sessions, catch_up);
    for (size_t i = 0; i < sessions->catching.count; i++) {
        struct session *session = sessions->catching.slots[i];
        if (session == NULL)
            continue;
        session->catching = 0;
        subscribers_each(subscriber, session) member_continue(&subscriber->member);
    }
    sessions->catching.count = 0;
    free(sessions->catching.slots); /* a herd made it large, and has passed */
    sessions->catching.slots = NULL;
    sessions->catching.cap = 0;
}

/* A session for which nothing is due. */
static struct session *session_new(struct sessions *sessions, struct transport *transport,
                                   const struct protocol *protocol)
{
    struct session *session = pool_take(&sessions->pool);
    session->sessions = sessions;
    session->transport = transport;
    session->protocol = protocol;
    transport->session = session;
    session->opened_us = session->pinged_us = loop_now_us(sessions->loop);
    times_begin(session);
    sessions->count++;
    sessions->of_protocol[protocol->kind]++;
    return session;
}

void session_sid_create(struct sessions *sessions, char sid[ENGINEIO_SID_BYTES])
{
    uint8_t random[15];
    loop_random(sessions->loop, random, sizeof random);
    engineio_sid_encode(random, sid);
}

struct session *session_create(struct sessions *sessions, struct transport *transport, const struct protocol *protocol,
                               char sid[ENGINEIO_SID_BYTES])
{
    struct session *session = session_new(sessions, transport, protocol);
    char own[ENGINEIO_SID_BYTES];
    if (sid == NULL)
        sid = own;
    session_sid_create(sessions, sid);
    times_rest(session);
    deadline_in(session, LOOP_MS(sessions->limits.connect_timeout_ms));
    sessions->counters.opened++;
    protocol->opened(session, sid);
    return session;
}

struct session *session_restore(struct sessions *sessions, struct transport *transport, const struct protocol *protocol,
                                const struct session_clock *clock, uint64_t since_us)
{
    struct session *session = session_new(sessions, transport, protocol);
    session->opened_us = since_us;
    uint64_t period_ms = clock->awaiting_pong ? sessions->limits.ping_timeout_ms : sessions->limits.ping_interval_ms;
    uint64_t gone_us = LOOP_MS(period_ms > clock->heartbeat_ms ? period_ms - clock->heartbeat_ms : 0);
    session->joined = clock->joined;
    session->awaiting_pong = clock->awaiting_pong;
    session->pinged_us -= gone_us < session->pinged_us ? gone_us : session->pinged_us;
    heartbeat_in(session, LOOP_MS(clock->heartbeat_ms));
    if (!clock->joined)
        deadline_in(session, LOOP_MS(clock->join_ms));
    else
        rotation_begin(session);
    return session;
}

struct session_clock session_clock(const struct session *session)
{
    const struct sessions *sessions = session->sessions;
    uint64_t now = loop_now_us(sessions->loop);
    uint64_t period_ms = session->awaiting_pong ? sessions->limits.ping_timeout_ms : sessions->limits.ping_interval_ms;
    uint64_t due_us = session->pinged_us + LOOP_MS(period_ms);
    return (struct session_clock){.joined = session->joined,
                                  .awaiting_pong = session->awaiting_pong,
                                  .heartbeat_ms = due_us > now ? (due_us - now + 999) / 1000 : 0};
}

bool session_is_calm(const struct session *session)
{
    if (session->closing || session_is_unread(session) ||
        (session->load != NULL && (session->load->count > 0 || session->load->asking)))
        return false;
    subscribers_each(subscriber, session)
    {
        if (!subscriber_is_calm(subscriber))
            return false;
    }
    return true;
}

bool session_is_moving(const struct session *session)
{
    subscribers_each(subscriber, session)
    {
        if (subscriber->is_moved)
            return true;
    }
    return false;
}

void session_stirred(struct session *session)
{
    if (session->transport->type->stirred != NULL)
        session->transport->type->stirred(session->transport);
}

void session_close(struct session *session, enum close_reason reason)
{
    if (session->closing)
        return;
    session->closing = true;
    if (session->held)
        session_hold(session, false); /* the peer's Close may be behind what was not read */
    session->transport->type->close(session->transport, reason);
}

void session_ending(struct session *session)
{
    session->closing = true;
}

/* All entries that were sent before the ping have arrived. */
static void session_heard(struct session *session)
{
    subscribers_each(subscriber, session) member_pasts_drop(&subscriber->member, session->pinged_us);
}

void session_ponged(struct session *session)
{
    struct sessions *sessions = session->sessions;
    if (!session->awaiting_pong)
        return;
    session->awaiting_pong = false;
    session_heard(session);
    session->pinged_us = loop_now_us(sessions->loop);
    times_rest(session);
}

void session_transport_ping(struct session *session)
{
    session->transport->type->ping(session->transport, (uint32_t)session->pinged_us);
}

void session_transport_ponged(struct session *session, uint32_t number)
{
    if (number == (uint32_t)session->pinged_us)
        session_ponged(session);
}

void session_hold(struct session *session, bool held)
{
    session->held = held;
    session->transport->type->pause(session->transport, session_is_unread(session));
}

void session_received(struct session *session, struct span text)
{
    session->sessions->counters.packets_in++;
    if (!session->awaiting_pong || !span_equal(text, SPAN_LIT("3"))) /* all but a pong that was asked for */
        session_message(session);
    session->protocol->received(session, text);
}

void session_received_binary(struct session *session, struct span bytes)
{
    session->sessions->counters.packets_in++;
    session->moved = true;
    session_message(session);
    session->protocol->received_binary(session, bytes);
}

void session_drained(struct session *session)
{
    /* Behind the flush, so that one that is quick to read takes turns with the others. */
    struct sessions *sessions = session->sessions;
    if (session->catching == 0) {
        if (sessions->catching.count == sessions->catching.cap) {
            sessions->catching.cap = sessions->catching.cap != 0 ? sessions->catching.cap * 2 : CATCHING_CAP_MIN;
            sessions->catching.slots =
                mem_resize(sessions->catching.slots, sessions->catching.cap * sizeof sessions->catching.slots[0]);
        }
        sessions->catching.slots[sessions->catching.count++] = session;
        session->catching = (uint32_t)sessions->catching.count;
    }
    loop_at_reap(sessions->loop, &sessions->catch_up);
    load_drained(session);
}

void session_closed(struct session *session, enum close_reason reason)
{
    struct sessions *sessions = session->sessions;
    times_end(session);
    subscribers_each(subscriber, session) subscriber_detach(subscriber, reason);
    load_finish(session);
    if (session->catching != 0)
        sessions->catching.slots[session->catching - 1] = NULL;
    sessions->count--;
    sessions->of_protocol[session->protocol->kind]--;
    session_extra_free(session);
    pool_give(&sessions->pool, session);
}

static void end(struct session *session, enum close_reason reason)
{
    if (session->protocol->ending_soon != NULL)
        end_soon(session, reason, LOOP_MS(NOTICE_MS));
    else
        session_close(session, reason);
}

size_t sessions_close_some(struct sessions *sessions, size_t count, enum close_reason reason)
{
    size_t left = 0;
    sessions_each(session, sessions)
    {
        if (session->closing || (session->warned && session->end_reason == reason))
            continue;
        if (count > 0) {
            end(session, reason);
            count--;
        } else {
            left++;
        }
    }
    return left;
}

/* Makes the lease due at `due_us` at the latest. */
static void lease_due_by(struct subscriber *subscriber, uint64_t due_us)
{
    if (subscriber->lease->due_us > due_us)
        subscriber->lease->due_us = due_us;
}

static void lease_sweep(struct timer *timer)
{
    struct sessions *sessions = container_of(timer, struct sessions, lease_sweep);
    uint64_t now = loop_now_us(sessions->loop);
    for (struct map_node *node = map_next(&sessions->sockets, NULL); node != NULL;
         node = map_next(&sessions->sockets, node)) {
        struct subscriber *subscriber = container_of(node, struct subscriber_lease, by_name)->subscriber;
        if (member_take_lease_stale(&subscriber->member))
            lease_due_by(subscriber, now + loop_random_below(sessions->loop, LOOP_MS(LEASE_AGAIN_MS)));
        if (subscriber->lease->due_us != 0 && now >= subscriber->lease->due_us && subscriber_has_lease(subscriber))
            subscriber_lease_refresh(subscriber);
    }
    departed_sweep(sessions);
    unleased_sweep(sessions);
    timer_start(sessions->loop, timer, LOOP_MS(LEASE_SWEEP_MS));
}

static void superseded(void *arg, struct span pid, uint64_t generation)
{
    subscriber_superseded(arg, pid, generation);
}

/* Other instances may have claimed leases while the link was down, without notice; writing the leases finds out. And
 * after a loss, the broker's record of a subscriber's rooms may be older than its client's token. */
static void link_up(void *arg, bool lost)
{
    struct sessions *sessions = arg;
    uint64_t now = loop_now_us(sessions->loop);
    for (struct map_node *node = map_next(&sessions->sockets, NULL); node != NULL;
         node = map_next(&sessions->sockets, node)) {
        struct subscriber *subscriber = container_of(node, struct subscriber_lease, by_name)->subscriber;
        lease_due_by(subscriber, lost ? now : now + loop_random_below(sessions->loop, LOOP_MS(LEASE_AGAIN_MS)));
    }
    if (lost)
        lease_sweep(&sessions->lease_sweep);
    unleased_link_up(sessions);
    presence_enter_again(sessions);
    pollings_link_up(sessions);
}

static void presence(void *arg, struct span room, const struct broker_present *who, bool entered, uint64_t count)
{
    presence_changed(arg, room, who, entered, count);
}

static void unheard(void *arg, const struct broker_entry *entry)
{
    asking_unheard(arg, entry);
}

static void prepared(void *arg)
{
    pollings_prepared(arg);
}

static void room_filled(void *arg, struct span room, bool filled)
{
    const struct outward *outward = ((struct sessions *)arg)->outward;
    if (outward != NULL)
        outward->room_filled(outward->arg, room, filled);
}

static const struct hub_owner hub_owner = {link_up, superseded, prepared, presence, unheard, room_filled};

void sessions_init(struct sessions *sessions, struct hub *hub, struct session_app *app,
                   const struct session_limits *limits)
{
    uint64_t seed[2];
    *sessions = (struct sessions){.loop = hub_loop(hub), .hub = hub, .app = app, .limits = *limits, .instance = ""};
    loop_random(hub_loop(hub), seed, sizeof seed);
    refusals_init(&sessions->refusals, hub_loop(hub));
    rates_init(&sessions->rates, seed);
    sessions->rates.rates[RATES_MESSAGES] = limits->address_messages;
    sessions->rates.rates[RATES_CONNECTS] = limits->address_connects;
    map_init(&sessions->sockets, seed);
    map_init(&sessions->claims, seed);
    map_init(&sessions->pollings, seed);
    map_init(&sessions->moved, seed);
    times_init(sessions);
    pool_init(&sessions->pool, sizeof(struct session));
    pool_init(&sessions->subscribers, sizeof(struct subscriber));
    list_init(&sessions->all_pollings);
    list_init(&sessions->polls_held);
    sessions->polling_protocol = &socket_protocol;
    record_attach(hub_broker(hub), &polling_record_events, sessions);
    task_init(&sessions->catch_up, catch_up);
    directives_init(sessions);
    loads_init(sessions);
    list_init(&sessions->unfinished.in_order);
    compression_init(&sessions->compression);
    departed_init(sessions);
    asking_kept_init(sessions);
    presence_init(sessions);
    timer_init(&sessions->lease_sweep, lease_sweep);
    timer_start(hub_loop(hub), &sessions->lease_sweep, LOOP_MS(LEASE_SWEEP_MS));
    hub_owner_set(hub, &hub_owner, sessions);
    hub_members_set(hub, &subscriber_member_events);
}

void sessions_finish(struct sessions *sessions)
{
    assert(list_empty(&sessions->all_pollings));
    times_finish(sessions);
    timer_stop(sessions->loop, &sessions->lease_sweep);
    task_cancel(&sessions->catch_up);
    free(sessions->catching.slots);
    free(sessions->denial);
    directives_finish(sessions);
    presence_finish(sessions);
    loads_finish(sessions);
    compression_finish(&sessions->compression);
    departed_finish(sessions);
    asking_kept_finish(sessions);
    rates_finish(&sessions->rates);
    map_finish(&sessions->sockets);
    map_finish(&sessions->claims);
    map_finish(&sessions->pollings);
    map_finish(&sessions->moved);
    pool_finish(&sessions->pool);
    pool_finish(&sessions->subscribers);
}
