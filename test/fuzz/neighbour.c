/* neighbour: clients against a whole instance with a Redis to which another program writes: it deletes keys, writes
 * keys of the wrong type, and publishes on the instance's channels and its inbox. */
#include "fuzz/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    stage_run(data, len, true);
    return 0;
}
