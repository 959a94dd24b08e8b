/* ledger: any bytes as a file of what was billed. The rows are in order and each is there once; written as a ledger
 * and read again they are the same. */
#include <assert.h>
#include <string.h>

#include "platform/ledger.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool has_used(const struct ledger_row *row)
{
    static const struct usage nothing;
    return memcmp(&row->usage, &nothing, sizeof nothing) != 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct ledger_rows rows = {0}, again = {0};
    struct buf text = {0};
    size_t at = 0;
    ledger_rows_read(&rows, span_of(data, len));
    for (size_t i = 1; i < rows.count; i++) {
        int order = strcmp(rows.list[i - 1].service, rows.list[i].service);
        assert(order < 0 || (order == 0 && rows.list[i - 1].day < rows.list[i].day));
    }
    ledger_rows_encode(&text, &rows);
    ledger_rows_read(&again, buf_span(&text));
    assert(again.faulty == 0);
    for (size_t i = 0; i < rows.count; i++) {
        if (!has_used(&rows.list[i]))
            continue;
        assert(at < again.count && strcmp(again.list[at].service, rows.list[i].service) == 0);
        assert(again.list[at].day == rows.list[i].day);
        assert(memcmp(&again.list[at].usage, &rows.list[i].usage, sizeof(struct usage)) == 0);
        at++;
    }
    assert(at == again.count);
    ledger_rows_finish(&rows);
    ledger_rows_finish(&again);
    buf_finish(&text);
    return 0;
}
