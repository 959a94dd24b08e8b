/* test_file: what the broker on disk keeps when its process ends, however it ends, and what it says when it cannot. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "broker/file.h"
#include "instances.h"

static const char *path_of(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", instances_directory(), name);
    return path;
}

/* What another program finds in the file; nobody owns it now. */
static int64_t in_file(const char *sql)
{
    sqlite3 *database;
    sqlite3_stmt *row;
    assert_int_equal(sqlite3_open(path_of("sennit.db"), &database), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(database, sql, -1, &row, NULL), SQLITE_OK);
    int64_t value = sqlite3_step(row) == SQLITE_ROW ? sqlite3_column_int64(row, 0) : -1;
    sqlite3_finalize(row);
    sqlite3_close(database);
    return value;
}

static const struct broker_retention few = {.entries_max = 3, .bytes_max = 1 << 20, .age_ms_max = 3600000};

static struct broker_lease lease_of(const char *pid, uint64_t generation, uint64_t window_ms)
{
    return (struct broker_lease){
        .pid = span_str(pid),
        .sid = SPAN_LIT("sid"),
        .own = SPAN_LIT("@sid"),
        .rooms = SPAN_LIT("rooms"),
        .data = SPAN_LIT("\0data"),
        .generation = generation,
        .window_ms = window_ms,
    };
}

static struct instance *again(struct instance *before)
{
    instance_destroy(before);
    return instance_up("again");
}

static struct call *named(struct instance *by, const char *body)
{
    struct broker_publish what = {.room = SPAN_LIT("n"), .body = span_str(body), .id = SPAN_LIT("name")};
    struct call *call = publish_with(by, &what, NULL);
    AWAIT_ANSWER(call);
    return call;
}

static void a_log_goes_on(void **state)
{
    struct instance *a = instance_up("A");
    struct broker_publish what = {.room = SPAN_LIT("\0r"), .audience = SPAN_LIT("a\0b"), .body = SPAN_LIT("")};
    struct call *call = publish_with(a, &what, NULL);
    AWAIT_ANSWER(call);
    publish_now(a, "r", "1");
    publish_now(a, "r", "2");
    for (int i = 0; i < 2; i++) {
        a = again(a);
        struct call *log = read_all(a, "r");
        assert_int_equal(log->page.count, 2 + i);
        assert_int_equal(log->page.position, 3 + i);
        assert_int_equal(log->page.last, log->page.position);
        assert_span(log->page.entries[1].body, "2");
        assert_int_equal(log->page.entries[1].prev, 2);
        subscribe_now(a, "r");
        publish_now(a, "r", "3");
        AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
        assert_int_equal(told_at(a, TOLD_PUSHED, "r", 0)->number, 4 + i);
        assert_int_equal(told_at(a, TOLD_PUSHED, "r", 0)->second, 3 + i);
    }
    struct call *log = read_range(a, SPAN_LIT("\0r"), &(struct broker_range){.limit = 10});
    AWAIT_ANSWER(log);
    assert_int_equal(log->page.count, 1);
    assert_true(span_equal(log->page.entries[0].audience, SPAN_LIT("a\0b")));
    assert_int_equal(log->page.entries[0].body.len, 0);
}

/* Trimmed entries do not come back, and a room knows its newest entry even when the log is empty. */
static void what_was_trimmed_stays_away(void **state)
{
    struct instance *a = instance_up("A");
    const struct broker_retention brief = {.entries_max = 100, .bytes_max = 1 << 20, .age_ms_max = 1000};
    for (int i = 0; i < 10; i++) {
        struct call *call =
            publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = SPAN_LIT("x")}, &few);
        AWAIT_ANSWER(call);
    }
    struct call *call = publish_with(a, &(struct broker_publish){.room = SPAN_LIT("b"), .body = SPAN_LIT("x")}, &brief);
    AWAIT_ANSWER(call);
    instances_run(1100);
    assert_int_equal(read_all(a, "b")->page.count, 0);
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    a = again(a);
    struct call *log = read_all(a, "r");
    assert_int_equal(log->page.count, 3);
    assert_int_equal(log->page.entries[0].seq, 8);
    log = read_all(a, "b");
    assert_int_equal(log->page.count, 0);
    assert_int_equal(log->page.last, 11);
    struct call *said = stats(a);
    AWAIT_ANSWER(said);
    assert_int_equal(said->stats.memory_bytes, 3 * (1 + BROKER_ENTRY_BYTES));
    instance_destroy(a);
    assert_int_equal(in_file("SELECT count(*) FROM entries"), 3);
}

