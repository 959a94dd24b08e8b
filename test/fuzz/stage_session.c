/* stage_session: steps from bytes become requests, and every answer is read as a client would. See stage_session.h. */
#include "fuzz/stage_session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/stage_parts.h"
#include "session/polling_parts.h"
#include "wire/http1.h"
#include "wire/json.h"
#include "wire/payload.h"
#include "wire/socketio.h"

enum { LINES = 4, SIDS = 2, ASKED_MAX = 16, STEPS_MAX = 300, STEP_US = 3000, MESSAGE_BYTES_MAX = 64 << 20 };

/* A session, as its client sees it. */
struct seen {
    char sid[ENGINEIO_SID_BYTES + 1];
    uint32_t awaited; /* attachments */
    uint64_t seq;     /* of the last token */
    char epoch[BROKER_EPOCH_BYTES_MAX];
    uint8_t epoch_len;
    bool over;  /* a close packet has come */
    bool mixed; /* its answers are under way on several connections: they may come in any order */
};

/* A connection. */
struct line {
    struct play *play;
    struct sim_end *end;
    struct buf in;
    struct seen *asked[ASKED_MAX]; /* of each request whose answer has not come: the session that it polls, or NULL */
    bool begins[ASKED_MAX];        /* a handshake */
    size_t asked_count;
    bool wild; /* it was sent bytes of which nobody knows what they ask */
    bool upgrades, upgraded, held;
    struct seen *on; /* the session of its WebSocket */
    struct ws_decoder decoder;
};

struct play {
    struct stage *stage;
    struct line lines[LINES];
    struct seen sessions[SIDS];
    size_t begun; /* sessions, counted */
};

/* The last argument of an event: positions do not go back. */
static void token_check(struct seen *seen, struct span args)
{
    struct token token;
    struct span value, last = SPAN_LIT("");
    if (json_type(args) != JSON_ARRAY)
        return;
    while (json_array_next(&args, &value))
        last = value;
    if (last.len < 2 || json_type(last) != JSON_STRING || !token_decode(span_sub(last, 1, last.len - 2), &token))
        return;
    bool is_same = span_equal(span_of(token.epoch, token.epoch_len), span_of(seen->epoch, seen->epoch_len));
    assert(!is_same || token.seq >= seen->seq);
    memcpy(seen->epoch, token.epoch, token.epoch_len);
    seen->epoch_len = token.epoch_len;
    seen->seq = token.seq;
}

static void packet_check(struct seen *seen, struct span text)
{
    struct engineio_packet engine;
    struct socketio_packet packet;
    ptrdiff_t taken = engineio_decode(text, &engine);
    assert(taken > 0);
    if (seen->mixed)
        return;
    assert(seen->awaited == 0 || engine.type != ENGINEIO_MESSAGE);
    assert(!seen->over || engine.type == ENGINEIO_CLOSE || engine.type == ENGINEIO_NOOP);
    seen->over = engine.type == ENGINEIO_CLOSE;
    if (engine.type != ENGINEIO_MESSAGE)
        return;
    taken = socketio_decode(engine.data, &packet);
    assert(taken > 0);
    seen->awaited = packet.attachments;
    if (packet.type == SOCKETIO_CONNECT)
        seen->epoch_len = 0;
    if ((packet.type == SOCKETIO_EVENT || packet.type == SOCKETIO_BINARY_EVENT) &&
        span_equal(packet.nsp, SPAN_LIT("/")))
        token_check(seen, packet.payload);
}

static void payload_check(struct seen *seen, struct span payload)
{
    struct span packet;
    bool begun = false;
    while (payload_next(&payload, &begun, &packet)) {
        struct buf bytes = {0};
        if (!payload_is_binary(packet)) {
            packet_check(seen, packet);
            continue;
        }
        bool is_good = payload_binary_decode(&bytes, packet);
        assert(is_good && (seen->awaited > 0 || seen->mixed));
        seen->awaited -= seen->awaited > 0;
        buf_finish(&bytes);
    }
}

