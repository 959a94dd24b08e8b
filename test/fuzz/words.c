/* words: the small languages of the platform's commands, all on the same text: a command line, shares and tags of
 * traffic, and values in a target of the control socket. What is taken is within its bounds and in a form that is taken
 * again. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "platform/command.h"
#include "platform/control_query.h"
#include "platform/traffic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void message_check(const struct err *err)
{
    assert(err->text[0] != '\0' && strchr(err->text, '\n') == NULL);
}

/* Words in single quotes are the same words again. */
static void command_try(struct span text)
{
    struct words words = {0}, again = {0};
    struct buf quoted = {0};
    struct err err = {{0}};
    if (!command_split(text, &words, &err)) {
        message_check(&err);
    } else {
        for (size_t i = 0; i < words.count; i++) {
            buf_append(&quoted, i > 0 ? SPAN_LIT(" '") : SPAN_LIT("'"));
            for (const char *at = words.list[i]; *at != '\0'; at++)
                buf_append(&quoted, *at == '\'' ? SPAN_LIT("'\"'\"'") : span_of(at, 1));
            buf_append_char(&quoted, '\'');
        }
        bool ok = words.count == 0 || command_split(buf_span(&quoted), &again, &err);
        assert(ok && again.count == words.count && words.count <= WORDS_MAX);
        for (size_t i = 0; i < words.count; i++)
            assert(strcmp(words.list[i], again.list[i]) == 0);
    }
    words_finish(&words);
    words_finish(&again);
    buf_finish(&quoted);
}

static uint32_t traffic_check(const struct traffic *traffic)
{
    uint32_t sum = 0;
    assert(traffic->count <= TRAFFIC_TARGETS_MAX);
    for (size_t i = 0; i < traffic->count; i++) {
        const struct traffic_target *target = &traffic->list[i];
        assert(target->percent <= TRAFFIC_PERCENT && (target->revision == NULL || target->revision[0] != '\0'));
        assert(target->tag == NULL || (traffic_tag_is_valid(span_str(target->tag)) &&
                                       traffic_tagged(traffic, span_str(target->tag)) == target));
        sum += target->percent;
    }
    return sum;
}

/* From a traffic with a tag; text that is refused changes nothing. */
static void traffic_try(struct span text)
{
    struct traffic traffic = {0};
    struct err err = {{0}};
    traffic_add(&traffic, SPAN_LIT("board-00001"), SPAN_LIT("old"), 40);
    traffic_add(&traffic, SPAN_LIT(""), SPAN_LIT(""), 60);
    if (!traffic_tags_set(&traffic, text, &err)) {
        message_check(&err);
        assert(traffic_tagged(&traffic, SPAN_LIT("OLD")) == &traffic.list[0]);
    }
    assert(traffic_check(&traffic) == TRAFFIC_PERCENT);
    err.text[0] = '\0';
    if (!traffic_shares_set(&traffic, text, &err))
        message_check(&err);
    assert(traffic_check(&traffic) == TRAFFIC_PERCENT);
    traffic_finish(&traffic);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct span text = span_of(data, len);
    struct buf decoded = {0};
    char *copy = mem_text(text); /* from a command line, and so without NUL */
    command_try(text);
    traffic_try(span_str(copy));
    free(copy);
    control_decoded_append(&decoded, text);
    assert(decoded.len <= len && (decoded.len == 0 || memchr(decoded.data, '\0', decoded.len) == NULL));
    free(control_value_get(text, "to"));
    buf_finish(&decoded);
    return 0;
}
