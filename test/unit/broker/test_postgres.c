/* test_postgres: what is Postgres' own: the counter that is no sequence, its notifications and the polls without them,
 * its trimmed entries, the rights of a role, and the versions of the schema. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "broker/postgres_parts.h"
#include "broker/postgres_schema.h"
#include "instances.h"

static const char *sql(PGconn *link, const char *text)
{
    static char said[256];
    PGresult *result = PQexec(link, text);
    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK)
        fail_msg("%s", PQerrorMessage(link));
    snprintf(said, sizeof said, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return said;
}

/* Why the counter is a row. Two writers: the first takes its number first and commits last. With a sequence, a reader
 * that polls between the two commits sees 2, goes on behind it, and never gets 1. With the row, the second waits. */
static void a_sequence_would_lose_entries(void **state)
{
    PGconn *a = postgres_process_link(&postgres), *b = postgres_process_link(&postgres);
    sql(a, "CREATE SCHEMA counterexample; CREATE SEQUENCE counterexample.number;"
           "CREATE TABLE counterexample.log (seq bigint)");
    sql(a, "BEGIN; INSERT INTO counterexample.log VALUES (nextval('counterexample.number'))");
    sql(b, "INSERT INTO counterexample.log VALUES (nextval('counterexample.number'))");
    assert_string_equal(sql(b, "SELECT max(seq) FROM counterexample.log"), "2"); /* the reader goes on from there */
    sql(a, "COMMIT");
    assert_string_equal(sql(b, "SELECT count(*) FROM counterexample.log WHERE seq > 2"), "0"); /* 1 is lost */
    sql(a, "CREATE TABLE counterexample.counter (seq bigint); INSERT INTO counterexample.counter VALUES (2)");
    sql(a, "BEGIN; UPDATE counterexample.counter SET seq = seq + 1");
    PGresult *late = PQexec(b, "SET lock_timeout = '50ms'; UPDATE counterexample.counter SET seq = seq + 1");
    assert_string_equal(PQresultErrorField(late, PG_DIAG_SQLSTATE), "55P03"); /* it gets no number before */
    PQclear(late);
    sql(a, "COMMIT; DROP SCHEMA counterexample CASCADE");
    PQfinish(a);
    PQfinish(b);
}

/* A publish that has its number and is not committed: who polls meanwhile does not go past it. */
static void a_slow_commit_is_waited_for(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    char *lock = mem_printf("SET search_path = %s; BEGIN; SELECT pg_advisory_lock(77)", instances_prefix());
    PGconn *holder = postgres_process_link(&postgres);
    subscribe_now(b, "r");
    /* The first entry waits behind its number, before its commit, as long as the lock is held. */
    postgres_ask(&postgres,
                 "SET search_path = %s; CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
                 "IF NEW.body = 'slow' THEN PERFORM pg_advisory_xact_lock(77); END IF; RETURN NEW; END $$; "
                 "CREATE TRIGGER dawdle AFTER INSERT ON log FOR EACH ROW EXECUTE FUNCTION dawdle()",
                 instances_prefix());
    sql(holder, lock);
    struct call *slow = publish(a, "r", "slow");
    instances_run(200);
    struct call *quick = publish(b, "r", "quick");
    instances_run(200);
    assert_int_equal(slow->answers + quick->answers, 0);
    assert_int_equal(told_count(b, TOLD_PUSHED, "r"), 0);
    sql(holder, "SELECT pg_advisory_unlock(77); COMMIT");
    AWAIT(slow->answers > 0 && quick->answers > 0 && told_count(b, TOLD_PUSHED, "r") == 2);
    assert_span(told_at(b, TOLD_PUSHED, "r", 0)->body, "slow");
    PQfinish(holder);
    free(lock);
}

/* Notified, an instance polls at once; the polls that it makes by itself are a second apart. */
static void notifications_wake(void **state)
{
    struct instance *a = instance_up("A"), *b = instance_up("B");
    uint64_t began_ms, slowest_ms = 0;
    subscribe_now(b, "r");
    for (size_t i = 1; i <= 10; i++) {
        instances_run(20);
        began_ms = now_ms();
        uint64_t stalled = instances_stalled_ms();
        publish(a, "r", "x");
        AWAIT(told_count(b, TOLD_PUSHED, "r") == i);
        uint64_t ms = now_ms() - began_ms - (instances_stalled_ms() - stalled);
        slowest_ms = ms > slowest_ms ? ms : slowest_ms;
    }
    assert_in_range(slowest_ms, 0, 150);
    assert_false(instances_logged("so this instance polls"));
}

