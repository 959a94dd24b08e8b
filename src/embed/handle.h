/* handle: what a program holds in place of our objects. A handle is a number in the place of an address: it is looked
 * up and never followed, so one whose object has ended, or that was made up, finds nothing. A number is not used
 * twice, also not by two threads.
 *
 * The table belongs to the thread, because a call may come with nothing but a handle in its hand. So a handle of
 * another thread finds nothing either. */
#ifndef SENNIT_EMBED_HANDLE_H
#define SENNIT_EMBED_HANDLE_H

#include <stddef.h>

enum handle_kind { HANDLE_SERVER = 1, HANDLE_NSP, HANDLE_SOCKET, HANDLE_EVENT, HANDLE_TIMER, HANDLE_WATCH };

/* A handle of `object`, which handle_end ends before the object does. */
void *handle_create(enum handle_kind kind, void *object);
void handle_end(const void *handle); /* accepts NULL and one that has ended */
/* The object, or NULL; then a line in the log says that `call` was made with it. */
void *handle_object(const void *handle, enum handle_kind kind, const char *call);
/* The same without a line. */
void *handle_peek(const void *handle, enum handle_kind kind);
/* A line in the log: `what` came of this call, and why. At most ten a second, and then their number. */
void handle_told(const char *what, const char *call, const char *why);
/* The same for a call that does nothing. */
void handle_misused(const char *call, const char *why);

#endif