/* Answers of the session that was here before are of no interest. */
static void forget(struct play *play, const struct seen *seen)
{
    for (int i = 0; i < LINES; i++) {
        struct line *line = &play->lines[i];
        line->wild = line->wild || line->on == seen;
        for (size_t j = 0; j < line->asked_count; j++)
            if (line->asked[j] == seen)
                line->asked[j] = NULL;
    }
}

static void begun(struct play *play, struct span body)
{
    struct engineio_handshake handshake;
    bool is_good = body.len > 1 && body.data[0] == '0' && engineio_handshake_decode(span_from(body, 1), &handshake);
    assert(is_good && handshake.sid.len == ENGINEIO_SID_BYTES);
    struct seen *seen = &play->sessions[play->begun++ % SIDS];
    forget(play, seen);
    *seen = (struct seen){.over = false};
    memcpy(seen->sid, handshake.sid.data, ENGINEIO_SID_BYTES);
}

static void line_reset(struct line *line)
{
    buf_finish(&line->in);
    ws_decoder_finish(&line->decoder);
    *line = (struct line){.play = line->play};
}

/* The answer to the oldest request. */
static void answer_check(struct line *line, int status, struct span body)
{
    struct seen *seen = line->asked[0];
    bool begins = line->begins[0];
    assert(line->asked_count > 0);
    line->asked_count--;
    memmove(line->asked, line->asked + 1, line->asked_count * sizeof line->asked[0]);
    memmove(line->begins, line->begins + 1, line->asked_count * sizeof line->begins[0]);
    if (status == 200 && begins)
        begun(line->play, body);
    else if (status == 200 && seen != NULL)
        payload_check(seen, body);
}

static void frames_check(struct line *line)
{
    struct buf in = line->in;
    char *bytes = in.data + in.off;
    size_t len = in.len;
    line->in = (struct buf){0};
    for (bool got = true; len > 0 || got;) {
        struct ws_event event;
        got = false;
        ptrdiff_t used = ws_decode(&line->decoder, bytes, len, &event, &got);
        assert(used >= 0);
        if (got && event.opcode == WS_TEXT && !span_equal(event.payload, SPAN_LIT("3probe")))
            packet_check(line->on, event.payload);
        if (got && event.opcode == WS_BINARY) {
            assert(line->on->awaited > 0 || line->on->mixed);
            line->on->awaited -= line->on->awaited > 0;
        }
        if (!got && used == 0)
            break;
        bytes += used;
        len -= (size_t)used;
    }
    buf_finish(&in);
}

static void received(struct sim_end *end, void *owner, const char *bytes, size_t len)
{
    static struct http1_head head;
    struct line *line = owner;
    buf_append(&line->in, span_of(bytes, len));
    while (!line->wild && !line->upgraded) {
        struct span in = buf_span(&line->in);
        ptrdiff_t used = http1_response_decode(in, 0, SPAN_LIT("GET"), &head);
        assert(used >= 0);
        if (used == 0)
            return;
        if (head.status == 101) {
            assert(line->upgrades);
            line->upgraded = true;
            buf_consume(&line->in, (size_t)used);
            break;
        }
        size_t whole = (size_t)used + (head.body == HTTP1_BODY_LENGTH ? (size_t)head.content_length : 0);
        if (in.len < whole)
            return;
        if (line->asked_count > 0)
            answer_check(line, head.status, span_sub(in, (size_t)used, whole - (size_t)used));
        line->upgrades = line->upgrades && line->asked_count > 0;
        buf_consume(&line->in, whole);
        if (line->in.len == 0)
            return;
    }
    if (line->upgraded && !line->wild)
        frames_check(line);
    else
        buf_clear(&line->in);
}

static void closed(struct sim_end *end, void *owner)
{
    line_reset(owner);
}

