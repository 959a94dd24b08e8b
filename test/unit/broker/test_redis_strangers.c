/* test_redis_strangers: what listens at the broker's address and is not the Redis that it needs: another protocol, TLS
 * or the lack of it, a cluster, a Sentinel, a replica, a Redis that takes no strangers. At the start each is told with
 * its cure, once; what may pass by itself is tried again. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "../net/certs.h"
#include "base/mem.h"
#include "instances.h"
#include "net/conn.h"
#include "net/listener.h"

/* A server that says one thing, and ends the connection. */
struct talker {
    struct listener listener;
    const char *says;
    bool at_once; /* before it is asked */
    struct conn conns[32];
    int count;
};
static struct talker talker;

static const struct conn_limits limits = {.queue_bytes_max = 1 << 20, .input_bytes_max = 1 << 20};

static size_t on_received(struct conn *conn, char *bytes, size_t len)
{
    if (!talker.at_once && conn_is_open(conn)) {
        conn_send(conn, span_str(talker.says));
        conn_shutdown(conn, CLOSE_DONE, 100);
    }
    return len;
}

static void on_closed(struct conn *conn, enum close_reason reason)
{
}

static const struct conn_events events = {.received = on_received, .closed = on_closed};

static void on_accepted(struct listener *listener, struct io *io, const struct addr *peer)
{
    assert_true(talker.count < 32);
    struct conn *conn = &talker.conns[talker.count++];
    conn_init(conn, &net, &events, &limits);
    conn_adopt(conn, io, peer);
    if (talker.at_once) {
        conn_send(conn, span_str(talker.says));
        conn_shutdown(conn, CLOSE_DONE, 100);
    }
}

static const char *talker_open(const char *says, bool at_once)
{
    static char url[64];
    struct addr addr;
    struct err err;
    memset(&talker, 0, sizeof talker);
    talker.says = says;
    talker.at_once = at_once;
    assert_true(addr_from_ip(&addr, SPAN_LIT("127.0.0.1"), 0));
    assert_true(listener_open(&talker.listener, &net, &addr, on_accepted, &err));
    snprintf(url, sizeof url, "redis://127.0.0.1:%u", listener_port(&talker.listener));
    return url;
}

static void talker_close(void)
{
    listener_close(&talker.listener);
    for (int i = 0; i < talker.count; i++)
        conn_close(&talker.conns[i], CLOSE_DONE);
    instances_turn();
}

