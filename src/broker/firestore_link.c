/* firestore_link: the connection to Firestore: a token, an address, HTTP/2, and again after a backoff. */
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/firestore_parts.h"

enum { BACKOFF_MS_MIN = 100, BACKOFF_MS_MAX = 5000 };

static void backoff_start(struct firestore *fs)
{
    uint64_t half = fs->backoff_ms / 2;
    fs->link_state = FS_LINK_DOWN;
    if (fs->destroying || fs->unusable)
        return;
    timer_start(fs->loop, &fs->backoff, LOOP_MS(half + loop_random_below(fs->loop, half + 1)));
    fs->backoff_ms = fs->backoff_ms * 2 > BACKOFF_MS_MAX ? BACKOFF_MS_MAX : fs->backoff_ms * 2;
}

/* Nothing came of it: says why, once until it works again. */
static void connect_failed(struct firestore *fs, const char *what, const char *why)
{
    if (!fs->complained)
        log_event(LOG_WARNING, what, LOG_C("host", fs->host), LOG_C("why", why));
    fs->complained = true;
    fs->address++;
    backoff_start(fs);
}

static void resolved(void *arg, const struct addr *addrs, size_t count, const char *why)
{
    struct firestore *fs = arg;
    fs->resolve = NULL;
    if (count == 0) {
        connect_failed(fs, "the broker's name is not known; retrying", why);
        return;
    }
    fs->link_state = FS_LINK_CONNECTING;
    grpc_link_open(&fs->link, &addrs[fs->address % count], fs->authority, fs->tls);
}

static void token_got(void *arg, const char *token, const char *why)
{
    struct firestore *fs = arg;
    if (fs->link_state != FS_LINK_TOKEN)
        return; /* another one for the connection that there is */
    if (token == NULL) {
        connect_failed(fs, "there is no token for Firestore; retrying", why);
        return;
    }
    fs->link_state = FS_LINK_RESOLVING;
    fs->resolve = resolve_start(fs->loop, fs->host, fs->port, resolved, fs);
}

static void connect_now(struct timer *timer)
{
    struct firestore *fs = container_of(timer, struct firestore, backoff);
    fs->link_state = FS_LINK_TOKEN;
    fs_token_get(fs->token, token_got, fs);
}

static void opened(struct grpc_link *link)
{
    struct firestore *fs = container_of(link, struct firestore, link);
    fs->link_state = FS_LINK_OPEN;
    firestore_feed_start(fs);
}

static void closed(struct grpc_link *link, const char *why)
{
    struct firestore *fs = container_of(link, struct firestore, link);
    bool was_open = fs->link_state == FS_LINK_OPEN;
    fs->link_state = FS_LINK_DOWN;
    firestore_feed_stop(fs);
    firestore_saved_down(fs);
    if (fs->destroying)
        return;
    if (fs->memory.broker.is_up && !timer_running(&fs->patience))
        timer_start(fs->loop, &fs->patience, LOOP_MS(FIRESTORE_PATIENCE_MS));
    if (was_open)
        backoff_start(fs);
    else
        connect_failed(fs, "the broker cannot be reached; retrying", why);
}

static const struct grpc_link_events events = {opened, closed};

static void patience_over(struct timer *timer)
{
    struct firestore *fs = container_of(timer, struct firestore, patience);
    log_event(LOG_WARNING, "the link to the broker broke");
    firestore_went_down(fs);
}

void firestore_link_init(struct firestore *fs)
{
    grpc_link_init(&fs->link, fs->net, &events);
    timer_init(&fs->backoff, connect_now);
    timer_init(&fs->patience, patience_over);
    fs->backoff_ms = BACKOFF_MS_MIN;
}

void firestore_link_start(struct firestore *fs)
{
    timer_start(fs->loop, &fs->backoff, 0);
}

void firestore_link_good(struct firestore *fs)
{
    fs->backoff_ms = BACKOFF_MS_MIN;
    fs->complained = false;
    timer_stop(fs->loop, &fs->patience);
}

void firestore_link_finish(struct firestore *fs)
{
    timer_stop(fs->loop, &fs->backoff);
    timer_stop(fs->loop, &fs->patience);
    resolve_cancel(fs->resolve);
    grpc_link_finish(&fs->link);
    fs_token_destroy(fs->token);
}

void firestore_link_break(struct firestore *fs, const char *why)
{
    if (fs->link_state == FS_LINK_OPEN && !fs->complained)
        log_event(LOG_WARNING, "the connection to the broker is made anew", LOG_C("why", why));
    grpc_link_close(&fs->link, CLOSE_BROKER_LOST);
}

struct grpc_call *firestore_request(struct firestore *fs, const char *method, uint32_t deadline_ms,
                                    const struct grpc_call_events *call_events, void *arg)
{
    char path[96];
    if (!grpc_link_is_open(&fs->link))
        return NULL;
    if (fs_token_is_old(fs->token))
        fs_token_get(fs->token, token_got, fs);
    snprintf(path, sizeof path, "/google.firestore.v1.Firestore/%s", method);
    const struct grpc_method how = {.path = path,
                                    .token = fs_token_text(fs->token),
                                    .resource = span_str(fs->database),
                                    .deadline_ms = deadline_ms};
    return grpc_call_begin(&fs->link, &how, call_events, arg);
}

/* NULL: only time helps. */
static const char *cure(enum grpc_status status)
{
    switch (status) {
    case GRPC_PERMISSION_DENIED:
        return "give this service account the role roles/datastore.user on the project, and see that the Firestore API "
               "is enabled";
    case GRPC_UNAUTHENTICATED:
        return "set GOOGLE_APPLICATION_CREDENTIALS to a service account's key, or see that the machine's clock is "
               "right";
    case GRPC_NOT_FOUND:
        return "there is no such project or database: gcloud firestore databases create --database=NAME";
    case GRPC_FAILED_PRECONDITION:
    case GRPC_INVALID_ARGUMENT:
        return "see that the database is in native mode";
    case GRPC_UNIMPLEMENTED:
        return "that is no Firestore: correct FIRESTORE_EMULATOR_HOST";
    default:
        return NULL;
    }
}

void firestore_refused(struct firestore *fs, enum grpc_status status, struct span text, const char *doing)
{
    const char *how = cure(status);
    char *why = mem_printf("Firestore refuses %s: " SPAN_FMT "%s%s", doing, SPAN_ARG(text), how != NULL ? ": " : "",
                           how != NULL ? how : "");
    if (status == GRPC_UNAUTHENTICATED)
        fs_token_drop(fs->token);
    if (how != NULL && !fs->proven)
        firestore_unusable(fs, why);
    else if (status != GRPC_UNAVAILABLE || fs->link_state == FS_LINK_OPEN)
        firestore_trouble(fs, why);
    free(why);
}
