/* broker: what brokers that call a server do alike when they are in trouble. */
#include "broker/broker.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void broker_trouble_set(struct broker *broker, char **text, const char *why)
{
    if (why != NULL && broker->trouble != NULL && strcmp(broker->trouble, why) == 0)
        return;
    if (why != NULL)
        log_event(LOG_ERROR, "the broker cannot be relied on: this instance is not ready", LOG_C("why", why));
    else if (broker->trouble != NULL)
        log_event(LOG_NOTICE, "the broker can be relied on again", LOG_C("was", broker->trouble));
    free(*text);
    *text = why != NULL ? mem_text(span_str(why)) : NULL;
    broker->trouble = *text;
}