/* It is told that it cannot be used, and why. */
static void is_unusable(struct instance *a, const char *fault, const char *cure)
{
    char why[1024];
    AWAIT(told_count(a, TOLD_UNUSABLE, "") == 1);
    snprintf(why, sizeof why, SPAN_FMT, SPAN_ARG(told_at(a, TOLD_UNUSABLE, "", 0)->name));
    if (strstr(why, fault) == NULL || strstr(why, cure) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", why, fault, cure);
    instances_run(150);
    assert_int_equal(a->told_count, 1);
    assert_true(instances_logged(fault));
}

static void other_protocols_are_told(void **state)
{
    static const struct {
        const char *says;
        bool at_once;
        const char *fault, *cure;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", false, "HTTP server", "correct host and port"},
        {"SSH-2.0-OpenSSH_9.2\r\n", true, "SSH server", "correct host and port"},
        {"220 mail.example.com ESMTP\r\n", true, "mail or FTP server", "correct host and port"},
        {"\x15\x03\x01\x02\x02\x46", false, "speaks TLS", "rediss://"},
        {"-DENIED Redis is running in protected mode because\r\n", true, "DENIED", "set a password"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct instance *a = instance_open_at("A", talker_open(cases[i].says, cases[i].at_once));
        is_unusable(a, cases[i].fault, cases[i].cure);
        instance_destroy(a);
        talker_close();
    }
}

/* These may pass: the log has advice, and the broker goes on trying. */
static void what_may_pass_is_tried_again(void **state)
{
    static const struct {
        const char *says;
        bool at_once;
        const char *advice;
    } cases[] = {
        {"-ERR max number of clients reached\r\n", true, "raise its maxclients"},
        {"-LOADING Redis is loading the dataset in memory\r\n", false, "wait until it has"},
        {"-MISCONF Redis is configured to save RDB snapshots\r\n", false, "free space there"},
        {"-NOREPLICAS Not enough good replicas to write.\r\n", false, "min-replicas-to-write"},
        {"-CLUSTERDOWN Hash slot not served\r\n", false, "is down for now"},
        {"-READONLY You can't write against a read only replica.\r\n", false, "its primary"},
        {"garbage\r\n", false, "not Redis' protocol"},
        {"", false, "retrying"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct instance *a = instance_open_at("A", talker_open(cases[i].says, cases[i].at_once));
        AWAIT(talker.count >= 4);
        if (!instances_logged(cases[i].advice))
            fail_msg("the log has no \"%s\"", cases[i].advice);
        assert_int_equal(a->told_count, 0);
        instance_destroy(a);
        talker_close();
    }
}

static struct redis_process other;

/* Another redis-server, with these options, in the place of the first. */
static const char *other_open(const char *const *options, const char *scheme, uint16_t port)
{
    static char url[64];
    redis_process_start(&other, options);
    snprintf(url, sizeof url, "%s://127.0.0.1:%u", scheme, port != 0 ? port : other.port);
    return url;
}

static uint16_t free_port(void)
{
    struct listener listener = {0};
    struct addr addr;
    struct err err;
    assert_true(addr_from_ip(&addr, SPAN_LIT("127.0.0.1"), 0));
    io_init(&listener.io, loop, NULL);
    assert_true(listener_open(&listener, &net, &addr, on_accepted, &err));
    uint16_t port = listener_port(&listener);
    listener_close(&listener);
    return port;
}

static void a_cluster_is_waited_for(void **state)
{
    char bus[8], with_db[80];
    snprintf(bus, sizeof bus, "%u", free_port()); /* else it is the port plus 10000, which may be none */
    const char *const options[] = {"--cluster-enabled", "yes", "--cluster-port", bus, NULL};
    const char *url = other_open(options, "redis", 0);
    struct instance *a = instance_open_at("A", url);
    AWAIT(instances_logged("is down for now"));
    redis_ask(&other, "CLUSTER", "ADDSLOTSRANGE", "0", "16383", NULL);
    AWAIT(told_count(a, TOLD_UP, "") == 1);
    snprintf(with_db, sizeof with_db, "%s/1", url);
    struct instance *b = instance_open_at("B", with_db);
    is_unusable(b, "SELECT", "leave the number out of REDIS_URL");
    redis_process_finish(&other);
}

static void a_moved_slot_is_followed(void **state)
{
    static char says[64];
    const char *const options[] = {NULL};
    other_open(options, "redis", 0);
    snprintf(says, sizeof says, "-MOVED 13907 127.0.0.1:%u\r\n", other.port);
    struct instance *a = instance_open_at("A", talker_open(says, false));
    AWAIT(told_count(a, TOLD_UP, "") == 1);
    assert_true(instances_logged("another node of the cluster has our slot"));
    instance_destroy(a);
    talker_close();
    redis_process_finish(&other);
}

/* INFO's answer of a server of this mode and role, with what follows it. Valkey writes `server_mode` where Redis writes
 * `redis_mode`. The caller frees it. */
static char *info_text(const char *field, const char *mode, const char *role, const char *next)
{
    char *info = mem_printf(
        "# Server\r\nredis_version:7.2.4\r\n%s:%s\r\nrun_id:0123456789\r\nrole:%s\r\nmaster_host:127.0.0.1\r\n", field,
        mode, role);
    char *text = mem_printf("$%zu\r\n%s\r\n%s", strlen(info), info, next);
    free(info);
    return text;
}

static const char *const mode_fields[] = {"redis_mode", "server_mode"};

static void a_sentinel_is_told(void **state)
{
    for (int i = 0; i < 2; i++) {
        char *text = info_text(mode_fields[i], "sentinel", "master", "");
        struct instance *a = instance_open_at("A", talker_open(text, false));
        is_unusable(a, "Sentinel", "redis+sentinel://HOST:PORT/NAME");
        instance_destroy(a);
        talker_close();
        free(text);
    }
}

/* A replica of a cluster names the primary of our slot, so it is no fault to be given one. */
static void a_replica_of_a_cluster_names_its_primary(void **state)
{
    char moved[64];
    const char *const options[] = {NULL};
    other_open(options, "redis", 0);
    snprintf(moved, sizeof moved, "-MOVED 13907 127.0.0.1:%u\r\n", other.port);
    for (int i = 0; i < 2; i++) {
        char *text = info_text(mode_fields[i], "cluster", "slave", moved);
        struct instance *a = instance_open_at("A", talker_open(text, false));
        AWAIT(told_count(a, TOLD_UP, "") == 1);
        assert_int_equal(told_count(a, TOLD_UNUSABLE, ""), 0);
        instance_destroy(a);
        talker_close();
        free(text);
    }
    redis_process_finish(&other);
}

static void a_replica_is_told(void **state)
{
    redis_ask(&redis, "REPLICAOF", "127.0.0.1", "1", NULL);
    struct instance *a = instance_open("A");
    is_unusable(a, "READONLY", "its primary is 127.0.0.1:1");
    redis_ask(&redis, "REPLICAOF", "NO", "ONE", NULL);
    instance_up("B");
}

/* A real Redis cuts a plain connection to its TLS port without a word. */
static void tls_and_plain_are_told_apart(void **state)
{
    char tls_port[8], cert_path[] = "/tmp/sennit-cert-XXXXXX", key_path[] = "/tmp/sennit-key-XXXXXX";
    close(mkstemp(cert_path));
    close(mkstemp(key_path));
    struct cert ca = cert_ca("ca"), cert = cert_signed(&ca, "IP:127.0.0.1", -60, 3600);
    cert_write(&cert, cert_path);
    cert_write_key(&cert, key_path, NULL);
    uint16_t port = free_port();
    snprintf(tls_port, sizeof tls_port, "%u", port);
    const char *const options[] = {
        "--tls-port", tls_port, "--tls-cert-file", cert_path, "--tls-key-file", key_path, "--tls-ca-cert-file",
        cert_path,    NULL};
    struct instance *a = instance_open_at("A", other_open(options, "redis", port));
    is_unusable(a, "speaks TLS", "rediss://");
    char url[64];
    snprintf(url, sizeof url, "rediss://127.0.0.1:%u?verify=no", redis.port);
    struct instance *b = instance_open_at("B", url);
    is_unusable(b, "does not speak TLS", "redis://");
    redis_process_finish(&other);
    unlink(cert_path);
    unlink(key_path);
    cert_finish(&cert);
    cert_finish(&ca);
}

/* While it runs: the instance is not ready, the trouble says why, and it goes on once that is mended. */
static void later_it_is_a_trouble_with_its_cure(void **state)
{
    char url[96];
    redis_ask(&redis, "ACL", "SETUSER", "u", "reset", "on", ">p", "+@all", "allkeys", "&*", NULL);
    snprintf(url, sizeof url, "redis://u:p@127.0.0.1:%u", redis.port);
    struct instance *a = instance_open_at("A", url);
    AWAIT(a->up);
    redis_ask(&redis, "ACL", "SETUSER", "u", "-xadd", NULL);
    struct call *call = publish(a, "r", "x");
    AWAIT(!a->up && broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "XADD"));
    assert_non_null(strstr(broker_trouble(a->broker), "docs/serve.md"));
    assert_int_equal(call->result, BROKER_SPOILED); /* the first one; the next ones wait */
    call = publish(a, "r", "x");
    instances_run(50);
    assert_int_equal(call->answers, 0);
    redis_ask(&redis, "ACL", "SETUSER", "u", "+xadd", NULL);
    AWAIT(a->up);
    assert_null(broker_trouble(a->broker));
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    redis_ask(&redis, "REPLICAOF", "127.0.0.1", "1", NULL);
    call = publish(a, "r", "y");
    AWAIT(!a->up && broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "replica"));
    redis_ask(&redis, "REPLICAOF", "NO", "ONE", NULL);
    AWAIT(a->up);
    AWAIT_ANSWER(call);
    assert_null(broker_trouble(a->broker));
    redis_ask(&redis, "ACL", "DELUSER", "u", NULL);
    AWAIT(!a->up && broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "WRONGPASS"));
    assert_int_equal(told_count(a, TOLD_UNUSABLE, ""), 0);
}

int main(int argc, char **argv)
{
#define STRANGER_TEST(name) cmocka_unit_test_setup_teardown(name, instances_set_up_mended, instances_tear_down)
    const struct CMUnitTest tests[] = {
        STRANGER_TEST(other_protocols_are_told),
        STRANGER_TEST(what_may_pass_is_tried_again),
        STRANGER_TEST(a_cluster_is_waited_for),
        STRANGER_TEST(a_moved_slot_is_followed),
        STRANGER_TEST(a_sentinel_is_told),
        STRANGER_TEST(a_replica_is_told),
        STRANGER_TEST(a_replica_of_a_cluster_names_its_primary),
        STRANGER_TEST(tls_and_plain_are_told_apart),
        STRANGER_TEST(later_it_is_a_trouble_with_its_cure),
    };
    return instances_main(argc, argv, "broker/redis_strangers", tests, sizeof tests / sizeof tests[0], NULL);
}
