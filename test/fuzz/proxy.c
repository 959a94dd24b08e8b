/* proxy: the header of the PROXY protocol: what it decodes to does not depend on how the bytes were cut, and whoever is
 * told that more are needed may keep all of them. */
#include <stdlib.h>

#include "wire/proxy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct proxy_header whole, part;
    ptrdiff_t used = proxy_decode(span_of(data, len), &whole);
    if (used > (ptrdiff_t)len || used > PROXY_BYTES_MAX || (used < 0) != (whole.rule != NULL))
        abort();
    if (used == 0 && len >= PROXY_BYTES_MAX)
        abort();
    for (size_t i = 0; i < len; i++) {
        ptrdiff_t some = proxy_decode(span_of(data, i), &part);
        if (some != 0 && (some != used || part.kind != whole.kind || part.port != whole.port ||
                          memcmp(part.ip, whole.ip, sizeof part.ip) != 0))
            abort();
        if (some != 0)
            break;
        if (used > 0 && i >= (size_t)used)
            abort();
    }
    return 0;
}
