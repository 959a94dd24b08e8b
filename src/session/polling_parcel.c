/* polling_parcel: a polling session as a parcel (parcel.h): made of a session that is passed on, and opened on the
 * instance that gets it. */
#include <stdlib.h>

#include "base/mem.h"
#include "session/assembly.h"
#include "session/lease.h"
#include "session/parcel.h"
#include "session/polling_parts.h"
#include "session/subscriber.h"
#include "wire/payload.h"

enum { JOIN_MARGIN_MS = 1 /* rounding */ };

void polling_parcel_begin(struct polling *polling, const struct protocol *protocol, struct span handshake)
{
    const struct sessions *sessions = polling->sessions;
    struct parcel parcel = {.protocol = protocol->kind,
                            .heartbeat_ms = sessions->limits.ping_interval_ms,
                            .join_ms = sessions->limits.connect_timeout_ms,
                            .begun_ms = loop_wall_ms(sessions->loop),
                            .handshake = handshake};
    parcel_encode(&polling->parcel, &parcel);
}

/* The claim of this socket's lease, which came with the record; NULL: none did. */
static const struct record_claim *claim_of(const struct record_grant *grant, const struct nsp *nsp, struct span pid)
{
    for (size_t i = 0; i < grant->claim_count; i++) {
        struct span name = grant->claims[i].pid, rest = span_from(name, pid.len < name.len ? pid.len : name.len);
        if (span_starts_with(name, pid) && span_equal(rest, nsp->name.len > 1 ? nsp->name : SPAN_LIT("")))
            return &grant->claims[i];
    }
    return NULL;
}

static void socket_open(struct session *session, const struct parcel_socket *parcel, const struct record_grant *grant)
{
    struct session_app *app = session->sessions->app;
    enum refusal refusal;
    const struct nsp *nsp = app->nsp_find(app, parcel->nsp, &refusal);
    struct subscriber_start start = {.pid = parcel->pid,
                                     .offset = parcel->offset,
                                     .presence_data = parcel->presence_data,
                                     .is_moved = true,
                                     .grant = grant,
                                     .claim = nsp != NULL ? claim_of(grant, nsp, parcel->pid) : NULL,
                                     .asking = parcel->asking,
                                     .kept_auth = parcel->auth,
                                     .away_ms = grant->away_ms};
    if (start.claim != NULL && parcel->claims.len > 0) {
        start.identity = identity_create(parcel->claims, (int64_t)parcel->expires_ms);
        start.identity->told = parcel->told;
    }
    if (start.claim != NULL)
        refusal = subscriber_begin(session, nsp, &start);
    else if (nsp != NULL) /* the broker has lost its lease */
        refusal = REFUSAL_COUNT;
    if (refusal != REFUSAL_COUNT) /* this instance has another configuration, or too many namespaces */
        refusals_note(&session->sessions->refusals, refusal, parcel->pid, parcel->nsp);
    if (refusal != REFUSAL_COUNT || start.claim == NULL)
        session_close(session, CLOSE_HISTORY_LOST);
    nsp_unref(app, nsp);
}

static uint64_t left_ms(uint64_t ms, uint64_t away_ms)
{
    return ms > away_ms ? ms - away_ms : 0;
}

uint64_t polling_call_us(const struct polling *polling)
{
    uint64_t now = loop_now_us(polling->sessions->loop);
    return polling->asked_us != 0 ? now - polling->asked_us : polling->asking_us;
}

/* The broker says for how long it had the session. On its way there and from there the clock stood still, too: about as
 * long as a call takes. Without that, a session that moves often would be pinged late, and then too late. */
static struct session_clock clock_of(const struct polling *polling, const struct parcel *parcel,
                                     const struct record_grant *grant)
{
    const struct session_limits *limits = &polling->sessions->limits;
    uint64_t away_ms = grant->away_ms + polling_call_us(polling) / 1000;
    uint64_t since_ping_ms = left_ms(limits->ping_timeout_ms, parcel->heartbeat_ms) + away_ms;
    struct session_clock clock = {.joined = parcel->joined,
                                  .awaiting_pong = parcel->awaiting_pong,
                                  .heartbeat_ms = left_ms(parcel->heartbeat_ms, away_ms),
                                  .join_ms = left_ms(parcel->join_ms, grant->away_ms)};
    /* If the way took longer, the ping is older than it seems. A pong for the ping before it came an interval earlier.
     */
    uint64_t since_pong_ms = left_ms(grant->pong_ms, limits->ping_interval_ms / 2);
    if (parcel->awaiting_pong && grant->ponged && since_pong_ms <= since_ping_ms) {
        clock.awaiting_pong = false;
        clock.heartbeat_ms = left_ms(limits->ping_interval_ms, grant->pong_ms);
    }
    return clock;
}

bool polling_claim_is_prepared(struct polling *polling, const struct record_claim *claim)
{
    struct span rooms = claim->lease != NULL ? claim->lease->rooms : SPAN_LIT(""), room;
    struct stretch stretch;
    uint64_t floor, directed;
    bool is_prepared = true,
         ok = claim->lease != NULL && lease_floor_decode(&rooms, &floor) && lease_directed_decode(&rooms, &directed);
    while (ok && lease_room_decode(&rooms, &room, &stretch) > 0) {
        if (stretch.end == STRETCH_OPEN && !broker_room_is_owned(room))
            is_prepared &= hub_room_prepare(polling->sessions->hub, room);
    }
    return is_prepared;
}

