/* gunzip: decompresses a gzip file (RFC 1952) piece by piece; zlib does the work. A file may have several members. */
#ifndef SENNIT_WIRE_GUNZIP_H
#define SENNIT_WIRE_GUNZIP_H

#include "base/span.h"

struct gunzip;

struct gunzip *gunzip_create(void);
void gunzip_destroy(struct gunzip *gunzip); /* accepts NULL */
/* Takes from the front of `input` and writes up to `room` bytes to `to`. Returns how many; 0: it needs more input; -1:
 * this is no gzip file, or a damaged one. */
ptrdiff_t gunzip_next(struct gunzip *gunzip, struct span *input, char *to, size_t room);
/* The input ended: whether that is the end of a member. */
bool gunzip_may_end(const struct gunzip *gunzip);

#endif
