/* config: any text as the configuration of `sennit serve`. It is refused with a text of one line, or an instance runs
 * with it that no client can harm. */
#include <assert.h>

#include "fuzz/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* Two clients connect to / and to /x, join rooms, and send the events that the seeds name. */
static const char steps[] =
    "\x10\x00\x10\x01\x11\x00\x08\x00\x08\x01\x09\x00\x08\x04\x09\x07\x08\x0a\x08\x0d\x09\x10\x08\x12\x08\x13\x1c\x14";

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct err err = {{0}};
    struct stage *stage = stage_create(span_of(data, len), false, &err);
    if (stage == NULL) {
        assert(err.text[0] != '\0' && strchr(err.text, '\n') == NULL);
        return 0;
    }
    stage_play(stage, span_of(steps, sizeof steps - 1));
    stage_destroy(stage);
    return 0;
}
