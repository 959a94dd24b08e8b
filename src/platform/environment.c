/* environment: checks names of variables and builds the list of NAME=value for instances. */
#include "platform/environment.h"

#include <stdlib.h>

#include "base/mem.h"

static struct span name_of(const char *text)
{
    struct span rest = span_str(text), name;
    span_next(&rest, '=', &name);
    return name;
}

bool environment_name_is_valid(struct span name)
{
    if (name.len == 0 || name.len > ENVIRONMENT_NAME_BYTES_MAX || (name.data[0] >= '0' && name.data[0] <= '9'))
        return false;
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
              c == '.'))
            return false;
    }
    return true;
}

/* env->count: it is not there. */
static size_t find(const struct words *env, struct span name)
{
    size_t at = 0;
    while (at < env->count && !span_equal(name_of(env->list[at]), name))
        at++;
    return at;
}

void environment_set(struct words *env, char *text)
{
    size_t at = find(env, name_of(text));
    if (at == env->count) {
        words_add(env, text);
        return;
    }
    free(env->list[at]);
    env->list[at] = text;
}

struct span environment_get(const struct words *env, struct span name)
{
    size_t at = find(env, name);
    return at < env->count ? span_from(span_str(env->list[at]), name.len + 1) : span_str("");
}

bool environment_has(const struct words *env, struct span name)
{
    return find(env, name) < env->count;
}

void environment_unset(struct words *env, struct span name)
{
    size_t kept = 0;
    for (size_t i = 0; i < env->count; i++) {
        if (span_equal(name_of(env->list[i]), name))
            free(env->list[i]);
        else
            env->list[kept++] = env->list[i];
    }
    env->count = kept;
    if (env->list != NULL)
        env->list[kept] = NULL;
}

void environment_add_system(struct words *env)
{
    static const char *const names[] = {"PATH", "HOME", "TMPDIR", "LANG"};
    environment_set(env, mem_text(SPAN_LIT("PATH=/usr/local/bin:/usr/bin:/bin")));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value != NULL)
            environment_set(env, mem_printf("%s=%s", names[i], value));
    }
}

static bool is_among(struct span name, const char *const *names)
{
    while (*names != NULL && !span_equal(name, span_str(*names)))
        names++;
    return *names != NULL;
}

bool environment_is_reserved(struct span name, bool redis, bool postgres)
{
    static const char *const always[] = {"PORT",
                                         "K_SERVICE",
                                         "K_REVISION",
                                         "K_CONFIGURATION",
                                         "SENNIT_INSTANCE",
                                         "SENNIT_REQUEST_TIMEOUT_SECONDS",
                                         "SENNIT_CONCURRENCY",
                                         NULL};
    static const char *const of_redis[] = {"REDIS_URL", "REDISHOST", "REDISPORT", NULL};
    static const char *const of_postgres[] = {"DATABASE_URL", "PGHOST", "PGPORT", "PGDATABASE", "PGUSER", NULL};
    return is_among(name, always) || (redis && is_among(name, of_redis)) || (postgres && is_among(name, of_postgres));
}

bool environment_pass(struct words *env, const char *const *names, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i];
        /* A text that is not a name may hold a secret, so the error does not repeat it. */
        if (!environment_name_is_valid(span_str(name)))
            return err_set(err,
                           "--env takes the name of a variable of this shell: NAME=VALUE sennit up --env NAME ...");
        if (environment_is_reserved(span_str(name), false, false))
            return err_set(err, "--env %s: the platform sets this variable itself", name);
        const char *value = getenv(name);
        if (value == NULL)
            return err_set(err, "--env %.100s: this variable is not set here; set and export it, or leave --env out",
                           name);
        environment_set(env, mem_printf("%s=%s", name, value));
    }
    return true;
}
