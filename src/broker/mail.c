/* mail: passes calls on to the broker, and messages to their receiver. */
#include "broker/mail.h"

#include <assert.h>

#include "broker/broker.h"

void mail_attach(struct broker *broker, const struct mail_events *events, void *arg)
{
    broker->mail_events = events;
    broker->mail_arg = arg;
}

void mail_send(struct broker *broker, struct span to, struct span message, mail_sent_fn *done, void *arg)
{
    assert(message.len <= MAIL_BYTES_MAX);
    broker->mail->send(broker, to, message, done, arg);
}

void mail_owners(struct broker *broker, const struct span *heard, size_t count, mail_owners_fn *done, void *arg)
{
    if (broker->mail->owners != NULL)
        broker->mail->owners(broker, heard, count, done, arg);
    else
        done(arg, NULL, 0);
}

bool mail_has_owners(const struct broker *broker)
{
    return broker->mail->owners != NULL;
}

void mail_received(struct broker *broker, struct span from, struct span message)
{
    if (broker->mail_events != NULL)
        broker->mail_events->received(broker->mail_arg, from, message);
}
