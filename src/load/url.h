/* url: where to connect: `http://host[:port][/path]`, or ws://, which is the same. */
#ifndef SENNIT_LOAD_URL_H
#define SENNIT_LOAD_URL_H

#include "base/err.h"
#include "base/span.h"

struct url {
    char *host; /* a name or an IP, without the brackets of IPv6 */
    uint16_t port;
    char *authority; /* for the Host field: as it was written */
    char *path;      /* with its query; "/" when there was none */
    char *shown;     /* for people: as it was written, without the query, which may hold a token */
};

/* False with `err` set; the url is to be finished in either case. */
bool url_parse(struct url *url, const char *text, struct err *err);
void url_finish(struct url *url); /* accepts zeroed */

#endif
