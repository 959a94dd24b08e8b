/* requests: begins a request, and keeps what answers it. See requests.h. */
#include "requests.h"

struct request requests[REQUESTS];
char request_sid[ENGINEIO_SID_BYTES];
void (*requests_answered)(void);
uint32_t request_packets_max;
static struct addr_ip here;

static void answered(struct polling_exchange *exchange, enum polling_outcome outcome, struct span payload)
{
    struct request *request = container_of(exchange, struct request, exchange);
    assert_false(request->answered);
    request->answered = true;
    request->outcome = outcome;
    buf_append(&request->payload, payload);
    if (requests_answered != NULL)
        requests_answered();
}

struct span own_sid(void)
{
    return span_of(request_sid, sizeof request_sid);
}

struct request *prepare(int number)
{
    struct request *request = &requests[number];
    buf_finish(&request->payload);
    *request = (struct request){.exchange = {.answer = answered, .peer = &here, .packets_max = request_packets_max}};
    return request;
}

struct request *get(int number)
{
    struct request *request = prepare(number);
    polling_get(&sessions, &request->exchange, own_sid());
    return request;
}

struct request *post(int number, const char *body)
{
    struct request *request = prepare(number);
    if (polling_post_begin(&sessions, &request->exchange, own_sid()))
        polling_post(&sessions, &request->exchange, own_sid(), span_str(body));
    return request;
}

bool requests_are_under_way(void)
{
    for (int i = 0; i < REQUESTS; i++) {
        if (requests[i].exchange.polling != NULL)
            return true;
    }
    return false;
}

void requests_finish(void)
{
    for (int i = 0; i < REQUESTS; i++) {
        buf_finish(&requests[i].payload);
        requests[i] = (struct request){.answered = false};
    }
}
