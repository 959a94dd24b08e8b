/* manual: pages of docs/ that are made from the tables: settings.h, limits.h, net/refusals.h, net/close_reasons.h. */
#ifndef SENNIT_SERVE_MANUAL_H
#define SENNIT_SERVE_MANUAL_H

#include "base/buf.h"

/* Appends docs/configuration.md: flags, variables, fields and bounds. */
void manual_configuration(struct buf *to);
/* Appends docs/refusals.md: the reasons of refusals and closed connections. */
void manual_refusals(struct buf *to);

#endif
