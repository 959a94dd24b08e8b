/* resp: what Redis sends. The first byte seeds the cuts and chooses whether the rest is
 *
 *     raw     bytes as they might come, or
 *     built   arguments of commands, which are encoded and must be read back as they were.
 */
#include "wire/resp.h"
#include "fuzz/cuts.h"
#include "vectors/codecs.h"

enum { BUILT = 1, ARGS_MAX = 40 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Takes (length, bytes)* as arguments. */
static void built_check(struct span script)
{
    struct span args[ARGS_MAX];
    struct buf command = {0};
    const struct resp *reply;
    size_t count = 0;
    while (script.len > 0 && count < ARGS_MAX) {
        args[count] = span_sub(script, 1, (uint8_t)script.data[0]);
        script = span_from(script, 1 + args[count].len);
        count++;
    }
    resp_command_encode(&command, args, count);
    struct resp_reader *reader = resp_reader_create(255);
    bool fed = resp_feed(reader, buf_span(&command));
    assert(fed);
    int got = resp_next(reader, &reply);
    assert(got == 1 && reply->type == RESP_ARRAY && reply->item_count == count);
    for (size_t i = 0; i < count; i++)
        assert(reply->items[i].type == RESP_STRING && span_equal(reply->items[i].text, args[i]));
    got = resp_next(reader, &reply);
    assert(got == 0);
    resp_reader_destroy(reader);
    buf_finish(&command);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct span rest = span_of(data + 1, len - 1);
    if ((data[0] & BUILT) != 0) {
        built_check(rest);
        return 0;
    }
    struct vector vector = {0};
    cuts_option(&vector, SPAN_LIT("max"), SPAN_LIT("64"));
    buf_append(&vector.in, rest);
    cuts_check(&vector_resp, &vector, data[0]);
    buf_finish(&vector.in);
    return 0;
}
