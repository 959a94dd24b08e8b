/* control_logs: GET /logs of the control socket, for `sennit logs`: ?service=, ?revision=, ?instance=, ?severity=,
 * ?since_ms= (wall clock) and ?after= (`next` of the last answer), all of them optional. `control` calls it. */
#ifndef SENNIT_PLATFORM_CONTROL_LOGS_H
#define SENNIT_PLATFORM_CONTROL_LOGS_H

#include "base/err.h"
#include "platform/catalog.h"

/* Appends {"next":N,"more":bool,"entries":[...]}. False with `err` set: there is no such service, or a value is wrong.
 */
bool control_logs_encode(struct buf *to, const struct catalog *catalog, struct span query, struct err *err);

#endif