static void an_age_goes_on(void **state)
{
    struct instance *a = instance_up("A");
    const struct broker_retention brief = {.entries_max = 100, .bytes_max = 1 << 20, .age_ms_max = 1500};
    publish_now(a, "r", "kept");
    struct call *call = publish_with(a, &(struct broker_publish){.room = SPAN_LIT("r"), .body = SPAN_LIT("x")}, &brief);
    AWAIT_ANSWER(call);
    a = again(a);
    assert_int_equal(read_all(a, "r")->page.count, 2);
    instances_run(1600);
    assert_int_equal(read_all(a, "r")->page.count, 0);
}

static void a_name_is_still_taken(void **state)
{
    struct instance *a = instance_up("A");
    named(a, "body");
    a = again(a);
    assert_int_equal(named(a, "body")->result, BROKER_OK);
    assert_int_equal(named(a, "other")->result, BROKER_TAKEN);
    assert_int_equal(read_all(a, "n")->page.count, 1);
    /* As many names as entries are kept, and at least so many. */
    struct call *call = NULL;
    for (int i = 0; i < BROKER_NAMES_MIN; i++) {
        char id[16];
        snprintf(id, sizeof id, "id %d", i);
        struct broker_publish what = {.room = SPAN_LIT("n"), .body = SPAN_LIT("x"), .id = span_str(id)};
        call = publish_with(a, &what, &few);
    }
    AWAIT_ANSWER(call);
    a = again(a);
    assert_int_equal(named(a, "other")->result, BROKER_OK);
    instance_destroy(a);
    assert_int_equal(in_file("SELECT count(*) FROM names"), BROKER_NAMES_MIN + 1);
}

static void a_token_is_good_up_to_the_end_of_its_epoch(void **state)
{
    char epoch[2][BROKER_EPOCH_BYTES_MAX + 1];
    struct instance *a = instance_up("A");
    for (int i = 0; i < 2; i++) {
        publish_now(a, "r", "x");
        memcpy(epoch[i], a->epoch, sizeof epoch[i]);
        a = again(a);
    }
    assert_string_not_equal(epoch[0], epoch[1]);
    publish_now(a, "r", "3");
    struct broker_lease lease = lease_of("pid", 1, 60000);
    struct call *call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    const struct {
        const char *epoch;
        uint64_t seq;
        bool reached;
    } claims[] = {{epoch[0], 1, true}, {epoch[0], 2, false}, {epoch[1], 2, true},      {epoch[1], 3, false},
                  {a->epoch, 3, true}, {a->epoch, 4, false}, {"of another", 0, false}, {"", 99, true}};
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        struct call *claim = lease_claim(a, "pid", claims[i].epoch, claims[i].seq);
        AWAIT_ANSWER(claim);
        assert_int_equal(claim->position_ok, claims[i].reached);
    }
    struct broker_range range = {.epoch = span_str(epoch[0]), .seq = 1, .limit = 10};
    struct call *missed = read_range(a, SPAN_LIT("r"), &range);
    range.seq = 2; /* that one was another, and is lost */
    struct call *ahead = read_range(a, SPAN_LIT("r"), &range);
    AWAIT(missed->answers > 0 && ahead->answers > 0);
    assert_int_equal(missed->page.count, 2);
    assert_false(missed->page.clipped);
    assert_int_equal(ahead->page.count, 2);
    assert_true(ahead->page.clipped);
    range = (struct broker_range){.epoch = span_str(epoch[1]), .seq = 3, .back = true, .limit = 10};
    missed = read_range(a, SPAN_LIT("r"), &range);
    AWAIT_ANSWER(missed);
    assert_int_equal(missed->page.count, 2);
    assert_false(missed->page.clipped);
}

