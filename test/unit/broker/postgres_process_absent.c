/* postgres_process_absent: without libpq nothing here can be tried. */
#include <stdlib.h>

#include "postgres_process.h"

bool postgres_process_is_installed(void)
{
    return false;
}

void postgres_process_start(struct postgres_process *postgres, const char *const *options)
{
    abort();
}

void postgres_process_finish(struct postgres_process *postgres)
{
}

void postgres_process_schema(struct postgres_process *postgres, const char *name, const char *role)
{
    abort();
}

long long postgres_ask_number(struct postgres_process *postgres, const char *format, ...)
{
    abort();
}
