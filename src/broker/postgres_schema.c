/* postgres_schema: the script of `sennit schema postgres`. Tables change by numbered versions, each made once;
 * functions have no state, and are made anew each time. */
#include "broker/postgres_schema.h"

#include <string.h>

#include "base/shown.h"
#include "broker_sql.h"

static const char *const versions[POSTGRES_SCHEMA_VERSION] = {sql_tables, sql_tables_2};

bool postgres_schema_name_check(const char *name, struct err *err)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    size_t len = strlen(name);
    return (len >= 1 && len <= POSTGRES_SCHEMA_BYTES_MAX && name[strspn(name, allowed)] == '\0') ||
           err_set(err, "the schema's name (`prefix:`): expected 1 to %d letters, digits, _ and -, found %s",
                   POSTGRES_SCHEMA_BYTES_MAX, SHOWN_FOUND(span_str(name)));
}

/* In quotes, those inside doubled. */
static void quoted_append(struct buf *to, const char *text, char quote)
{
    buf_append_char(to, quote);
    for (; *text != '\0'; text++) {
        if (*text == quote)
            buf_append_char(to, quote);
        buf_append_char(to, *text);
    }
    buf_append_char(to, quote);
}

static void version_print(struct buf *to, int version, const char *tables)
{
    buf_printf(to, "DO $sennit$ BEGIN\nIF (SELECT coalesce(max(number), 0) FROM version) < %d THEN\n", version);
    buf_append(to, span_str(tables));
    buf_printf(to, "INSERT INTO version VALUES (%d);\nEND IF;\nEND $sennit$;\n\n", version);
}

void postgres_schema_print(struct buf *to, const char *name, const char *role)
{
    buf_printf(to,
               "-- The schema of Sennit %s, version %d. Run it as the role that is to own it:\n"
               "--     sennit schema postgres | psql -v ON_ERROR_STOP=1 URL\n"
               "BEGIN;\nSELECT pg_advisory_xact_lock(7310003551);\nSET LOCAL client_min_messages = warning;\n"
               "CREATE SCHEMA IF NOT EXISTS ",
               SENNIT_VERSION, POSTGRES_SCHEMA_VERSION);
    quoted_append(to, name, '"');
    buf_append(to, SPAN_LIT(";\nSET LOCAL search_path = "));
    quoted_append(to, name, '"');
    buf_append(to, SPAN_LIT(", pg_temp;\nSELECT set_config('sennit.role', "));
    quoted_append(to, role != NULL ? role : "", '\'');
    buf_append(to, SPAN_LIT(", true);\nCREATE TABLE IF NOT EXISTS version (number int PRIMARY KEY);\n\n"));
    for (int i = 0; i < POSTGRES_SCHEMA_VERSION; i++)
        version_print(to, i + 1, versions[i]);
    buf_append(to, span_str(sql_functions));
    buf_append_char(to, '\n');
    buf_append(to, span_str(sql_leases));
    buf_append_char(to, '\n');
    buf_append(to, span_str(sql_records));
    buf_append_char(to, '\n');
    buf_append(to, span_str(sql_rights));
    buf_append(to, SPAN_LIT("COMMIT;\n"));
}