static void line_open(struct line *line)
{
    static const struct sim_peer peer = {NULL, received, closed};
    if (line->end != NULL)
        return;
    ws_decoder_init(&line->decoder, false, MESSAGE_BYTES_MAX);
    line->end = sim_connect(line->play->stage->sim, STAGE_PORT, &peer, line);
}

static void line_close(struct line *line, bool reset)
{
    if (line->end != NULL)
        sim_close(line->end, reset);
    line_reset(line);
}

/* Sends a request, or only its first bytes. */
static void line_ask(struct line *line, struct seen *polled, bool begins, struct span request, unsigned cut)
{
    if (line->upgraded || line->upgrades || line->asked_count == ASKED_MAX)
        line_close(line, false);
    line_open(line);
    line->asked[line->asked_count] = polled;
    line->begins[line->asked_count++] = begins;
    bool is_cut = cut > 0 && cut < request.len;
    line->wild = line->wild || is_cut;
    sim_send(line->end, request.data, is_cut ? cut : request.len);
}

/* Another connection waits for an answer of this session. */
static bool is_polled_elsewhere(const struct line *line, const struct seen *seen)
{
    for (int i = 0; i < LINES; i++) {
        const struct line *other = &line->play->lines[i];
        for (size_t j = 0; j < other->asked_count && other != line; j++)
            if (other->asked[j] == seen)
                return true;
    }
    return false;
}

static void get(struct line *line, struct seen *seen, unsigned cut)
{
    struct buf text = {0};
    if (seen != NULL && is_polled_elsewhere(line, seen))
        seen->mixed = true;
    buf_printf(&text, "GET /socket.io/?EIO=4&transport=polling%s%s HTTP/1.1\r\nHost: a\r\n\r\n",
               seen != NULL ? "&sid=" : "", seen != NULL ? seen->sid : "");
    line_ask(line, seen, seen == NULL, buf_span(&text), cut);
    buf_finish(&text);
}

static void post(struct line *line, const struct seen *seen, struct span body, unsigned cut)
{
    struct buf text = {0};
    buf_printf(&text,
               "POST /socket.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
               seen->sid, body.len);
    buf_append(&text, body);
    line_ask(line, NULL, false, buf_span(&text), cut);
    buf_finish(&text);
}

static void upgrade(struct line *line, struct seen *seen, unsigned cut)
{
    struct buf text = {0};
    buf_printf(&text,
               "GET /socket.io/?EIO=4&transport=websocket&sid=%s HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
               "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
               seen->sid);
    line_ask(line, NULL, false, buf_span(&text), cut);
    line->upgrades = true;
    line->on = seen;
    buf_finish(&text);
}

/* Packets of the lists, some with bytes of the input. */
static void body_make(struct buf *to, const struct stage_client *client, struct span *rest)
{
    for (unsigned count = stage_byte_next(rest) % 6 + 1; count > 0; count--) {
        unsigned which = stage_byte_next(rest);
        struct span text = which == 255 ? stage_bytes_next(rest) : span_str(stage_packet(which));
        if (to->len > 0)
            buf_append_char(to, PAYLOAD_SEPARATOR);
        if (text.len > 0 && text.data[0] == 7)
            payload_binary_encode(to, span_from(text, 1));
        else if (which == 254)
            buf_append(to, SPAN_LIT("1"));
        else if (which >= 240)
            buf_append(to, SPAN_LIT("3"));
        else
            stage_fill(to, client, text);
    }
}

static void frame_send(struct line *line, enum ws_opcode opcode, struct span payload)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    struct buf frame = {0};
    if (line->end == NULL || !line->upgraded)
        return;
    if (is_polled_elsewhere(line, line->on))
        line->on->mixed = true;
    ws_masked_encode(&frame, opcode, payload, mask);
    sim_send(line->end, buf_span(&frame).data, frame.len);
    buf_finish(&frame);
}

