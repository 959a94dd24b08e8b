/* index: the page that lists the services of a `sennit up` that has several. The ingress answers with it where a Host
 * names none of them, and nobody chose one for it (--default). Pure. */
#ifndef SENNIT_PLATFORM_INDEX_H
#define SENNIT_PLATFORM_INDEX_H

#include "platform/route.h"
#include "wire/http1.h"

/* The request is one for the page: GET or HEAD of / at a bare Host (route.h). */
bool index_is_asked(const struct http1_head *head);
/* Appends the response. Its links lead to the port that the client asked (`host`), or else to `port`. Without
 * `with_body` it answers HEAD. */
void index_encode(struct buf *to, const struct route *route, struct span host, uint16_t port, bool keep_alive,
                  bool with_body);

#endif