static void the_counter_outlives_its_rooms(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "r", "x");
    instance_destroy(a);
    in_file("DELETE FROM entries");
    in_file("DELETE FROM rooms");
    in_file("UPDATE state SET counter = 41");
    a = instance_up("A");
    subscribe_now(a, "r");
    publish_now(a, "r", "y");
    AWAIT(told_count(a, TOLD_PUSHED, "r") == 1);
    assert_int_equal(told_at(a, TOLD_PUSHED, "r", 0)->number, 42);
}

static void leases_go_on(void **state)
{
    struct instance *a = instance_up("A");
    struct broker_lease lease = lease_of("pid", 7, 60000), gone = lease_of("gone", 1, 60000);
    struct broker_lease late = lease_of("late", 1, 200);
    gone.own = late.own = SPAN_LIT("");
    struct call *call = lease_write(a, &lease);
    lease_write(a, &gone);
    lease_write(a, &late);
    AWAIT_ANSWER(call);
    call = lease_claim(a, "pid", "", 0);
    AWAIT_ANSWER(call);
    lease_release(a, &gone, true);
    instance_destroy(a);
    assert_int_equal(in_file("SELECT count(*) FROM leases"), 2);
    usleep(300000);
    a = instance_up("A");
    publish_now(a, "@sid", "while it was away");
    call = lease_claim(a, "pid", "", 0);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_int_equal(call->lease.generation, 9);
    assert_int_equal(call->lease.window_ms, 60000);
    assert_span(call->lease.rooms, "rooms");
    assert_true(span_equal(call->lease.data, SPAN_LIT("\0data")));
    assert_int_equal(read_all(a, "@sid")->page.count, 1);
    const char *const none[] = {"gone", "late"};
    for (size_t i = 0; i < 2; i++) {
        call = lease_claim(a, none[i], "", 0);
        AWAIT_ANSWER(call);
        /* Its owner ended a moment ago: it has its window from now on, but no more than it had. */
        assert_int_equal(call->result, i == 0 ? BROKER_NONE : BROKER_OK);
    }
    instances_run(1500);
    call = lease_claim(a, "late", "", 0);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_NONE);
}

static void tables_of_the_first_version_are_brought_up_to_date(void **state)
{
    struct instance *a = instance_up("A");
    struct broker_lease lease = lease_of("pid", 1, 60000);
    struct call *call = lease_write(a, &lease);
    AWAIT_ANSWER(call);
    instance_destroy(a);
    in_file("ALTER TABLE leases DROP COLUMN watch");
    in_file("PRAGMA user_version = 1");
    a = instance_up("A");
    call = lease_claim(a, "pid", "", 0);
    AWAIT_ANSWER(call);
    assert_int_equal(call->result, BROKER_OK);
    assert_int_equal(call->lease.watch.len, 0);
    instance_destroy(a);
    assert_int_equal(in_file("PRAGMA user_version"), 2);
}

static void those_present_may_return(void **state)
{
    struct instance *a = instance_up("A");
    enter_with_data(a, "r", "returns", "1");
    enter_with_data(a, "r", "is gone", "2");
    enter(a, "r", "left");
    leave(a, "r", "left", false);
    struct call *settled = probe(a);
    AWAIT_ANSWER(settled);
    a = again(a);
    subscribe_now(a, "r");
    struct call *there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.count, 2);
    assert_true(list_has(there, "returns") && list_has(there, "is gone"));
    enter_with_data(a, "r", "returns", "1");
    AWAIT_WITHIN(8000, told_count(a, TOLD_LEFT, "r") == 1);
    assert_int_equal(told_who(a, TOLD_LEFT, "r", "is gone"), 1);
    assert_int_equal(told_count(a, TOLD_ENTERED, "r"), 0);
    a = again(a);
    there = list(a, "r", 0, 10);
    AWAIT_ANSWER(there);
    assert_int_equal(there->presence.count, 1);
}