static void packets_send(struct line *line, const struct stage_client *client, struct span *rest)
{
    struct span packet = span_str(stage_packet(stage_byte_next(rest)));
    struct buf text = {0};
    if (packet.len > 0 && packet.data[0] == 7) {
        frame_send(line, WS_BINARY, span_from(packet, 1));
        return;
    }
    stage_fill(&text, client, packet);
    frame_send(line, WS_TEXT, buf_span(&text));
    buf_finish(&text);
}

static void bytes_send(struct line *line, struct span bytes)
{
    if (line->end == NULL)
        return;
    line->wild = true;
    sim_send(line->end, bytes.data, bytes.len);
}

/* As SIGSTOP does. */
static void stand_still(struct stage *stage, uint64_t us)
{
    sim_host_pause(stage->loop, true);
    stage_pass(stage, us);
    sim_host_pause(stage->loop, false);
}

/* What happens beside the requests. */
static void happen(struct play *play, struct line *line, unsigned what, struct span *rest)
{
    struct stage *stage = play->stage;
    switch (what) {
    case 0:
        stage_pass(stage, LOOP_MS(20) * stage_byte_next(rest));
        break;
    case 1:
        line_close(line, stage_byte_next(rest) % 2 == 0);
        break;
    case 2:
        line->held = line->end != NULL && !line->held;
        if (line->end != NULL)
            sim_hold(line->end, line->held);
        break;
    case 3:
        stand_still(stage, LOOP_MS(20) * stage_byte_next(rest));
        break;
    case 4:
        if (stage->redis != NULL)
            stage_redis_cut(stage);
        break;
    default:
        if (stage->redis != NULL)
            sim_listen_pause(stage->sim, STAGE_REDIS_PORT, stage_byte_next(rest) % 2 == 0);
    }
}

static void step(struct play *play, struct span *rest)
{
    unsigned byte = stage_byte_next(rest);
    struct line *line = &play->lines[byte % LINES];
    struct stage_client *client = &play->stage->clients[byte / LINES % STAGE_CLIENTS];
    struct seen *seen = &play->sessions[byte / 128];
    struct buf body = {0};
    unsigned what = stage_byte_next(rest), cut = what >= 128 ? stage_byte_next(rest) : 0;
    switch (what % 16) {
    case 0:
        get(line, NULL, cut);
        break;
    case 1:
    case 2:
    case 3:
        get(line, seen, cut);
        break;
    case 4:
    case 5:
    case 6:
        body_make(&body, client, rest);
        post(line, seen, buf_span(&body), cut);
        break;
    case 7:
        upgrade(line, seen, cut);
        break;
    case 8:
        frame_send(line, WS_TEXT, stage_byte_next(rest) % 2 == 0 ? SPAN_LIT("2probe") : SPAN_LIT("5"));
        break;
    case 9:
        packets_send(line, client, rest);
        break;
    case 10:
        bytes_send(line, stage_bytes_next(rest));
        break;
    case 11:
    case 12:
        stage_say(client, span_str(stage_packet(stage_byte_next(rest))));
        break;
    default:
        happen(play, line, stage_byte_next(rest) % 6, rest);
    }
    buf_finish(&body);
    if (what % 16 != 15)
        stage_pass(play->stage, STEP_US);
}

void stage_session_play(struct stage *stage, struct span input)
{
    struct play *play = calloc(1, sizeof *play);
    assert(play != NULL);
    play->stage = stage;
    for (int i = 0; i < LINES; i++)
        play->lines[i].play = play;
    for (int i = 0; i < SIDS; i++)
        snprintf(play->sessions[i].sid, sizeof play->sessions[i].sid, "nobody%014d", i);
    for (int i = 0; i < STEPS_MAX && input.len > 0; i++) {
        step(play, &input);
        stage_check(stage);
    }
    for (int i = 0; i < LINES; i++)
        line_close(&play->lines[i], i % 2 == 0);
    free(play);
}

void stage_session_check_quiet(const struct stage *stage)
{
    const struct sessions *sessions = &stage->server.sessions;
    assert(list_empty(&sessions->all_pollings) && sessions->pollings.count == 0);
}
