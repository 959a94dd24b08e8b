/* byte_proxy: two streams, what is done to their bytes, and when. See byte_proxy.h. */
#include "byte_proxy.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "instances.h"
#include "net/conn.h"
#include "wire/resp.h"

/* One link: from the broker to us, and from us to Redis. */
struct pair {
    struct list of_proxy;
    struct byte_proxy *proxy;
    struct conn near, far;
    struct resp_reader *reader; /* of what Redis says */
    struct buf held, late;
    enum proxy_link link;
    bool known; /* which link it is */
    int open;
};

static struct list proxies = {&proxies, &proxies};

static const struct conn_limits limits = {.queue_bytes_max = 256 << 20, .input_bytes_max = 256 << 20};

static void pair_cut(struct pair *pair)
{
    conn_close(&pair->near, CLOSE_DONE);
    if (pair->late.len == 0)
        conn_close(&pair->far, CLOSE_DONE);
}

void byte_proxy_deliver(struct byte_proxy *proxy)
{
    list_each (node, &proxy->pairs) {
        struct pair *pair = container_of(node, struct pair, of_proxy);
        if (pair->late.len == 0)
            continue;
        conn_send(&pair->far, buf_span(&pair->late));
        conn_shutdown(&pair->far, CLOSE_DONE, 1000);
        buf_finish(&pair->late);
    }
}

void byte_proxy_cut(struct byte_proxy *proxy)
{
    list_each (node, &proxy->pairs) {
        pair_cut(container_of(node, struct pair, of_proxy));
    }
}

static void pass_on(struct pair *pair, struct span bytes)
{
    struct byte_proxy *proxy = pair->proxy;
    long long *left = &proxy->cut_after[pair->link];
    bool cut = *left != PROXY_FOR_EVER && (long long)bytes.len >= *left;
    if (cut)
        bytes = span_sub(bytes, 0, (size_t)*left);
    else if (*left != PROXY_FOR_EVER)
        *left -= (long long)bytes.len;
    proxy->passed[pair->link] += bytes.len;
    conn_send(&pair->near, bytes);
    if (!cut)
        return;
    *left = PROXY_FOR_EVER;
    proxy->cuts++;
    conn_flush(&pair->near);
    byte_proxy_cut(proxy);
}

static uint64_t below(struct byte_proxy *proxy, uint64_t bound)
{
    proxy->lie_seed = proxy->lie_seed * 6364136223846793005u + 1442695040888963407u;
    return (proxy->lie_seed >> 33) % bound;
}

static void encode_text(struct buf *to, struct span text)
{
    buf_printf(to, "$%zu\r\n", text.len);
    buf_append(to, text);
    buf_append(to, SPAN_LIT("\r\n"));
}

/* A number in the text becomes another, or some bytes do, or it ends early, or is there twice. */
static void encode_spoiled(struct byte_proxy *proxy, struct buf *to, struct span text)
{
    static const char *const numbers[] = {
        "0", "1", "18446744073709551615", "9007199254740993", "-1", "4503599627370496", "", " "};
    struct buf spoiled = {0};
    size_t at = text.len > 0 ? below(proxy, text.len) : 0;
    size_t digits = at;
    while (digits < text.len && text.data[digits] >= '0' && text.data[digits] <= '9')
        digits++;
    buf_append(&spoiled, span_sub(text, 0, at));
    switch (below(proxy, 4)) {
    case 0:
        buf_append(&spoiled, span_str(numbers[below(proxy, sizeof numbers / sizeof numbers[0])]));
        buf_append(&spoiled, span_from(text, digits));
        break;
    case 1:
        buf_append_char(&spoiled, (char)below(proxy, 256));
        buf_append(&spoiled, span_from(text, at + 1));
        break;
    case 2:
        break;
    default:
        buf_append(&spoiled, text);
        break;
    }
    encode_text(to, buf_span(&spoiled));
    buf_finish(&spoiled);
}

static void encode(struct byte_proxy *proxy, struct buf *to, const struct resp *reply);

