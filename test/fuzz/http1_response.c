/* http1_response: a backend's bytes, bodies included. The first byte seeds the cuts and says whether they answer HEAD,
 * the rest is the stream. */
#include "fuzz/cuts.h"
#include "vectors/codecs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    struct vector vector = {0};
    cuts_option(&vector, SPAN_LIT("kind"), SPAN_LIT("response"));
    cuts_option(&vector, SPAN_LIT("show"), SPAN_LIT("fields"));
    cuts_option(&vector, SPAN_LIT("method"), (data[0] & 1) != 0 ? SPAN_LIT("HEAD") : SPAN_LIT("GET"));
    buf_append(&vector.in, span_of(data + 1, len - 1));
    cuts_check(&vector_http1, &vector, data[0]);
    buf_finish(&vector.in);
    return 0;
}
