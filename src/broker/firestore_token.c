/* firestore_token: the token that there is, and the request to the metadata server for another one:
 * https://cloud.google.com/compute/docs/metadata/overview */
#include "broker/firestore_token.h"

#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/span.h"
#include "broker/firestore_key.h"
#include "loop/resolve.h"
#include "net/conn.h"
#include "wire/http1.h"
#include "wire/json.h"

enum {
    SPARE_S = 600, /* a token is replaced so long before its end */
    AGAIN_S = 30,  /* how often that is tried */
    ANSWER_MS = 5000,
    ANSWER_BYTES_MAX = 64 << 10,
    LIFE_S_MAX = 86400, /* of a token, whatever its maker says */
};

static const struct conn_limits limits = {
    .queue_bytes_max = 4096, .input_bytes_max = ANSWER_BYTES_MAX, .write_stall_ms_max = ANSWER_MS};

struct fs_token {
    struct net *net;
    struct fs_key *key; /* NULL: from the metadata server */
    bool is_fixed;      /* the emulator's */
    char *text;         /* NULL: none yet */
    uint64_t until_us;  /* its end */
    uint64_t tried_us;
    /* The request for another one. */
    char *host;
    uint16_t port;
    struct resolve *resolve;
    struct conn conn;
    struct timer deadline;
    struct buf answer;
    bool busy;
    fs_token_fn *done; /* NULL: nobody waits */
    void *arg;
};

static void text_set(struct fs_token *token, char *text, uint64_t life_s)
{
    free(token->text);
    token->text = text;
    token->until_us = loop_now_us(token->net->loop) + LOOP_S(life_s);
}

static void answer(struct fs_token *token, const char *why)
{
    fs_token_fn *done = token->done;
    timer_stop(token->net->loop, &token->deadline);
    token->done = NULL;
    if (done != NULL)
        done(token->arg, why == NULL ? token->text : NULL, why);
}

/* {"access_token":"...","expires_in":3599,"token_type":"Bearer"} */
static bool token_read(struct fs_token *token, struct span body)
{
    uint64_t life_s;
    struct span json = json_trim(body);
    if (!json_is_valid(json) || !span_to_u64(json_object_get(json, SPAN_LIT("expires_in")), &life_s))
        return false;
    struct buf text = json_text_get(json, "access_token");
    bool good = text.len > 0;
    if (good)
        text_set(token, mem_text(buf_span(&text)), life_s < LIFE_S_MAX ? life_s : LIFE_S_MAX);
    buf_finish(&text);
    return good;
}

static const char *answer_read(struct fs_token *token)
{
    static const char strange[] = "the metadata server's answer makes no sense: see GCE_METADATA_HOST";
    struct http1_head head;
    struct http1_body body;
    struct buf text = {0};
    struct span rest = buf_span(&token->answer), data;
    ptrdiff_t len = http1_response_decode(rest, 0, SPAN_LIT("GET"), &head);
    if (len <= 0)
        return strange;
    if (head.status != 200)
        return "the metadata server has no token for this machine: give its service a service account, or set "
               "GOOGLE_APPLICATION_CREDENTIALS";
    http1_body_start(&body, &head);
    rest = span_from(rest, (size_t)len);
    while ((len = http1_body_decode(&body, rest, &data)) > 0) {
        buf_append(&text, data);
        rest = span_from(rest, (size_t)len);
    }
    bool good = len >= 0 && token_read(token, buf_span(&text));
    buf_finish(&text);
    return good ? NULL : strange;
}

static void opened(struct conn *conn)
{
    struct fs_token *token = container_of(conn, struct fs_token, conn);
    struct buf request = {0};
    buf_printf(&request,
               "GET /computeMetadata/v1/instance/service-accounts/default/token HTTP/1.1\r\nHost: %s\r\n"
               "Metadata-Flavor: Google\r\nConnection: close\r\n\r\n",
               token->host);
    conn_send(conn, buf_span(&request));
    buf_finish(&request);
}

static size_t received(struct conn *conn, char *bytes, size_t len)
{
    struct fs_token *token = container_of(conn, struct fs_token, conn);
    if (token->answer.len + len > ANSWER_BYTES_MAX)
        conn_close(conn, CLOSE_INPUT_LIMIT);
    else
        buf_append(&token->answer, span_of(bytes, len));
    return len;
}

