/* control_client: asks a running `sennit up` over its control socket (platform/control.h), and waits for the answer. */
#ifndef SENNIT_CLI_CONTROL_CLIENT_H
#define SENNIT_CLI_CONTROL_CLIENT_H

#include "base/buf.h"
#include "base/err.h"

enum { CONTROL_ANSWER_MS_MAX = 15000 };

/* `state_dir` is --state's argument or NULL. `method` and `target` make the request line. Appends the JSON of an answer
 * with status 200. False with `err` set: no `sennit up` is there, or it refuses, with its own words. */
bool control_ask(const char *state_dir, const char *method, const char *target, struct span body, struct buf *answer,
                 struct err *err);
/* The same; `*runs`: a `sennit up` has taken the connection, whatever it answered. */
bool control_ask_if_it_runs(const char *state_dir, const char *method, const char *target, struct span body,
                            struct buf *answer, bool *runs, struct err *err);
/* Appends a value for a target, percent-encoded. */
void control_value_append(struct buf *target, struct span value);

#endif
