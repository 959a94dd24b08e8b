/* test_postgres_faults: what a Postgres server may do to its instances: crash, fail over, cut, refuse, keep them
 * waiting. What was accepted is not lost; what was lost is told; and the operator is told what to do. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "byte_proxy.h"
#include "instances.h"

/* A test that failed may have left it stopped. */
static int set_up(void **state)
{
    if (postgres.pid == 0)
        postgres_process_restart(&postgres);
    return instances_set_up(state);
}
#define FAULT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up, instances_tear_down)

static struct call *publish_number(struct instance *by, const char *room, int number)
{
    char body[16];
    snprintf(body, sizeof body, "%d", number);
    return publish(by, room, body);
}

static void publish_number_now(struct instance *by, const char *room, int number)
{
    struct call *call = publish_number(by, room, number);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
}

/* The room's log is these numbers, each once and in order. */
static void assert_log(struct instance *by, const char *room, int count)
{
    struct call *log = read_all(by, room);
    assert_int_equal(log->page.count, count);
    for (int i = 0; i < count; i++)
        assert_int_equal(number_of(log->page.entries[i].body), i);
}

static void *intruder;

static void intrude(const char *sql)
{
    char *text = mem_printf("SET search_path = %s; %s", instances_prefix(), sql);
    if (intruder == NULL)
        intruder = postgres_process_link(&postgres);
    PGresult *result = PQexec(intruder, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(intruder));
    PQclear(result);
    free(text);
}

static void intruder_leave(void)
{
    PQfinish(intruder);
    intruder = NULL;
}

/* Calls under way when the server ends are repeated when it is back: each is accepted once. */
static void a_crash_loses_nothing_that_was_accepted(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    int count = 0;
    subscribe_now(b, "r");
    for (int round = 0; round < 3; round++) {
        struct call *last = NULL;
        uint64_t seq;
        for (int i = 0; i < 40; i++, count++)
            last = publish_number(a, "r", count);
        if (round > 0)
            AWAIT_ANSWER(last);
        for (int i = 0; i < 20; i++, count++)
            last = publish_number(a, "r", count);
        seq = round > 0 ? read_all(a, "r")->page.last : 0;
        instances_turn();
        postgres_process_kill(&postgres);
        AWAIT(!a->up && !b->up);
        assert_true(instances_logged("the link to the broker broke"));
        postgres_process_restart(&postgres);
        AWAIT_WITHIN(15000, a->up && b->up);
        AWAIT_ANSWER(last);
        assert_int_equal(last->result, BROKER_OK);
        const struct told *up = told_last(b, TOLD_UP, "");
        assert_true(up->name.len > 0 && !span_equal(up->name, up->audience)); /* another epoch */
        assert_true(up->number >= seq);
        subscribe_now(b, "r");
    }
    assert_log(a, "r", count);
    publish_now(a, "r", "live");
    AWAIT(told_count(b, TOLD_PUSHED, "r") > 0 && span_equal(told_last(b, TOLD_PUSHED, "r")->body, SPAN_LIT("live")));
}

static enum broker_result lapsed_now(struct instance *by)
{
    struct call *call = lease_lapsed(by, "/chat");
    AWAIT_ANSWER(call);
    return call->result;
}

/* Beyond their lives. */
static void leases_age(void)
{
    postgres_ask(&postgres, "UPDATE \"%s\".lease SET until_ms = until_ms - 60000", instances_prefix());
}

/* Behind a crash nobody knows which owners live: each has a window to come back. */
static void a_crash_ends_no_watched_lease(void **state)
{
    enum { WINDOW_MS = 20000 };
    struct instance *a = instance_up("A"), *b = instance_up("B");
    struct broker_lease lease = {.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .watch = SPAN_LIT("/chat"),
                                 .generation = 1,
                                 .window_ms = WINDOW_MS};
    struct call *write = lease_write(a, &lease);
    AWAIT_ANSWER(write);
    leases_age();
    assert_int_equal(lapsed_now(b), BROKER_NONE); /* its owner lives */
    postgres_process_kill(&postgres);
    AWAIT(!a->up && !b->up);
    postgres_process_restart(&postgres);
    AWAIT_WITHIN(20000, a->up && b->up);
    assert_int_equal(lapsed_now(b), BROKER_NONE);
    write = lease_write(a, &lease);
    AWAIT_ANSWER(write);
    assert_int_equal(write->result, BROKER_OK);
    leases_age();
    assert_int_equal(lapsed_now(b), BROKER_NONE);
    instance_destroy(a);
    AWAIT_WITHIN(20000, lapsed_now(b) == BROKER_OK);
}