/* A child publishes until it is killed, and says on a pipe what it was told is accepted. */
static void child_publish(int to)
{
    struct instance *a = instance_up("A");
    for (int i = 1;; i++) {
        char body[16];
        snprintf(body, sizeof body, "%d", i);
        publish_now(a, "r", body);
        if (write(to, &i, sizeof i) != sizeof i)
            _exit(0);
    }
}

static void nothing_accepted_is_lost_by_a_kill(void **state)
{
    int accepted = 0, number, ends[2];
    instances_directory();
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        child_publish(ends[1]);
    }
    close(ends[1]);
    while (accepted < 300 && read(ends[0], &number, sizeof number) == sizeof number)
        accepted = number;
    assert_int_equal(accepted, 300);
    assert_int_equal(kill(child, SIGKILL), 0);
    while (read(ends[0], &number, sizeof number) == sizeof number)
        accepted = number;
    close(ends[0]);
    waitpid(child, NULL, 0);
    struct instance *a = instance_up("A");
    struct call *log = read_all(a, "r");
    /* One more may have been kept, and its answer not been given. */
    assert_in_range(log->page.count, accepted, accepted + 1);
    for (size_t i = 0; i < log->page.count; i++)
        assert_int_equal(number_of(log->page.entries[i].body), i + 1);
}

static void a_second_owner_is_refused(void **state)
{
    struct err err;
    struct broker_file_config config = {.directory = instances_directory()};
    struct instance *a = instance_up("A");
    assert_null(broker_file_create(loop, &config, &err));
    assert_non_null(strstr(err.text, "holds it"));
    assert_non_null(strstr(err.text, "--broker file:DIR"));
    instance_destroy(a);
    instance_up("B");
}

/* As a full disk would: no file of this process may grow. Everything waits, in its order, and then goes on. */
static void a_disk_that_is_full_is_waited_for(void **state)
{
    struct instance *a = instance_up("A");
    char big[20000];
    memset(big, 'x', sizeof big);
    subscribe_now(a, "r");
    publish_now(a, "r", "before");
    struct rlimit before, none = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct broker_publish what = {.room = SPAN_LIT("r"), .body = span_of(big, sizeof big)};
    struct call *call = publish_with(a, &what, NULL), *asked = probe(a);
    AWAIT(broker_trouble(a->broker) != NULL);
    assert_non_null(strstr(broker_trouble(a->broker), "make room in"));
    assert_true(instances_logged("the disk refuses writes"));
    instances_run(700);
    assert_int_equal(call->answers + asked->answers, 0);
    assert_int_equal(told_count(a, TOLD_PUSHED, "r"), 1);
    /* The queue has a bound. */
    struct call *more = NULL;
    size_t waiting = 0;
    while ((more = publish_with(a, &what, NULL)) != NULL && waiting < 4000)
        waiting++;
    assert_null(more);
    assert_in_range(waiting * sizeof big, BROKER_BACKLOG_BYTES_MAX / 2, BROKER_BACKLOG_BYTES_MAX + sizeof big);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    AWAIT_ANSWER(call);
    AWAIT(told_count(a, TOLD_PUSHED, "r") == waiting + 2);
    assert_null(broker_trouble(a->broker));
    assert_int_equal(call->result, BROKER_OK);
    a = again(a);
    struct call *said = stats(a);
    AWAIT_ANSWER(said);
    assert_int_equal(said->stats.memory_bytes,
                     6 + BROKER_ENTRY_BYTES + (waiting + 1) * (sizeof big + BROKER_ENTRY_BYTES));
}

