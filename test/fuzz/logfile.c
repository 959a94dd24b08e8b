/* logfile: any bytes as the file in which `sennit logs` looks once its `sennit up` has ended. What is handed out is one
 * JSON object a line of the file, in order, and of the service that was asked for. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "platform/logbook.h"
#include "platform/logfile.h"
#include "wire/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct heard {
    struct span rest; /* of the input */
    size_t count;
};

static char directory[64];

static void file_remove(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/logs.jsonl", directory);
    remove(path);
    remove(directory);
}

static void put(const uint8_t *data, size_t len)
{
    char path[96];
    if (directory[0] == '\0') {
        snprintf(directory, sizeof directory, "/tmp/sennit-logfile-XXXXXX");
        bool made = mkdtemp(directory) != NULL;
        assert(made);
        atexit(file_remove);
    }
    snprintf(path, sizeof path, "%s/logs.jsonl", directory);
    FILE *file = fopen(path, "wb");
    assert(file != NULL);
    size_t written = fwrite(data, 1, len, file);
    assert(written == len && fclose(file) == 0);
}

static void on_entry(struct span entry, void *context)
{
    struct heard *heard = context;
    struct span line;
    assert(json_is_valid(entry) && json_type(entry) == JSON_OBJECT);
    heard->count++;
    while (span_next(&heard->rest, '\n', &line))
        if (span_equal(line, entry))
            return;
    assert(!"an entry that is no line behind the last one");
}

static size_t read_with(const struct logfile_query *query, struct span all)
{
    struct heard heard = {.rest = all};
    struct err err;
    char last[32];
    bool ok = logfile_read(directory, query, on_entry, &heard, last, &err);
    assert(ok && strlen(last) < sizeof last);
    return heard.count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span all = span_of(data, len);
    const struct logfile_query any = {.severity_min = SEVERITY_DEFAULT};
    const struct logfile_query some = {.service = "board", .revision = "board-00001", .severity_min = SEVERITY_DEFAULT};
    const struct logfile_query late = {.since = "2026-11-28T15:00:00.123Z", .severity_min = SEVERITY_DEFAULT + 1};
    put(data, len);
    size_t count = read_with(&any, all);
    assert(read_with(&some, all) <= count && read_with(&late, all) <= count);
    return 0;
}
