/* broker_config: reads which broker is wanted, and finds a directory for a log that nobody gave a place. */
#include "serve/broker_config.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/shown.h"
#include "broker/firestore.h"
#include "loop/file.h"

static const char file_prefix[] = "file:";

static const char *environment(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/* $STATE_DIRECTORY is systemd's, and may list several. NULL: there is no place for state. */
static char *state_directory(void)
{
    const char *given = environment("STATE_DIRECTORY"), *state = environment("XDG_STATE_HOME");
    const char *home = environment("HOME");
    if (given != NULL)
        return mem_text(span_of(given, strcspn(given, ":")));
    if (state != NULL)
        return mem_printf("%s/sennit", state);
    return home != NULL ? mem_printf("%s/.local/state/sennit", home) : NULL;
}

/* A directory for each configuration: its name, for people, and a digest of its whole path. */
static char *directory_for(const char *config_path)
{
    char *state = state_directory();
    if (state == NULL)
        return NULL;
    char *whole = config_path != NULL ? file_absolute(config_path) : mem_text(SPAN_LIT(""));
    const char *slash = strrchr(whole, '/'), *name = slash != NULL ? slash + 1 : "none";
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    char *directory = mem_printf("%s/serve/%.*s-%016llx", state, (int)(len < 64 ? len : 64), name,
                                 (unsigned long long)broker_digest(span_str(whole)));
    free(state);
    free(whole);
    return directory;
}

static bool sync_read(struct broker_config *config, const struct broker_options *options, struct err *err)
{
    static const char *const names[] = {
        [JOURNAL_SYNC_SECOND] = "second", [JOURNAL_SYNC_BATCH] = "batch", [JOURNAL_SYNC_NEVER] = "never"};
    const char *text = options->sync != NULL ? options->sync : environment("SENNIT_SYNC");
    if (text == NULL)
        return true;
    for (int sync = 0; sync < (int)(sizeof names / sizeof names[0]); sync++) {
        if (strcmp(text, names[sync]) != 0)
            continue;
        config->sync = (enum journal_sync)sync;
        return true;
    }
    return err_set(err, "%s: expected second, batch or never, found %s",
                   options->sync != NULL ? "--sync" : "SENNIT_SYNC", SHOWN_FOUND(span_str(text)));
}

static bool directory_read(struct broker_config *config, const char *text, struct err *err)
{
    config->choice = BROKER_CHOICE_FILE;
    config->directory = mem_text(span_str(text));
    return text[0] != '\0' ||
           err_set(err, "--broker file: name the directory behind the colon, like --broker file:/var/lib/board");
}

static bool is_postgres(const char *broker)
{
    return strncmp(broker, "postgres", 8) == 0;
}

static bool is_postgres_url(const char *text)
{
    return strncmp(text, "postgres://", 11) == 0 || strncmp(text, "postgresql://", 13) == 0;
}

/* `postgres` alone is the one of DATABASE_URL, as platforms set it. The rest of a URL is read where it is used, and
 * never repeated: it may have a password. */
static bool postgres_read(struct broker_config *config, const char *text, struct err *err)
{
    bool is_alone = strcmp(text, "postgres") == 0;
    const char *url = is_alone ? environment("DATABASE_URL") : text;
    config->choice = BROKER_CHOICE_POSTGRES;
    if (url == NULL)
        return err_set(err, "--broker postgres: set DATABASE_URL, or write the URL, like --broker "
                            "postgres://sennit@127.0.0.1/sennit");
    config->url = mem_text(span_str(url));
    return is_postgres_url(url) ||
           err_set(err, is_alone
                            ? "--broker postgres: DATABASE_URL is not the URL of a Postgres, like "
                              "postgres://sennit@127.0.0.1/sennit"
                            : "--broker postgres: write its URL, like --broker postgres://sennit@127.0.0.1/sennit, "
                              "or `postgres` alone for that in DATABASE_URL");
}

/* `?polling=affinity` is read here, the rest of the URL by broker/firestore_url. */
static bool firestore_read(struct broker_config *config, const char *text, struct err *err)
{
    static const struct span affinity = {"?polling=affinity", 17};
    struct span url = span_str(text);
    config->choice = BROKER_CHOICE_FIRESTORE;
    config->affinity = span_ends_with(url, affinity);
    config->url = mem_text(config->affinity ? span_sub(url, 0, url.len - affinity.len) : url);
    return span_starts_with(url, SPAN_LIT("firestore://")) ||
           err_set(err, "--broker firestore: write its URL, like --broker firestore://PROJECT");
}

bool broker_config_check(const struct broker_config *config, bool polling, uint64_t max_payload, struct err *err)
{
    enum { ROUND_BYTES = 64 << 10 }; /* of an entry, beside the payload */
    if (config->choice != BROKER_CHOICE_FIRESTORE)
        return true;
    if (polling && !config->affinity)
        return err_set(err, "with --broker firestore://..., a long-polling session cannot move between instances: say "
                            "`transports: [websocket]`, or, if your balancer keeps each session on its instance (Cloud "
                            "Run's session affinity), firestore://PROJECT?polling=affinity");
    return max_payload + ROUND_BYTES <= FIRESTORE_ENTRY_BYTES_MAX ||
           err_set(err, "limits: max_payload: with --broker firestore://... an event may have %d bytes: lower it",
                   FIRESTORE_ENTRY_BYTES_MAX - ROUND_BYTES);
}

static bool choice_read(struct broker_config *config, const struct broker_options *options, const char *broker,
                        struct err *err)
{
    if (strcmp(broker, "memory") == 0)
        config->choice = BROKER_CHOICE_MEMORY;
    else if (strcmp(broker, "redis") == 0)
        config->choice = BROKER_CHOICE_REDIS;
    else if (strncmp(broker, file_prefix, sizeof file_prefix - 1) == 0)
        return directory_read(config, broker + sizeof file_prefix - 1, err);
    else if (is_postgres(broker))
        return postgres_read(config, broker, err);
    else if (strncmp(broker, "firestore", 9) == 0)
        return firestore_read(config, broker, err);
    else
        return err_set(err,
                       "%s: expected memory, file:DIR, redis, postgres, postgres://... or firestore://..., found %s",
                       options->broker != NULL ? "--broker" : "SENNIT_BROKER", SHOWN_FOUND(span_str(broker)));
    return true;
}

bool broker_config_read(struct broker_config *config, const struct broker_options *options, struct err *err)
{
    const char *url = options->redis_url != NULL ? options->redis_url : environment("REDIS_URL");
    const char *broker = options->broker != NULL ? options->broker : environment("SENNIT_BROKER");
    if (broker != NULL && !choice_read(config, options, broker, err))
        return false;
    if (!sync_read(config, options, err))
        return false;
    if (config->choice == BROKER_CHOICE_REDIS && url == NULL)
        return err_set(err, "--broker redis: set REDIS_URL, like REDIS_URL=redis://127.0.0.1:6379");
    /* A fleet whose instances each have a broker of their own splits silently: on a platform it must be meant. */
    if (broker == NULL && url == NULL && environment("K_SERVICE") != NULL)
        return err_set(
            err, "K_SERVICE is set, so this is one instance of a fleet, but REDIS_URL is not: instances without a "
                 "common broker would split the fleet silently. Set REDIS_URL=redis://HOST:PORT (or "
                 "SENNIT_BROKER=postgres://... or firestore://...), or say --broker memory (SENNIT_BROKER=memory) if a "
                 "single instance is "
                 "all there will ever be");
    if (broker == NULL && url != NULL)
        config->choice = BROKER_CHOICE_REDIS;
    if (config->choice == BROKER_CHOICE_REDIS)
        config->url = mem_text(span_str(url));
    return true;
}

void broker_config_settle(struct broker_config *config, bool logs, const char *config_path)
{
    struct err err = {"neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set"};
    if (config->choice != BROKER_CHOICE_UNMADE)
        return;
    config->choice = BROKER_CHOICE_MEMORY;
    if (!logs)
        return;
    config->directory = directory_for(config_path);
    if (config->directory != NULL && file_make_directory(config->directory, &err) &&
        file_may_write(config->directory, &err))
        config->choice = BROKER_CHOICE_FILE;
    else
        log_event(LOG_WARNING,
                  "the log is kept in memory, and ends with this process: name a directory (--broker file:DIR), or say "
                  "--broker memory",
                  LOG_C("why", err.text));
}

bool broker_config_is_common(const struct broker_config *config)
{
    return config->choice == BROKER_CHOICE_REDIS || config->choice == BROKER_CHOICE_POSTGRES ||
           config->choice == BROKER_CHOICE_FIRESTORE;
}

void broker_config_finish(struct broker_config *config)
{
    free(config->url);
    free(config->directory);
}

const char *broker_config_name(const struct broker_config *config)
{
    static const char *const names[] = {
        [BROKER_CHOICE_UNMADE] = "none", [BROKER_CHOICE_MEMORY] = "memory",     [BROKER_CHOICE_FILE] = "file",
        [BROKER_CHOICE_REDIS] = "redis", [BROKER_CHOICE_POSTGRES] = "postgres", [BROKER_CHOICE_FIRESTORE] = "firestore",
    };
    return names[config->choice];
}
