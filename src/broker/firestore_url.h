/* firestore_url: firestore://PROJECT[/DATABASE], and where that is. */
#ifndef SENNIT_BROKER_FIRESTORE_URL_H
#define SENNIT_BROKER_FIRESTORE_URL_H

#include <stdint.h>

#include "base/err.h"

struct firestore_url {
    char *project, *database; /* "(default)" unless said */
    char *host;
    uint16_t port;
};

/* `emulator`: host:port; NULL: Google's. False with `err` set, and nothing is to be freed; else the caller frees the
 * three texts. */
bool firestore_url_parse(struct firestore_url *url, const char *text, const char *emulator, struct err *err);

#endif
