/* polling_repeated: requests that a proxy repeats because it has lost the answer. A POST that was done is not done
 * again, and a GET gets its answer again. A GET with another mark says that the client has the answer, which is kept no
 * longer.
 *
 * An answer that is too long is not kept: if its GET comes again, the session ends, since with the next answer the
 * client would miss what was in this one. It connects again, and recovers it by its lease. */
#include "net/refusals.h"
#include "session/polling_parts.h"

enum { ANSWER_KEPT_BYTES = 16384 };

bool polling_is_repeated(const struct polling_exchange *exchange, uint64_t done)
{
    return exchange != NULL && exchange->mark != 0 && exchange->mark == done;
}

void polling_answer_keep(struct polling *polling, struct span payload)
{
    polling_answer_forget(polling);
    if (payload.len > 0)
        polling->done_get = polling->get->mark;
    if (polling->done_get != 0 && payload.len <= ANSWER_KEPT_BYTES)
        buf_append(&polling->done_answer, payload);
}

void polling_answer_forget(struct polling *polling)
{
    polling->done_get = 0;
    buf_finish(&polling->done_answer);
}

void polling_end_repeated(struct polling *polling)
{
    char ip[ADDR_TEXT_MAX];
    addr_ip_print(&polling->peer, ip);
    refusals_note(&polling->sessions->refusals, REFUSAL_POLL_REPEATED, span_str(ip), SPAN_LIT(""));
    polling_end(polling, CLOSE_POLL_REPEATED);
}
