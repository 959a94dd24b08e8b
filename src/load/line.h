/* line: one HTTP/1.1 connection of a polling client, kept for one request after another.
 *
 * A request that is made while TCP is not up yet goes out when it is. A line whose server ends it ends with it; the
 * client opens another for the next request. Lines are freed at the end of the turn in which they close. */
#ifndef SENNIT_LOAD_LINE_H
#define SENNIT_LOAD_LINE_H

#include "base/buf.h"
#include "load/dial.h"
#include "wire/http1.h"

struct polling;

struct line {
    struct dial dial;
    struct polling *polling; /* NULL: nobody's, whatever still arrives is ignored */
    struct buf request;      /* waits for TCP */
    struct buf answer;       /* body of the last answer */
    struct http1_body body;  /* of the answer that is arriving */
    size_t head_seen;
    int status;
    bool asked;   /* a request is under way */
    bool in_body; /* its answer's head has come */
    bool post;    /* it is a POST, not a GET */
    bool keep;    /* the server keeps the connection after this answer */
};

/* Opens a line for `polling` (NULL: nobody's). */
struct line *line_open(struct run *run, struct polling *polling);
/* Makes a request: a GET of `target`, or a POST where `body` has data. One at a time: polling_answered or
 * polling_line_closed follows, never before this returns. */
void line_ask(struct line *line, struct span target, struct span body);
/* Whether a request is under way. Accepts NULL. */
static inline bool line_is_busy(const struct line *line)
{
    return line != NULL && line->asked;
}
/* Its owner forgets it: it ends by itself, in DIAL_LINGER_MS at the latest. Accepts NULL. */
void line_leave(struct line *line);
/* Cuts it (FIN, RST or HALFOPEN), or ends it at once. Its owner hears no more of it. Both accept NULL. */
void line_cut(struct line *line, enum cut_kind kind);
void line_drop(struct line *line);

#endif
