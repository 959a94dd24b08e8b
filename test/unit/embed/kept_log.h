/* kept_log: what the log has said since a test began, for the tests of sennit.h. */
#ifndef SENNIT_TEST_KEPT_LOG_H
#define SENNIT_TEST_KEPT_LOG_H

#include <stdlib.h>
#include <string.h>

#include <sennit.h>

static char logged[16384];

static inline void keep_line(const char *line, size_t bytes)
{
    size_t len = strlen(logged);
    if (len + bytes < sizeof logged) {
        memcpy(logged + len, line, bytes);
        logged[len + bytes] = '\0';
    }
}

static inline void kept_log_begin(void)
{
    sennit_log_to(keep_line);
    logged[0] = '\0';
}

/* The environment says nothing but that any port will do. */
static inline int kept_log_set_up(void **state)
{
    kept_log_begin();
    setenv("PORT", "0", 1);
    unsetenv("REDIS_URL");
    unsetenv("K_SERVICE");
    return 0;
}

#endif