/* An entry that was not on the disk at the end was not accepted. */
static void what_could_not_be_kept_is_lost(void **state)
{
    struct instance *a = instance_up("A");
    publish_now(a, "r", "before");
    struct rlimit before, none = {0};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    struct call *call = publish(a, "r", "x");
    instance_destroy(a);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(call->result, BROKER_LOST);
    a = instance_up("A");
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

static void refused(const char *why)
{
    struct err err = {{0}};
    struct broker_file_config config = {.directory = instances_directory()};
    assert_null(broker_file_create(loop, &config, &err));
    if (strstr(err.text, why) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", err.text, why);
}

static void other_files_are_refused(void **state)
{
    struct err err;
    in_file("CREATE TABLE theirs (x)");
    refused("is a database of another program");
    unlink(path_of("sennit.db"));
    instance_destroy(instance_up("A"));
    in_file("PRAGMA user_version = 9");
    refused("version 9");
    int fd = open(path_of("sennit.db"), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd,
                           "this is no database, but it has a length of more than 100 bytes, which is what SQLite "
                           "reads of it first of all",
                           110),
                     110);
    close(fd);
    refused("Move it and its -wal away");
    assert_null(broker_file_create(loop, &(struct broker_file_config){.directory = "/dev/null/x"}, &err));
    assert_non_null(strstr(err.text, "/dev/null"));
}

/* In front of the C library's: how often SQLite asks for a sync. */
static int syncs;
__attribute__((visibility("default"))) int fdatasync(int fd)
{
    __atomic_add_fetch(&syncs, 1, __ATOMIC_SEQ_CST);
    return 0;
}

static int syncs_so_far(void)
{
    return __atomic_load_n(&syncs, __ATOMIC_SEQ_CST);
}

static void a_batch_is_synced_before_anybody_hears_of_it(void **state)
{
    instances_sync = JOURNAL_SYNC_BATCH;
    struct instance *a = instance_up("A");
    for (int i = 0; i < 5; i++) {
        int before = syncs_so_far();
        publish_now(a, "r", "x");
        assert_true(syncs_so_far() > before);
    }
}

static void what_a_second_brought_is_synced(void **state)
{
    struct instance *a = instance_up("A");
    instances_run(1500); /* the new epoch is synced */
    int before = syncs_so_far();
    publish_now(a, "r", "x");
    publish_now(a, "r", "x");
    assert_int_equal(syncs_so_far(), before);
    AWAIT(syncs_so_far() > before);
    before = syncs_so_far();
    instances_run(1500);
    assert_int_equal(syncs_so_far(), before);
}

static void nothing_is_synced_unasked(void **state)
{
    instances_sync = JOURNAL_SYNC_NEVER;
    struct instance *a = instance_up("A");
    int before = syncs_so_far();
    publish_now(a, "r", "x");
    instances_run(1500);
    assert_int_equal(syncs_so_far(), before);
    a = again(a);
    assert_int_equal(read_all(a, "r")->page.count, 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        BROKER_TEST(a_log_goes_on),
        BROKER_TEST(what_was_trimmed_stays_away),
        BROKER_TEST(an_age_goes_on),
        BROKER_TEST(a_name_is_still_taken),
        BROKER_TEST(a_token_is_good_up_to_the_end_of_its_epoch),
        BROKER_TEST(the_counter_outlives_its_rooms),
        BROKER_TEST(leases_go_on),
        BROKER_TEST(tables_of_the_first_version_are_brought_up_to_date),
        BROKER_TEST(those_present_may_return),
        BROKER_TEST(nothing_accepted_is_lost_by_a_kill),
        BROKER_TEST(a_second_owner_is_refused),
        BROKER_TEST(a_disk_that_is_full_is_waited_for),
        BROKER_TEST(what_could_not_be_kept_is_lost),
        BROKER_TEST(other_files_are_refused),
        BROKER_TEST(a_batch_is_synced_before_anybody_hears_of_it),
        BROKER_TEST(what_a_second_brought_is_synced),
        BROKER_TEST(nothing_is_synced_unasked),
    };
    return instances_main(argc, argv, "broker/file", tests, sizeof tests / sizeof tests[0], NULL);
}