bool polling_parcel_open(struct polling *polling, struct transport *transport, const struct record_grant *grant)
{
    struct sessions *sessions = polling->sessions;
    struct parcel parcel;
    struct parcel_socket socket;
    if (!parcel_decode(grant->record, &parcel) || parcel.protocol != sessions->polling_protocol->kind)
        return false;
    struct session_clock clock = clock_of(polling, &parcel, grant);
    sessions->counters.kept_lost += grant->kept_lost;
    sessions->counters.kept += grant->kept_count;
    uint64_t since_us = polling->websocket != NULL ? polling_probe_since_us(polling) : loop_now_us(sessions->loop);
    struct session *session = session_restore(sessions, transport, sessions->polling_protocol, &clock, since_us);
    session_token_set(session, span_str(polling->token));
    session_handshake_set(session, parcel.handshake);
    polling->begun_ms = parcel.begun_ms;
    polling->join_until_us = loop_now_us(sessions->loop) + LOOP_MS(clock.join_ms);
    if (parcel.waiting.len > 0) {
        struct frame *frame = frame_copy(parcel.waiting);
        struct polling_slot slot = {frame, {0}};
        if (transport == &polling->transport)
            transport->type->send(transport, frame, slot.tag);
        else
            polling_slot_send(transport, &slot);
        frame_unref(frame);
    }
    assembly_restore(session, parcel.unfinished);
    for (uint64_t i = 0; i < parcel.socket_count && parcel_socket_next(&parcel.sockets, &socket); i++)
        socket_open(session, &socket, grant);
    polling->done_post = parcel.done_post;
    polling->done_get = parcel.done_get;
    buf_clear(&polling->done_answer);
    buf_append(&polling->done_answer, parcel.done_answer);
    polling->given_us = loop_now_us(sessions->loop);
    polling->away_ms = grant->away_ms;
    return true;
}

/* The leases of all sockets, and the sockets themselves as they stand in the parcel. */
static void sockets_park(struct polling *polling, struct buf *sockets)
{
    struct session *session = polling->transport.session;
    struct parking *parking = &polling->parking;
    parking->kept = hub_kept(polling->sessions->hub);
    parking->leases = mem_zero((size_t)session->socket_count + 1, sizeof *parking->leases);
    subscribers_each(subscriber, session)
    {
        struct token token;
        subscriber_park(subscriber, &token, sockets);
        buf_append(&parking->bytes, subscriber_lease_name(subscriber));
        buf_append(&parking->bytes, span_of(token.epoch, token.epoch_len));
        parking->leases[parking->count++] = (struct record_lease){.pid = subscriber_lease_name(subscriber),
                                                                  .generation = subscriber->lease->generation,
                                                                  .epoch = span_of(token.epoch, token.epoch_len),
                                                                  .seq = token.seq};
    }
    size_t at = 0;
    for (size_t i = 0; i < parking->count; i++) {
        struct record_lease *lease = &parking->leases[i];
        lease->pid = span_sub(buf_span(&parking->bytes), at, lease->pid.len);
        at += lease->pid.len;
        lease->epoch = span_sub(buf_span(&parking->bytes), at, lease->epoch.len);
        at += lease->epoch.len;
    }
}

void polling_parcel_make(struct polling *polling)
{
    struct session *session = polling->transport.session;
    struct session_clock clock = session_clock(session);
    uint64_t now = loop_now_us(polling->sessions->loop);
    struct buf sockets = {0}, waiting = {0}, unfinished = {0};
    char address[ADDR_TEXT_MAX];
    addr_ip_print(&polling->peer, address);
    assembly_park(&unfinished, session);
    while (polling->queue_count > 0) {
        if (waiting.len > 0)
            buf_append_char(&waiting, PAYLOAD_SEPARATOR);
        polling_queue_take(polling, &waiting, 0);
    }
    sockets_park(polling, &sockets);
    struct parcel parcel = {
        .protocol = session->protocol->kind,
        .joined = clock.joined,
        .awaiting_pong = clock.awaiting_pong,
        .heartbeat_ms = clock.heartbeat_ms,
        .join_ms = polling->join_until_us > now ? (polling->join_until_us - now) / 1000 + JOIN_MARGIN_MS : 0,
        .socket_count = session->socket_count,
        .done_post = polling->done_post,
        .done_get = polling->done_get,
        .done_answer = buf_span(&polling->done_answer),
        .waiting = buf_span(&waiting),
        .unfinished = buf_span(&unfinished),
        .begun_ms = polling->begun_ms,
        .address = span_str(address),
        .handshake = span_str(session_has(session).handshake),
        .sockets = buf_span(&sockets),
    };
    parcel_encode(&polling->parcel, &parcel);
    buf_finish(&sockets);
    buf_finish(&waiting);
    buf_finish(&unfinished);
    polling->parked = clock;
    polling->parked_us = now;
}

void polling_parcel_age(struct polling *polling)
{
    uint64_t gone_ms = (loop_now_us(polling->sessions->loop) - polling->parked_us) / 1000;
    struct parcel parcel;
    struct buf aged = {0};
    if (gone_ms == 0 || !parcel_decode(buf_span(&polling->parcel), &parcel))
        return;
    parcel.heartbeat_ms = polling->parked.heartbeat_ms = left_ms(parcel.heartbeat_ms, gone_ms);
    parcel.join_ms = left_ms(parcel.join_ms, gone_ms);
    polling->parked_us += LOOP_MS(gone_ms);
    parcel_encode(&aged, &parcel);
    buf_finish(&polling->parcel);
    polling->parcel = aged;
}

void polling_parcel_finish(struct polling *polling)
{
    buf_finish(&polling->parcel);
    buf_finish(&polling->parking.bytes);
    free(polling->parking.leases);
    polling->parking.leases = NULL;
    polling->parking.count = 0;
}
