/* test_ledger: a ledger's lines, their sums, torn lines, and the file that is replaced by its sums. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "loop/file.h"
#include "platform/ledger.h"

#define DAY ((int64_t)20000)

static char directory[] = "/tmp/sennit-ledger-XXXXXX";
static char *path;
static struct loop *loop;
static struct err err;

static int begin(void **state)
{
    loop = loop_create(&err);
    assert_non_null(mkdtemp(directory));
    path = ledger_path(directory);
    return 0;
}

static int end(void **state)
{
    unlink(path);
    rmdir(directory);
    free(path);
    loop_destroy(loop);
    return 0;
}

static void add(struct buf *text, int64_t day, const char *service, const char *kind, unsigned ms, unsigned requests)
{
    buf_printf(text,
               "{\"time_ms\":%lld,\"service\":\"%s\",\"revision\":\"r\",\"instance\":\"i\",\"kind\":\"%s\",\"ms\":%u,"
               "\"vcpu_us\":%u,\"mib_ms\":%u,\"requests\":%u}\n",
               (long long)(day * LEDGER_DAY_MS + 5), service, kind, ms, ms * 1000, ms * 512, requests);
}

static void check(const struct ledger_row *row, const char *service, int64_t day, enum meter_kind kind, uint64_t ms,
                  uint64_t requests)
{
    const struct used *used = &row->usage.kinds[kind];
    assert_string_equal(row->service, service);
    assert_int_equal(row->day, day);
    assert_int_equal(used->ms, ms);
    assert_int_equal(used->vcpu_us, ms * 1000);
    assert_int_equal(used->mib_ms, ms * 512);
    assert_int_equal(used->requests, requests);
}

static void test_sums(void **state)
{
    struct buf text = {0};
    struct ledger_rows rows = {0};
    add(&text, DAY, "board", "request", 100, 1);
    add(&text, DAY + 1, "board", "request", 300, 2);
    add(&text, DAY, "board", "instance", 60000, 7);
    buf_append(&text, SPAN_LIT("{\"time_ms\":1}\n[1]\n\"\"\nnothing\n"
                               "{\"time_ms\":17900899438948640000,\"service\":\"a\",\"kind\":\"request\","
                               "\"ms\":1,\"vcpu_us\":1,\"mib_ms\":1,\"requests\":1}\n{\"time_ms\":1,\"service\":\"a\","
                               "\"kind\":\"request\","
                               "\"ms\":-1,\"vcpu_us\":1,\"mib_ms\":1,\"requests\":1}\n"));
    add(&text, DAY, "a", "idle", 50, 0);
    add(&text, DAY, "board", "request", 200, 3);
    size_t whole = text.len;
    add(&text, DAY, "board", "request", 999, 9);
    ledger_rows_read(&rows, span_sub(buf_span(&text), 0, text.len - 1)); /* the last line is not finished */
    assert_true(text.len > whole);
    assert_int_equal(rows.count, 3);
    assert_int_equal(rows.faulty, 6);
    check(&rows.list[0], "a", DAY, METER_IDLE, 50, 0);
    check(&rows.list[1], "board", DAY, METER_REQUEST, 300, 4);
    check(&rows.list[1], "board", DAY, METER_INSTANCE, 60000, 7);
    check(&rows.list[2], "board", DAY + 1, METER_REQUEST, 300, 2);

    /* The sums as lines have the same sums. */
    struct buf again = {0};
    struct ledger_rows same = {0};
    ledger_rows_encode(&again, &rows);
    ledger_rows_read(&same, buf_span(&again));
    assert_int_equal(same.count, 3);
    assert_int_equal(same.faulty, 0);
    for (size_t i = 0; i < same.count; i++) {
        assert_string_equal(same.list[i].service, rows.list[i].service);
        assert_int_equal(same.list[i].day, rows.list[i].day);
        assert_memory_equal(&same.list[i].usage, &rows.list[i].usage, sizeof(struct usage));
    }
    ledger_rows_finish(&rows);
    ledger_rows_finish(&same);
    buf_finish(&text);
    buf_finish(&again);
}

/* A line may have been made by another version: whatever was used stays in the sums. */
static void test_nothing_used_is_left_out(void **state)
{
    static const char text[] = "{\"time_ms\":1,\"service\":\"a\",\"kind\":\"idle\",\"ms\":0,\"vcpu_us\":5,"
                               "\"mib_ms\":0,\"requests\":0}\n";
    struct buf again = {0};
    struct ledger_rows rows = {0}, same = {0};
    ledger_rows_read(&rows, span_str(text));
    ledger_rows_encode(&again, &rows);
    ledger_rows_read(&same, buf_span(&again));
    assert_int_equal(same.count, 1);
    assert_int_equal(same.list[0].usage.kinds[METER_IDLE].vcpu_us, 5);
    ledger_rows_finish(&rows);
    ledger_rows_finish(&same);
    buf_finish(&again);
}

