/* test_limits: the table of bounds: its defaults, how it is read, and what the sessions get of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "serve/limits.h"

static bool read_from(const char *text, struct serve_limits *limits, struct err *err)
{
    char *whole = mem_printf("{limits: %s}", text);
    struct yaml_node *node = yaml_parse("test.yaml", span_str(whole), err);
    assert_non_null(node);
    limits_init(limits);
    bool ok = limits_read(limits, node, err);
    yaml_destroy(node);
    free(whole);
    return ok;
}

static void test_reading(void **state)
{
    struct serve_limits limits;
    struct err err;
    assert_true(read_from("{connections: 500, request_bytes: 1MiB, head_timeout: 5s}", &limits, &err));
    assert_int_equal(limits.connections, 500);
    assert_int_equal(limits.request_bytes, 1 << 20);
    assert_int_equal(limits.head_timeout, 5000);
    assert_int_equal(limits.crowded_head_timeout, 3000);
    struct yaml_node *top = yaml_parse("test.yaml", SPAN_LIT("{ping_interval: 3s, max_payload: 2MB}"), &err);
    limits_init(&limits);
    assert_true(limits_read(&limits, top, &err));
    yaml_destroy(top);
    assert_int_equal(limits.ping_interval, 3000);
    assert_int_equal(limits.max_payload, 2000000);
    assert_true(limits.connections == LIMIT_DERIVED);
    assert_false(read_from("{ping_interval: 3s}", &limits, &err));
    assert_false(read_from("{queue_soft: 2MiB, queue_hard: 1MiB}", &limits, &err));
    assert_non_null(strstr(err.text, "limits: queue_soft is larger than queue_hard"));
    assert_false(read_from("{connections: 0}", &limits, &err));
    assert_non_null(strstr(err.text, "connections: expected a whole number from 1 to"));
    assert_false(read_from("{conections: 5}", &limits, &err));
    assert_non_null(strstr(err.text, "did you mean \"connections\""));
    assert_false(read_from("[5]", &limits, &err));
}

static void test_what_is_derived(void **state)
{
    struct serve_limits limits;
    struct err err;
    for (uint64_t allowed = 1; allowed < 200000; allowed += allowed / 3 + 1) {
        struct limits_files files = limits_files_share(allowed);
        assert_true(files.connections >= 1 && files.spare >= 1 && files.open >= 1);
        if (allowed >= 64)
            assert_true(files.connections + files.spare + files.open + 8 <= allowed);
        limits_init(&limits);
        assert_true(limits_derive(&limits, &files, false, 0, &err));
        assert_int_equal(limits.connections, files.connections);
        assert_int_equal(limits.connections_per_address, 2000);
        limits.connections = files.connections + 1;
        assert_false(limits_derive(&limits, &files, false, 0, &err));
        assert_non_null(strstr(err.text, "ulimit -n"));
    }
    struct limits_files files = limits_files_share(1024);
    limits_init(&limits);
    assert_true(limits_derive(&limits, &files, true, 0, &err));
    assert_int_equal(limits.connections_per_address, 0);
    assert_int_equal(limits.idle_timeout, limits.head_timeout);
    limits.idle_timeout = 123;
    limits.connections_per_address = 7;
    assert_true(limits_derive(&limits, &files, true, 0, &err));
    assert_int_equal(limits.connections_per_address, 7);
    assert_int_equal(limits.idle_timeout, 123);
    static const uint64_t held[][2] = {{1, 1}, {2, 1}, {4, 3}, {80, 60}, {1000, 750}};
    for (size_t i = 0; i < sizeof held / sizeof held[0]; i++) {
        limits.held_polls = LIMIT_DERIVED;
        assert_true(limits_derive(&limits, &files, true, held[i][0], &err));
        assert_int_equal(limits.held_polls, held[i][1]);
    }
    assert_true(limits_derive(&limits, &files, true, 8, &err));
    assert_int_equal(limits.held_polls, 750); /* as it was set */
}

/* Every row that is the sessions' reaches them, and the defaults are theirs. */
static void test_what_the_sessions_get(void **state)
{
    struct serve_limits limits;
    struct session_limits given = session_limits_default;
    limits_init(&limits);
    limits_give(&limits, &given);
    assert_memory_equal(&given, &session_limits_default, sizeof given);
    for (uint64_t i = 0; i < LIMITS_COUNT; i++)
        limits.values[i] = 1000 + i;
    limits_give(&limits, &given);
    assert_int_equal(given.nesting_max, 1000 + LIMIT_nesting);
    assert_int_equal(given.sockets_max, 1000 + LIMIT_namespaces_per_session);
    assert_int_equal(given.rooms_max, 1000 + LIMIT_rooms_per_socket);
    assert_int_equal(given.hub_rooms_max, 1000 + LIMIT_instance_rooms);
    assert_int_equal(given.calls_max, 1000 + LIMIT_calls);
    assert_int_equal(given.call_bytes_max, 1000 + LIMIT_call_bytes);
    assert_int_equal(given.call_bytes_total_max, 1000 + LIMIT_instance_call_bytes);
    assert_int_equal(given.unfinished_bytes_max, 1000 + LIMIT_unfinished_bytes);
    assert_int_equal(given.answer_bytes_total_max, 1000 + LIMIT_answer_bytes);
    assert_int_equal(given.lease_bytes_max, 1000 + LIMIT_lease_bytes);
    assert_int_equal(given.changes_burst, 1000 + LIMIT_changes_at_once);
    assert_int_equal(given.changes_per_second, 1000 + LIMIT_changes_per_second);
    assert_int_equal(given.ping_interval_ms, 1000 + LIMIT_ping_interval);
    assert_int_equal(given.ping_timeout_ms, 1000 + LIMIT_ping_timeout);
    assert_int_equal(given.connect_timeout_ms, 1000 + LIMIT_connect_timeout);
    assert_int_equal(given.upgrade_timeout_ms, 1000 + LIMIT_upgrade_timeout);
    assert_int_equal(given.payload_bytes_max, 1000 + LIMIT_max_payload);
    assert_int_equal(given.frames_max, 1000 + LIMIT_frames_per_message);
    assert_int_equal(given.queue_bytes_max, 1000 + LIMIT_queue_hard);
    assert_int_equal(given.slow_queue_bytes, 1000 + LIMIT_queue_soft);
    assert_int_equal(given.replay_queue_bytes, (1000 + LIMIT_queue_soft) / 4);
    assert_int_equal(given.messages.per_second, 1000 + LIMIT_messages_per_second);
    assert_int_equal(given.messages.at_once, 1000 + LIMIT_messages_at_once);
    assert_int_equal(given.address_messages.per_second, 1000 + LIMIT_messages_per_second_per_address);
    assert_int_equal(given.address_messages.at_once, 1000 + LIMIT_messages_at_once_per_address);
    assert_int_equal(given.address_connects.per_second, 1000 + LIMIT_connects_per_second_per_address);
    assert_int_equal(given.address_connects.at_once, 1000 + LIMIT_connects_at_once_per_address);
}

/* Every default is in its own range. */
static void test_the_defaults(void **state)
{
    static const struct {
        uint64_t fallback, least, most;
    } table[] = {
#define X(name, unit, fallback, least, most, what, beyond) {fallback, least, most},
        LIMITS(X)
#undef X
    };
    for (size_t i = 0; i < LIMITS_COUNT; i++)
        assert_true(table[i].fallback == LIMIT_DERIVED ||
                    (table[i].fallback >= table[i].least && table[i].fallback <= table[i].most));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_what_is_derived),
        cmocka_unit_test(test_what_the_sessions_get),
        cmocka_unit_test(test_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