static void encode_lie(struct byte_proxy *proxy, struct buf *to, const struct resp *reply)
{
    static const char *const others[] = {
        "$-1\r\n", ":0\r\n",     ":1\r\n", ":-1\r\n",      ":9223372036854775807\r\n", "-ERR x\r\n",
        "+OK\r\n", "$0\r\n\r\n", "*0\r\n", "*1\r\n:1\r\n", "-SPOILED x\r\n",           ":5\r\n"};
    if (reply->type == RESP_STRING && below(proxy, 3) > 0) {
        encode_spoiled(proxy, to, reply->text);
    } else if (reply->type == RESP_ARRAY && reply->item_count > 0 && below(proxy, 3) > 0) {
        bool more = below(proxy, 2) == 0;
        size_t odd = below(proxy, reply->item_count);
        buf_printf(to, "*%zu\r\n", more ? reply->item_count + 1 : reply->item_count - 1);
        for (size_t i = 0; i < reply->item_count; i++) {
            if (i != odd || more)
                encode(proxy, to, &reply->items[i]);
            if (i == odd && more)
                encode(proxy, to, &reply->items[i]);
        }
    } else {
        buf_append(to, span_str(others[below(proxy, sizeof others / sizeof others[0])]));
    }
}

static void encode(struct byte_proxy *proxy, struct buf *to, const struct resp *reply)
{
    if (proxy->lies != 0 && below(proxy, proxy->lies) == 0) {
        encode_lie(proxy, to, reply);
        return;
    }
    static const char marks[] = {
        [RESP_STRING] = '$', [RESP_STATUS] = '+', [RESP_ERROR] = '-', [RESP_INTEGER] = ':', [RESP_ARRAY] = '*'};
    if (reply->type == RESP_NIL) {
        buf_append(to, SPAN_LIT("$-1\r\n"));
        return;
    }
    buf_append_char(to, marks[reply->type]);
    if (reply->type == RESP_INTEGER)
        buf_printf(to, "%lld\r\n", (long long)reply->integer);
    else if (reply->type == RESP_ARRAY)
        buf_printf(to, "%zu\r\n", reply->item_count);
    else if (reply->type == RESP_STRING)
        buf_printf(to, "%zu\r\n", reply->text.len);
    for (size_t i = 0; reply->type == RESP_ARRAY && i < reply->item_count; i++)
        encode(proxy, to, &reply->items[i]);
    if (reply->type == RESP_INTEGER || reply->type == RESP_ARRAY)
        return;
    buf_append(to, reply->text);
    buf_append(to, SPAN_LIT("\r\n"));
}

static bool is_swallowed(struct byte_proxy *proxy, struct span message)
{
    size_t len = proxy->swallow != NULL ? strlen(proxy->swallow) : 0;
    if (len == 0 || memmem(message.data, message.len, proxy->swallow, len) == NULL)
        return false;
    proxy->swallow = NULL;
    return true;
}

static void message_received(struct pair *pair, const struct resp *reply)
{
    struct byte_proxy *proxy = pair->proxy;
    struct buf message = {0};
    if (pair->link == PROXY_COMMANDS && proxy->instead != NULL && reply->type == RESP_ARRAY) {
        buf_printf(&message, "-%s\r\n", proxy->instead);
        proxy->instead = NULL;
    } else {
        encode(proxy, &message, reply);
    }
    if (proxy->lie[0] != NULL) {
        char *at = memmem(message.data + message.off, message.len, proxy->lie[0], strlen(proxy->lie[0]));
        if (at != NULL)
            memcpy(at, proxy->lie[1], strlen(proxy->lie[1]));
    }
    if (conn_is_open(&pair->near) && (pair->link == PROXY_COMMANDS || !is_swallowed(proxy, buf_span(&message))))
        pass_on(pair, buf_span(&message));
    buf_finish(&message);
}

static void far_bytes(struct pair *pair, struct span bytes)
{
    const struct resp *reply;
    if (kind != KIND_REDIS) {
        if (conn_is_open(&pair->near))
            pass_on(pair, bytes);
        return;
    }
    while (bytes.len > 0) {
        struct span part = span_sub(bytes, 0, 65536);
        bool ok = resp_feed(pair->reader, part);
        assert(ok);
        bytes = span_from(bytes, part.len);
        while (resp_next(pair->reader, &reply) > 0)
            message_received(pair, reply);
    }
}

static size_t far_received(struct conn *conn, char *bytes, size_t len)
{
    struct pair *pair = container_of(conn, struct pair, far);
    if (pair->proxy->held[pair->link])
        buf_append(&pair->held, span_of(bytes, len));
    else
        far_bytes(pair, span_of(bytes, len));
    return len;
}