/* A server that ended in peace may have been restored meanwhile to an earlier state: nobody can tell. */
static void an_old_copy_is_another_epoch(void **state)
{
    struct instance *a = instance_up("A");
    for (int i = 0; i < 3; i++)
        publish_now(a, "r", "x");
    char *old = mem_text(span_str(a->epoch));
    postgres_process_kill(&postgres);
    AWAIT(!a->up);
    postgres_process_restart(&postgres);
    postgres_ask(&postgres, "UPDATE %s.state SET seq = 2", instances_prefix()); /* behind its log */
    postgres_ask(&postgres, "DELETE FROM %s.log WHERE seq = 3", instances_prefix());
    AWAIT_WITHIN(15000, a->up);
    assert_int_equal(told_last(a, TOLD_UP, "")->number, 3); /* its room knows of a third one */
    publish_now(a, "r", "y");
    assert_int_equal(read_all(a, "r")->page.last, 4);
    struct call *page =
        read_range(a, SPAN_LIT("r"), &(struct broker_range){.epoch = span_str(old), .seq = 7, .limit = 10});
    AWAIT_ANSWER(page);
    assert_true(page->page.clipped);
    free(old);
}

/* A replica that lags takes over: what it had not got is gone, and its instances are told up to where all survived. */
static void a_failover_tells_what_was_lost(void **state)
{
    static struct postgres_process primary, replica;
    char url[128];
    postgres_process_start(&primary, (const char *const[]){"synchronous_commit=off", "wal_level=replica", NULL});
    postgres_process_schema(&primary, instances_prefix(), NULL);
    postgres_process_follow(&replica, &primary);
    snprintf(url, sizeof url, "postgres://sennit@127.0.0.1:%u,127.0.0.1:%u/postgres", primary.port, replica.port);
    struct instance *a = instance_open_at("A", url), *b = instance_open_at("B", url);
    AWAIT(a->up && b->up);
    subscribe_now(b, "r");
    for (int i = 0; i < 5; i++)
        publish_number_now(a, "r", i);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 5);
    postgres_ask(&primary, "SELECT pg_switch_wal()");
    AWAIT_WITHIN(10000, postgres_ask_number(&replica, "SELECT count(*) FROM %s.log", instances_prefix()) == 5);
    postgres_ask(&replica, "ALTER SYSTEM SET primary_conninfo = ''");
    postgres_ask(&replica, "SELECT pg_reload_conf()");
    AWAIT_WITHIN(10000, postgres_ask_number(&replica, "SELECT count(*) FROM pg_stat_wal_receiver") == 0);
    for (int i = 5; i < 8; i++)
        publish_number_now(a, "r", i);
    AWAIT(told_count(b, TOLD_PUSHED, "r") == 8);
    assert_int_equal(told_last(b, TOLD_PUSHED, "r")->number, 8);
    postgres_process_kill(&primary);
    AWAIT(!a->up && !b->up);
    AWAIT_WITHIN(10000, instances_logged("a replica, or read-only")); /* it is tried, and passed over */
    postgres_ask(&replica, "SELECT pg_promote()");
    AWAIT_WITHIN(15000, a->up && b->up);
    assert_int_equal(told_last(b, TOLD_UP, "")->number, 5);
    assert_log(a, "r", 5);
    publish_number_now(a, "r", 5);
    assert_log(b, "r", 6);
    instance_destroy(a);
    instance_destroy(b);
    postgres_process_finish(&replica);
    postgres_process_finish(&primary);
}

/* The server ends connections one by one, as an administrator or a limit of the host does. */
static void connections_are_cut(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    int count = 0;
    struct call *last = NULL;
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < 30; i++, count++)
            last = publish_number(a, "r", count);
        for (int i = 0; i < round; i++)
            instances_turn();
        postgres_ask(&postgres,
                     "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = '%s'",
                     round % 2 == 0 ? "sennit A" : "sennit B");
        AWAIT(!(round % 2 == 0 ? a : b)->up);
        AWAIT(a->up && b->up);
        AWAIT_ANSWER(last);
        assert_string_equal(a->epoch, b->epoch);
    }
    assert_int_equal(told_last(a, TOLD_UP, "")->name.len, 0); /* the same epoch */
    assert_log(b, "r", count);
}

/* The answer is cut off: was it accepted? */
static void an_answer_is_cut(void **state)
{
    struct byte_proxy *proxy;
    struct instance *a = instance_up_behind("A", &proxy);
    int count = 0;
    for (long long after = 0; after < 220; after += 20) {
        instances_run(5);
        proxy->cut_after[PROXY_COMMANDS] = after;
        for (int i = 0; i < 3; i++)
            publish_number(a, "r", count++);
        struct call *last = publish_number(a, "r", count++);
        AWAIT(proxy->cuts > 0);
        proxy->cuts = 0;
        AWAIT(a->up);
        AWAIT_ANSWER(last);
        assert_int_equal(last->result, BROKER_OK);
    }
    assert_log(a, "r", count);
}

/* Somebody opens a transaction, locks the counter, and goes to lunch. */
static void an_intruder_holds_the_counter(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    subscribe_now(b, "r");
    publish_number_now(a, "r", 0);
    intrude("BEGIN; SELECT * FROM state FOR UPDATE");
    struct call *first = publish_number(a, "r", 1), *last = publish_number(a, "r", 2);
    AWAIT(broker_trouble(a->broker) != NULL &&
          strstr(broker_trouble(a->broker), "the counter row is locked by process") != NULL);
    char cure[64];
    snprintf(cure, sizeof cure, "SELECT pg_terminate_backend(%d)", PQbackendPID(intruder));
    assert_non_null(strstr(broker_trouble(a->broker), cure));
    assert_true(instances_logged("this instance is not ready"));
    instances_run(500);
    assert_int_equal(first->answers + last->answers, 0);
    postgres_ask(&postgres, "%s", cure);
    AWAIT_WITHIN(10000, first->answers > 0 && last->answers > 0 && a->up && b->up);
    assert_log(a, "r", 3);
    AWAIT_WITHIN(10000, broker_trouble(a->broker) == NULL);
    assert_true(instances_logged("the broker can be relied on again"));
    intruder_leave();
}

