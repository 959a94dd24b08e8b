/* sessions: polling clients against a whole instance, from the handshake to the end; with the memory broker, where
 * sessions stay, or with Redis, where they move. */
#include "fuzz/stage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    stage_run_sessions(data, len);
    return 0;
}