static void closed(struct conn *conn, enum close_reason reason)
{
    struct fs_token *token = container_of(conn, struct fs_token, conn);
    token->busy = false;
    const char *why = token->answer.len > 0 ? answer_read(token)
                                            : "the metadata server does not answer: outside Google Cloud set "
                                              "GOOGLE_APPLICATION_CREDENTIALS to a service account's key";
    buf_finish(&token->answer);
    answer(token, why);
}

static const struct conn_events events = {.opened = opened, .received = received, .closed = closed};

static void deadline_passed(struct timer *timer)
{
    struct fs_token *token = container_of(timer, struct fs_token, deadline);
    conn_close(&token->conn, CLOSE_CONNECT_TIMEOUT);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct fs_token *token = arg;
    token->resolve = NULL;
    if (count == 0) {
        token->busy = false;
        answer(token, "metadata.google.internal is not known: outside Google Cloud set GOOGLE_APPLICATION_CREDENTIALS "
                      "to a service account's key");
        return;
    }
    conn_init(&token->conn, token->net, &events, &limits);
    conn_connect(&token->conn, &addrs[0]);
    timer_start(token->net->loop, &token->deadline, LOOP_MS(ANSWER_MS));
}

/* host[:port] */
static bool host_set(struct fs_token *token, const char *host, struct err *err)
{
    struct span whole = span_str(host != NULL && host[0] != '\0' ? host : "metadata.google.internal");
    ptrdiff_t colon = span_find(whole, ':');
    token->port = 80;
    token->host = mem_text(colon >= 0 ? span_sub(whole, 0, (size_t)colon) : whole);
    return colon < 0 || span_to_port(span_from(whole, (size_t)colon + 1), &token->port) ||
           err_set(err, "GCE_METADATA_HOST: expected HOST or HOST:PORT");
}

struct fs_token *fs_token_create(struct net *net, bool emulator, const char *key_file, const char *metadata_host,
                                 struct err *err)
{
    struct fs_token *token = mem_zero(1, sizeof *token);
    token->net = net;
    token->is_fixed = emulator;
    timer_init(&token->deadline, deadline_passed);
    if (emulator)
        token->text = mem_text(SPAN_LIT("owner"));
    bool ok = emulator || (key_file != NULL ? (token->key = fs_key_read(key_file, err)) != NULL
                                            : host_set(token, metadata_host, err));
    if (ok)
        return token;
    fs_token_destroy(token);
    return NULL;
}

void fs_token_destroy(struct fs_token *token)
{
    if (token == NULL)
        return;
    token->done = NULL;
    resolve_cancel(token->resolve);
    if (token->busy && token->conn.net != NULL) {
        conn_close(&token->conn, CLOSE_NORMAL);
        net_reap(token->net);
    }
    timer_stop(token->net->loop, &token->deadline);
    buf_finish(&token->answer);
    fs_key_destroy(token->key);
    free(token->text);
    free(token->host);
    free(token);
}

bool fs_token_is_old(const struct fs_token *token)
{
    uint64_t now = loop_now_us(token->net->loop);
    return !token->is_fixed && now + LOOP_S(SPARE_S) > token->until_us &&
           (token->text == NULL || now - token->tried_us > LOOP_S(AGAIN_S));
}

void fs_token_get(struct fs_token *token, fs_token_fn *done, void *arg)
{
    if (!fs_token_is_old(token)) {
        done(arg, token->text, NULL);
        return;
    }
    token->tried_us = loop_now_us(token->net->loop);
    if (token->key != NULL) {
        text_set(token, fs_key_sign(token->key, loop_wall_ms(token->net->loop) / 1000), FIRESTORE_TOKEN_S);
        done(arg, token->text, NULL);
        return;
    }
    token->done = done;
    token->arg = arg;
    if (token->busy)
        return;
    token->busy = true;
    token->resolve = resolve_start(token->net->loop, token->host, token->port, resolved, token);
}

struct span fs_token_text(const struct fs_token *token)
{
    return span_str(token->text);
}

void fs_token_drop(struct fs_token *token)
{
    if (!token->is_fixed)
        token->until_us = token->tried_us = 0;
}