/* Raises this error for each logged entry, as the server does on a full disk, and then no more. */
static void refused_with(const char *code, const char *expected)
{
    struct instance *a = instance_up("A");
    publish_number_now(a, "r", 0);
    postgres_ask(&postgres,
                 "SET search_path = %s; CREATE OR REPLACE FUNCTION deny() RETURNS trigger LANGUAGE plpgsql AS "
                 "$$ BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = '%s'; END $$; "
                 "CREATE TRIGGER deny BEFORE INSERT ON log EXECUTE FUNCTION deny()",
                 instances_prefix(), code);
    struct call *call = publish_number(a, "r", 1);
    AWAIT(broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), expected));
    instances_run(600);
    assert_int_equal(call->answers, 0);
    postgres_ask(&postgres, "SET search_path = %s; DROP TRIGGER deny ON log", instances_prefix());
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_log(a, "r", 2);
    AWAIT(broker_trouble(a->broker) == NULL);
    instance_destroy(a);
}

static void a_full_disk_is_waited_for(void **state)
{
    refused_with("53100", "the disk of Postgres is full");
}

static void a_cancelled_statement_is_tried_again(void **state)
{
    refused_with("57014", "statement_timeout");
}

/* A role's statement_timeout ends what waits for the counter. */
static void a_statement_timeout_is_told(void **state)
{
    postgres_ask(&postgres, "ALTER ROLE sennit SET statement_timeout = '300ms'");
    struct instance *a = instance_up("A");
    postgres_ask(&postgres, "ALTER ROLE sennit RESET statement_timeout");
    intrude("SET statement_timeout = 0; BEGIN; SELECT * FROM state FOR UPDATE");
    struct call *call = publish_number(a, "r", 0);
    AWAIT(broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "is statement_timeout of this role below 5s?"));
    intrude("COMMIT");
    AWAIT_ANSWER(call);
    AWAIT(a->up);
    assert_log(a, "r", 1);
    intruder_leave();
}

static void assert_unusable(const char *url, const char *cure)
{
    struct instance *a = instance_open_at("A", url);
    AWAIT(told_count(a, TOLD_UNUSABLE, "") == 1);
    struct span why = told_at(a, TOLD_UNUSABLE, "", 0)->name;
    if (memmem(why.data, why.len, cure, strlen(cure)) == NULL)
        fail_msg("it says " SPAN_FMT, SPAN_ARG(why));
    assert_false(a->up);
    instance_destroy(a);
}

static void what_only_an_operator_can_mend_is_said(void **state)
{
    char url[128];
    struct instance *a = instance_up("A"); /* makes the schema */
    instance_destroy(a);
    snprintf(url, sizeof url, "postgres://sennit@127.0.0.1:%u/nowhere", postgres.port);
    assert_unusable(url, "correct its name in the URL");
    snprintf(url, sizeof url, "postgres://nobody@127.0.0.1:%u/postgres", postgres.port);
    assert_unusable(url, "look at pg_hba.conf, and at the role in the URL");
    postgres_ask(&postgres, "CREATE ROLE bare LOGIN");
    snprintf(url, sizeof url, "postgres://bare@127.0.0.1:%u/postgres", postgres.port);
    assert_unusable(url, "sennit schema postgres --role ROLE");
    postgres_ask(&postgres, "DROP FUNCTION %s.stats(), %s.open(text, text, text, text, text, bigint, int)",
                 instances_prefix(), instances_prefix());
    assert_unusable(instances_url(postgres.port), "a function of the schema is missing");
    postgres_ask(&postgres, "DROP SCHEMA %s CASCADE", instances_prefix());
    assert_unusable(instances_url(postgres.port), "the schema is missing: run `sennit schema postgres | psql URL`");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        FAULT_TEST(a_crash_loses_nothing_that_was_accepted),
        FAULT_TEST(a_crash_ends_no_watched_lease),
        FAULT_TEST(an_old_copy_is_another_epoch),
        FAULT_TEST(a_failover_tells_what_was_lost),
        FAULT_TEST(connections_are_cut),
        FAULT_TEST(an_answer_is_cut),
        FAULT_TEST(an_intruder_holds_the_counter),
        FAULT_TEST(a_full_disk_is_waited_for),
        FAULT_TEST(a_cancelled_statement_is_tried_again),
        FAULT_TEST(a_statement_timeout_is_told),
        FAULT_TEST(what_only_an_operator_can_mend_is_said),
    };
    return instances_main(argc, argv, "broker/postgres_faults", tests, sizeof tests / sizeof tests[0], NULL);
}
