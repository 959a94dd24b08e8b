/* memory_mail: mail with one instance: it is for itself. */
#include <stdlib.h>

#include "broker/memory_parts.h"

static void tell_mail(struct memory *memory, struct notice *notice)
{
    mail_received(&memory->broker, SPAN_LIT("memory"), buf_span(&notice->text));
}

static void tell_sent(struct memory *memory, struct notice *notice)
{
    struct mail_receivers one = {.living = 1, .reached = 1};
    notice->call.mailed(notice->arg, &one);
}

static void send_mail(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    struct memory *memory = memory_of(broker);
    buf_append(&memory_notice(memory, tell_mail)->text, message);
    if (done == NULL)
        return;
    struct notice *notice = memory_notice(memory, tell_sent);
    notice->call.mailed = done;
    notice->arg = arg;
}

const struct mail_ops memory_mail_ops = {send_mail, NULL};