static size_t near_received(struct conn *conn, char *bytes, size_t len)
{
    struct pair *pair = container_of(conn, struct pair, near);
    if (!pair->known) {
        pair->known = true;
        pair->link = memmem(bytes, len, "SUBSCRIBE", 9) != NULL ? PROXY_FEED : PROXY_COMMANDS;
    }
    if (pair->link == PROXY_COMMANDS && pair->proxy->delaying)
        buf_append(&pair->late, span_of(bytes, len));
    else
        conn_send(&pair->far, span_of(bytes, len));
    return len;
}

static void pair_closed(struct pair *pair)
{
    pair_cut(pair);
    if (--pair->open > 0)
        return;
    list_remove(&pair->of_proxy);
    resp_reader_destroy(pair->reader);
    buf_finish(&pair->held);
    buf_finish(&pair->late);
    free(pair);
}

static void near_closed(struct conn *conn, enum close_reason reason)
{
    pair_closed(container_of(conn, struct pair, near));
}

static void far_closed(struct conn *conn, enum close_reason reason)
{
    pair_closed(container_of(conn, struct pair, far));
}

static const struct conn_events near_events = {.received = near_received, .closed = near_closed};
static const struct conn_events far_events = {.received = far_received, .closed = far_closed};

static void accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    struct byte_proxy *proxy = container_of(listener, struct byte_proxy, listener);
    struct addr to;
    if (proxy->accepted < PROXY_ACCEPTED_MAX)
        proxy->accepted_at_ms[proxy->accepted] = now_ms();
    proxy->accepted++;
    if (proxy->refusing)
        return;
    struct pair *pair = mem_zero(1, sizeof *pair);
    pair->proxy = proxy;
    pair->open = 2;
    pair->reader = resp_reader_create(256 << 20);
    list_init(&pair->of_proxy);
    list_append(&proxy->pairs, &pair->of_proxy);
    conn_init(&pair->near, proxy->net, &near_events, &limits);
    conn_init(&pair->far, proxy->net, &far_events, &limits);
    conn_adopt(&pair->near, io, peer);
    addr_loopback(&to, proxy->to_port);
    conn_connect(&pair->far, &to);
}

struct byte_proxy *byte_proxy_open(struct net *of, uint16_t to_port)
{
    struct addr addr;
    struct err err = {{0}};
    struct byte_proxy *proxy = mem_zero(1, sizeof *proxy);
    proxy->net = of;
    proxy->to_port = to_port;
    proxy->cut_after[PROXY_COMMANDS] = proxy->cut_after[PROXY_FEED] = PROXY_FOR_EVER;
    list_init(&proxy->pairs);
    list_init(&proxy->of_all);
    list_append(&proxies, &proxy->of_all);
    addr_loopback(&addr, 0);
    if (!listener_open(&proxy->listener, of, &addr, accepted, &err))
        fail_msg("%s", err.text);
    return proxy;
}

const char *byte_proxy_url(const struct byte_proxy *proxy)
{
    static char url[64];
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", listener_port(&proxy->listener));
    return url;
}

void byte_proxy_release(struct byte_proxy *proxy, enum proxy_link link)
{
    proxy->held[link] = false;
    list_each (node, &proxy->pairs) {
        struct pair *pair = container_of(node, struct pair, of_proxy);
        if (pair->link != link || pair->held.len == 0)
            continue;
        far_bytes(pair, buf_span(&pair->held));
        buf_clear(&pair->held);
    }
}

void byte_proxy_close(struct byte_proxy *proxy)
{
    if (!io_is_open(&proxy->listener.io))
        return;
    listener_close(&proxy->listener);
    list_each (node, &proxy->pairs) {
        struct pair *pair = container_of(node, struct pair, of_proxy);
        buf_finish(&pair->late);
        pair_cut(pair);
    }
    net_reap(proxy->net);
}

void byte_proxies_finish(void)
{
    struct list *node;
    while ((node = list_take(&proxies)) != NULL) {
        struct byte_proxy *proxy = container_of(node, struct byte_proxy, of_all);
        byte_proxy_close(proxy);
        free(proxy);
    }
}