/* A pooler that works by transaction lets none through. The instances find that out, say it, and poll. */
static void without_notifications_it_polls(void **state)
{
    struct instance *a, *b;
    instance_destroy(instance_up("first")); /* makes the schema */
    postgres_ask(&postgres, "CREATE OR REPLACE FUNCTION %s.wake() RETURNS void LANGUAGE sql AS ''", instances_prefix());
    char url[128];
    snprintf(url, sizeof url, "%s?poll=50ms", instances_url(postgres.port));
    a = instance_open_at("A", url);
    b = instance_open_at("B", url);
    AWAIT(a->up && b->up);
    subscribe_now(b, "r");
    for (size_t i = 1; i <= 8; i++) {
        publish_now(a, "r", "x");
        uint64_t began_ms = now_ms(), stalled = instances_stalled_ms();
        AWAIT(told_count(b, TOLD_PUSHED, "r") == i);
        assert_in_range(now_ms() - began_ms - (instances_stalled_ms() - stalled), 0, 400);
    }
    assert_true(instances_logged("Postgres sends no notifications, so this instance polls"));
    assert_true(instances_logged("poll_ms=50"));
}

/* Behind a pooler there is one: `destroy` of the kind pgbouncer shows what happens else. */
static void several_calls_are_under_way(void **state)
{
    struct instance *a = instance_up("A");
    const struct postgres_broker *broker = postgres_of(a->broker);
    for (int i = 0; i < 3; i++)
        read_range(a, SPAN_LIT("r"), &(struct broker_range){.limit = 1});
    instances_turn();
    assert_true(broker->calls.sent_count >= 2);
    char url[128];
    if (!pgbouncer_process_is_installed())
        return;
    pgbouncer_process_start(&pgbouncer, postgres.port);
    snprintf(url, sizeof url, "%s", instances_url(pgbouncer.port));
    struct instance *b = instance_open_at("B", url);
    AWAIT(b->up);
    for (int i = 0; i < 3; i++)
        read_range(b, SPAN_LIT("r"), &(struct broker_range){.limit = 1});
    instances_turn();
    assert_int_equal(postgres_of(b->broker)->calls.sent_count, 1);
    assert_int_equal(
        postgres_ask_number(&postgres, "SELECT backend FROM %s.life WHERE instance = 'B'", instances_prefix()), 0);
    instance_destroy(b);
    pgbouncer_process_finish(&pgbouncer);
}

static void it_need_not_listen(void **state)
{
    char url[128];
    instance_destroy(instance_up("first"));
    snprintf(url, sizeof url, "%s?listen=off&poll=20ms", instances_url(postgres.port));
    struct instance *a = instance_open_at("A", url);
    AWAIT(a->up);
    subscribe_now(a, "r");
    publish_now(a, "r", "x");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    assert_int_equal(
        postgres_ask_number(&postgres, "SELECT backend FROM %s.life WHERE instance = 'A'", instances_prefix()), 0);
}

/* What a room trims in the transaction in which it came is pushed all the same, and gone for those who read. */
static void trimmed_entries_are_pushed_first(void **state)
{
    static const struct broker_retention two = {.entries_max = 2, .bytes_max = 1 << 20, .age_ms_max = 60000};
    struct instance *a = instance_up("A");
    struct call *last = NULL;
    subscribe_now(a, "r");
    for (int i = 0; i < 100; i++)
        last = publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = SPAN_LIT("x")}, &two);
    AWAIT_ANSWER(last);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 100);
    assert_in_range(read_all(a, "r")->page.count, 2, 3);
    assert_int_equal(postgres_ask_number(&postgres, "SELECT count(*) FROM %s.log", instances_prefix()), 100);
    /* A minute later they are deleted. */
    postgres_ask(&postgres, "UPDATE %s.log SET time_ms = time_ms - 59999 WHERE seq < 90", instances_prefix());
    AWAIT(postgres_ask_number(&postgres, "SELECT count(*) FROM %s.log", instances_prefix()) <= 12);
    assert_in_range(read_all(a, "r")->page.count, 2, 3);
    assert_int_equal(postgres_ask_number(&postgres, "SELECT bytes FROM %s.state", instances_prefix()),
                     (long long)(read_all(a, "r")->page.count * (1 + BROKER_ENTRY_BYTES)));
}

