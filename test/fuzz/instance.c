/* instance: clients against a whole instance with the memory broker. */
#include "fuzz/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    stage_run(data, len, false);
    return 0;
}
