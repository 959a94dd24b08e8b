/* neighbour: clients against a whole instance with a Redis to which another program writes: keys deleted, of a wrong
 * type, messages on its channels and its inbox. The first bytes choose the configuration, the
 * rest is what happens; see stage.h. */
#include <assert.h>

#include "fuzz/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct buf config = {0};
    struct err err = {{0}};
    if (len < STAGE_CONFIG_BYTES)
        return 0;
    stage_config(&config, data);
    struct stage *stage = stage_create(buf_span(&config), true, &err);
    assert(stage != NULL);
    stage_play(stage, span_of(data + STAGE_CONFIG_BYTES, len - STAGE_CONFIG_BYTES));
    stage_destroy(stage);
    buf_finish(&config);
    return 0;
}
