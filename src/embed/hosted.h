/* hosted: an instance behind sennit.h on a loop that somebody else owns. sennit_create and sennit_create_with make a
 * loop for it, and sennit_run runs that; the simulator gives it the loop of a simulated host. Not for users of the
 * library: libsennit exports nothing of it. */
#ifndef SENNIT_EMBED_HOSTED_H
#define SENNIT_EMBED_HOSTED_H

#include <stdbool.h>

struct embed;
struct loop;
struct serve_options;

/* Makes one that is not open yet. Never NULL; embed_free ends it. */
struct embed *embed_create(void);
/* Starts its instance on `loop`, which the caller owns and destroys behind embed_close. Once, from the thread that made
 * it; `options` are borrowed for the call. False: it could not start, and sennit_error says why. */
bool embed_open(struct embed *embed, struct loop *loop, const struct serve_options *options);
/* Ends the instance at once, and everything that it has on the loop. Questions that wait for an answer get the error
 * "gone" or "ended"; no other handler is called. From here on a handler can call nothing. Also for one that is not
 * open. */
void embed_close(struct embed *embed);
/* Frees one that was closed. Its handles have ended then. */
void embed_free(struct embed *embed);

#endif