/* Any order of the rooms and functions that a role needs, and nothing more: it reads and writes no table. */
static void a_role_may_only_call(void **state)
{
    char url[128];
    postgres_ask(&postgres, "CREATE ROLE owner LOGIN; CREATE ROLE member LOGIN; CREATE ROLE stranger LOGIN");
    postgres_ask(&postgres, "CREATE DATABASE lent OWNER owner");
    struct buf script = {0};
    postgres_schema_print(&script, "lent", "member");
    buf_append_char(&script, '\0');
    snprintf(url, sizeof url, "postgres://owner@127.0.0.1:%u/lent", postgres.port);
    PGconn *owner = PQconnectdb(url); /* no superuser */
    sql(owner, buf_span(&script).data);
    sql(owner, buf_span(&script).data); /* again: nothing changes */
    buf_finish(&script);
    instances_use_prefix("lent");
    snprintf(url, sizeof url, "postgres://member@127.0.0.1:%u/lent", postgres.port);
    struct instance *a = instance_open_at("A", url);
    AWAIT(a->up);
    subscribe_now(a, "r");
    publish_now(a, "r", "x");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    enter(a, "r", "x");
    AWAIT(told_count(a, TOLD_ENTERED, "r") == 1);
    assert_int_equal(read_all(a, "r")->page.count, 1);
    struct call *figures = stats(a);
    AWAIT_ANSWER(figures);
    PGconn *member = PQconnectdb(url);
    snprintf(url, sizeof url, "postgres://stranger@127.0.0.1:%u/lent", postgres.port);
    PGconn *stranger = PQconnectdb(url);
    static const char *const denied[] = {"SELECT * FROM lent.log", "DELETE FROM lent.state",
                                         "SELECT lent.state_lock('x')", "CREATE TABLE lent.mine (a int)"};
    for (size_t i = 0; i < sizeof denied / sizeof denied[0]; i++) {
        PGresult *result = PQexec(member, denied[i]);
        assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42501");
        PQclear(result);
    }
    PGresult *result = PQexec(stranger, "SELECT lent.stats()");
    assert_string_equal(PQresultErrorField(result, PG_DIAG_SQLSTATE), "42501");
    PQclear(result);
    PQfinish(owner);
    PQfinish(member);
    PQfinish(stranger);
}

/* The tables of version 1 lacked what a watched lease needs; their rows stay. */
static void tables_of_version_1_go_on(void **state)
{
    const char *prefix = instances_prefix();
    struct broker_lease lease = {.pid = SPAN_LIT("pid"),
                                 .sid = SPAN_LIT("sid"),
                                 .watch = SPAN_LIT("/chat"),
                                 .generation = 1,
                                 .window_ms = 60000};
    struct instance *a = instance_up("A");
    struct call *call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    instance_destroy(a);
    postgres_ask(&postgres,
                 "ALTER TABLE \"%s\".lease DROP COLUMN watch, DROP COLUMN ended; "
                 "CREATE INDEX lease_until ON \"%s\".lease (until_ms); DELETE FROM \"%s\".version WHERE number = 2",
                 prefix, prefix, prefix);
    postgres_process_schema(&postgres, prefix, NULL);
    assert_int_equal(postgres_ask_number(&postgres, "SELECT max(number) FROM \"%s\".version", prefix), 2);
    a = instance_up("A");
    call = lease_take(a, "pid", 1);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    lease.generation = 2;
    call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    call = lease_end(a, &lease);
    AWAIT_ANSWER(call);
    call = lease_take(a, "pid", 1);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_SUPERSEDED);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_sequence_would_lose_entries),
        BROKER_TEST(a_slow_commit_is_waited_for),
        BROKER_TEST(notifications_wake),
        BROKER_TEST(without_notifications_it_polls),
        BROKER_TEST(several_calls_are_under_way),
        BROKER_TEST(it_need_not_listen),
        BROKER_TEST(trimmed_entries_are_pushed_first),
        BROKER_TEST(a_role_may_only_call),
        BROKER_TEST(tables_of_version_1_go_on),
    };
    return instances_main(argc, argv, "broker/postgres", tests, sizeof tests / sizeof tests[0], NULL);
}