static void read_back(struct buf *text)
{
    buf_clear(text);
    assert_true(file_read(path, LEDGER_READ_BYTES_MAX, text, &err));
}

static void put(struct span text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_int_equal(write(fd, text.data, text.len), (ssize_t)text.len);
    close(fd);
}

/* Lines are in the file at once; a torn one, however long, goes at the next start, and no other does. */
static void test_torn(void **state)
{
    struct ledger ledger;
    struct buf text = {0}, torn = {0};
    const struct ledger_line line = {.service = "a\"b",
                                     .kind = METER_REQUEST,
                                     .used = {.ms = 100, .vcpu_us = 100000, .mib_ms = 51200, .requests = 1}};
    struct ledger_rows rows = {0};
    ledger_open(&ledger, loop, directory);
    ledger_add(&ledger, &line);
    read_back(&text);
    ledger_rows_read(&rows, buf_span(&text));
    assert_int_equal(rows.count, 1);
    assert_string_equal(rows.list[0].service, "a\"b");
    ledger_rows_finish(&rows);
    ledger_add(&ledger, &line);
    ledger_close(&ledger);
    read_back(&text);
    size_t whole = text.len;
    for (size_t more = 1; more < 20000; more = more * 7 + 3) {
        buf_clear(&torn);
        buf_append(&torn, buf_span(&text));
        memset(buf_reserve(&torn, more), 'x', more);
        buf_added(&torn, more);
        put(buf_span(&torn));
        ledger_open(&ledger, loop, directory);
        ledger_close(&ledger);
        buf_clear(&torn);
        assert_true(file_read(path, LEDGER_READ_BYTES_MAX, &torn, &err));
        assert_int_equal(torn.len, whole);
        assert_memory_equal(buf_span(&torn).data, buf_span(&text).data, whole);
    }
    put(SPAN_LIT("only a torn one"));
    ledger_open(&ledger, loop, directory);
    ledger_close(&ledger);
    read_back(&text);
    assert_int_equal(text.len, 0);
    buf_finish(&text);
    buf_finish(&torn);
}

static void test_replaced_by_sums(void **state)
{
    struct ledger ledger;
    struct buf text = {0};
    struct ledger_rows rows = {0};
    unsigned lines = 0;
    while (text.len < LEDGER_BYTES_MAX) {
        add(&text, DAY + lines % 3, "board", "request", 100, 2);
        lines++;
    }
    put(buf_span(&text));
    ledger_open(&ledger, loop, directory);
    const struct ledger_line line = {.service = "later",
                                     .kind = METER_REQUEST,
                                     .used = {.ms = 100, .vcpu_us = 100000, .mib_ms = 51200, .requests = 1}};
    ledger_add(&ledger, &line);
    ledger_close(&ledger);
    read_back(&text);
    assert_true(text.len < 1000);
    ledger_rows_read(&rows, buf_span(&text));
    assert_int_equal(rows.count, 4);
    uint64_t ms = 0, requests = 0;
    for (size_t i = 0; i < 3; i++) {
        ms += rows.list[i].usage.kinds[METER_REQUEST].ms;
        requests += rows.list[i].usage.kinds[METER_REQUEST].requests;
    }
    assert_int_equal(ms, (uint64_t)lines * 100);
    assert_int_equal(requests, (uint64_t)lines * 2);
    ledger_rows_finish(&rows);
    buf_finish(&text);
}

/* A disk that takes nothing: lines wait, within a bound, and all that waited is written later. */
static void test_full_disk(void **state)
{
    struct ledger ledger;
    struct buf text = {0};
    const struct ledger_line line = {.service = "a", .kind = METER_IDLE, .used = {.ms = 1}};
    put(SPAN_LIT(""));
    ledger_open(&ledger, loop, directory);
    int whole = ledger.lines.file.fd;
    ledger.lines.file.fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
    for (int i = 0; i < 20000; i++)
        ledger_add(&ledger, &line);
    assert_true(ledger.lines.failing && ledger.lines.lost > 0);
    assert_in_range(ledger.lines.pending.len, LEDGER_PENDING_BYTES_MAX, LEDGER_PENDING_BYTES_MAX + 1000);
    uint64_t lost = ledger.lines.lost;
    close(ledger.lines.file.fd);
    ledger.lines.file.fd = whole;
    ledger_close(&ledger);
    read_back(&text);
    struct ledger_rows rows = {0};
    ledger_rows_read(&rows, buf_span(&text));
    assert_int_equal(rows.count, 1);
    assert_int_equal(rows.list[0].usage.kinds[METER_IDLE].ms, 20000 - lost);
    ledger_rows_finish(&rows);
    buf_finish(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sums),      cmocka_unit_test(test_nothing_used_is_left_out),
        cmocka_unit_test(test_torn),      cmocka_unit_test(test_replaced_by_sums),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
