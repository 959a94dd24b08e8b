/* tls_fixture: makes the loop, the connection and its peer, and takes them away. See tls_fixture.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tls_fixture.h"

struct loop *loop;
struct net net;
struct tls_peer peer;
struct link ours;
struct tls_client *client;
struct cert ca, other_ca, good, expired;
char *directory, *ca_path, *other_ca_path, *cert_path, *key_path;
struct conn_limits limits;

bool is_open(void)
{
    return ours.opened || ours.closed;
}

bool is_closed(void)
{
    return ours.closed;
}

static void on_opened(struct conn *conn)
{
    container_of(conn, struct link, conn)->opened = true;
}

static void on_mood(struct timer *timer)
{
    conn_read_pause(&container_of(timer, struct link, mood)->conn, false);
}

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    struct link *link = container_of(conn, struct link, conn);
    size_t used = len > link->keep ? len - link->keep : 0;
    buf_append(&link->got, span_of(bytes, used));
    link->seed = link->seed * 6364136223846793005u + 1442695040888963407u;
    if (link->moody && link->seed >> 62 == 0) {
        conn_read_pause(conn, true);
        timer_start(loop, &link->mood, link->seed >> 40 & 1023);
    }
    return used;
}

static void on_drained(struct conn *conn)
{
    container_of(conn, struct link, conn)->drained = true;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
    struct link *link = container_of(conn, struct link, conn);
    assert_false(link->closed);
    timer_stop(loop, &link->mood);
    link->closed = true;
    link->reason = reason;
    link->problem = *conn_tls_problem(conn);
}

const struct conn_events events = {
    .opened = on_opened, .received = on_received, .drained = on_drained, .closed = on_closed};

char *path_in_directory(const char *name)
{
    return mem_printf("%s/%s", directory, name);
}

int set_up_all(void **state)
{
    char template[] = P_tmpdir "/sennit-test-XXXXXX";
    directory = mem_text(span_str(mkdtemp(template)));
    ca = cert_ca("the test's CA");
    other_ca = cert_ca("another CA");
    good = cert_signed(&ca, "DNS:redis.test,IP:127.0.0.1", -60, DAY_S);
    expired = cert_signed(&ca, "DNS:redis.test", -2 * DAY_S, -DAY_S);
    ca_path = path_in_directory("ca.pem");
    other_ca_path = path_in_directory("other.pem");
    cert_path = path_in_directory("cert.pem");
    key_path = path_in_directory("key.pem");
    cert_write(&ca, ca_path);
    cert_write(&other_ca, other_ca_path);
    cert_write(&good, cert_path);
    cert_write_key(&good, key_path, NULL);
    return 0;
}

int tear_down_all(void **state)
{
    char *const paths[] = {ca_path, other_ca_path, cert_path, key_path};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        unlink(paths[i]);
        free(paths[i]);
    }
    rmdir(directory);
    free(directory);
    cert_finish(&ca);
    cert_finish(&other_ca);
    cert_finish(&good);
    cert_finish(&expired);
    return 0;
}

int set_up(void **state)
{
    struct err err;
    loop = loop_create(&err);
    net_init(&net, loop);
    limits = (struct conn_limits){.queue_bytes_max = 64 << 20, .input_bytes_max = 1 << 20};
    ours = (struct link){.seed = 7};
    timer_init(&ours.mood, on_mood);
    conn_init(&ours.conn, &net, &events, &limits);
    return 0;
}

int tear_down(void **state)
{
    conn_close(&ours.conn, CLOSE_DONE);
    net_reap(&net);
    tls_client_destroy(client);
    client = NULL;
    buf_finish(&ours.got);
    tls_peer_close(&peer);
    net_finish(&net);
    loop_destroy(loop);
    return 0;
}

void begin(const struct tls_client_options *options)
{
    struct err err = {{0}};
    struct addr addr;
    client = tls_client_create(options, &err);
    if (client == NULL)
        print_error("%s\n", err.text);
    assert_non_null(client);
    tls_peer_addr(&peer, &addr);
    conn_connect_tls(&ours.conn, &addr, client);
}

void try_it(const struct tls_client_options *options)
{
    begin(options);
    await(is_open);
    if (ours.closed)
        assert_false(ours.opened);
}

const struct tls_client_options *usual(void)
{
    static struct tls_client_options options;
    options = (struct tls_client_options){.name = "redis.test", .ca = ca_path};
    return &options;
}

bool peer_has_hello(void)
{
    return peer.received.len >= 5;
}

bool we_have_answer(void)
{
    return ours.got.len >= 6;
}

void say_hello(void)
{
    conn_send(&ours.conn, SPAN_LIT("hello"));
    await(peer_has_hello);
    assert_memory_equal(peer.received.data + peer.received.off, "hello", 5);
    buf_append(&peer.to_send, SPAN_LIT("answer"));
    tls_peer_step(&peer);
    await(we_have_answer);
    assert_memory_equal(ours.got.data, "answer", 6);
    assert_false(ours.closed);
}

void assert_refused(enum tls_fault fault, const char *text, int alert)
{
    await(is_closed);
    assert_int_equal(ours.reason, CLOSE_TLS_FAILED);
    assert_string_equal(ours.problem.text, text);
    assert_int_equal(ours.problem.fault, fault);
    await(a_moment_passed);
    assert_int_equal(peer.alert, alert);
}
