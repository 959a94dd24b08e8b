/* replay: stands in for libFuzzer where a target is built without it: runs every file of a corpus directory, whole and
 * cut off at up to 64 lengths (--cuts N: so many). Each input lies in a block of its own, so that sanitizers see a byte
 * too far. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { READ_BYTES = 65536 };

static size_t cuts_max = 64;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void input_run(struct span input)
{
    uint8_t *copy = mem_alloc(input.len);
    if (input.len != 0)
        memcpy(copy, input.data, input.len);
    LLVMFuzzerTestOneInput(copy, input.len);
    free(copy);
}

static bool file_run(const char *path)
{
    struct buf input = {0};
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t got;
    do {
        got = fread(buf_reserve(&input, READ_BYTES), 1, READ_BYTES, file);
        buf_added(&input, got);
    } while (got != 0);
    fclose(file);
    input_run(buf_span(&input));
    size_t cuts = input.len < cuts_max ? input.len : cuts_max;
    for (size_t i = 0; i < cuts; i++)
        input_run(span_sub(buf_span(&input), 0, input.len * i / cuts));
    buf_finish(&input);
    return true;
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    unsigned count = 0, failed = 0;
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        if (strcmp(argv[i], "--cuts") == 0 && i + 1 < argc) {
            cuts_max = (size_t)atoi(argv[++i]);
            continue;
        }
        int found = scandir(argv[i], &entries, is_visible, alphasort);
        for (int j = 0; j < found; j++) {
            char *path = mem_printf("%s/%s", argv[i], entries[j]->d_name);
            failed += !file_run(path);
            count++;
            free(path);
            free(entries[j]);
        }
        if (found >= 0)
            free(entries);
    }
    printf("%u inputs\n", count);
    /* A corpus that is not there proves nothing. */
    return count == 0 || failed != 0;
}
