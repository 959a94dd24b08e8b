/* postgres_trouble: what is wrong with Postgres and what follows from it: log lines with their cures, broker.trouble,
 * and the end of links where only another greeting helps. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "broker/postgres_parts.h"

void postgres_trouble_set(struct postgres_broker *postgres, const char *why)
{
    broker_trouble_set(&postgres->broker, &postgres->trouble_text, why);
}

bool postgres_error_is(const PGresult *result, const char *code)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    return state != NULL && strcmp(state, code) == 0;
}

/* What only the operator can mend. */
static const struct {
    const char *code, *why;
} faults[] = {
    {"3F000", "the schema is missing: run `sennit schema postgres | psql URL` as the role that is to own it (its name "
              "is `prefix:`)"},
    {"42P01", "a table of the schema is missing: run `sennit schema postgres | psql URL` again"},
    {"42883", "a function of the schema is missing: run `sennit schema postgres | psql URL`, of this version, again"},
    {"42501", "this role may not use the schema: run `sennit schema postgres --role ROLE | psql URL` as its owner"},
    {"25006",
     "this Postgres is a replica, or read-only: give the address of its primary (several hosts are tried in turn)"},
    {"28P01", "the password is wrong: correct it in the URL, or PGPASSWORD"},
    {"28000", "this role may not connect: look at pg_hba.conf, and at the role in the URL"},
    {"3D000", "this database does not exist: correct its name in the URL, or create it"},
};

/* What passes, and how to help it. */
static const struct {
    const char *code, *what;
} hints[] = {
    {"55P03", "the counter row is locked for long"},
    {"57014", "a statement was cancelled: is statement_timeout of this role below 5s?"},
    {"53100", "the disk of Postgres is full: make room"},
    {"53200", "Postgres is out of memory"},
    {"40P01", "a deadlock was broken"},
    {"40001", "a transaction could not be serialized"},
};

static const char *fault_of(const char *code)
{
    for (size_t i = 0; code != NULL && i < sizeof faults / sizeof faults[0]; i++)
        if (strcmp(code, faults[i].code) == 0)
            return faults[i].why;
    return NULL;
}

static const char *hint_of(const char *code)
{
    for (size_t i = 0; code != NULL && i < sizeof hints / sizeof hints[0]; i++)
        if (strcmp(code, hints[i].code) == 0)
            return hints[i].what;
    return NULL;
}

void postgres_unusable(struct postgres_broker *postgres, const char *why)
{
    if (postgres->proven)
        postgres_trouble_set(postgres, why);
    else if (!postgres->complained)
        log_event(LOG_ERROR, "the broker cannot be used", LOG_C("why", why));
    postgres->complained = true;
    if (!postgres->proven && !postgres->unusable && postgres->url.place_count == 1) {
        postgres->unusable = true;
        broker_went_unusable(&postgres->broker, why);
    }
    postgres->place++;
    postgres_break(postgres);
}

/* The words of a connection that failed have no code: libpq gives none. */
void postgres_refused(struct postgres_broker *postgres, const char *why)
{
    static const struct {
        const char *words, *code;
    } known[] = {
        {"password authentication failed", "28P01"},
        {"no password supplied", "28P01"},
        {"no pg_hba.conf entry", "28000"},
        {"role \"", "28000"},
        {"database \"", "3D000"},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strstr(why, known[i].words) == NULL)
            continue;
        char *text = mem_printf("%s (%s)", fault_of(known[i].code), why);
        postgres_unusable(postgres, text);
        free(text);
        return;
    }
    if (!postgres->complained)
        log_event(LOG_WARNING, "the broker cannot be reached; retrying", LOG_C("why", why));
    postgres->complained = true;
}

/* Names whoever holds the counter row. */
static void blocker_told(void *arg, const PGresult *result)
{
    struct postgres_broker *postgres = arg;
    bool ends = postgres->blaming == BLAME_THEN_BREAK;
    postgres->blaming = BLAME_NOBODY;
    if (result != NULL && PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) > 0) {
        struct span doing = pg_bytes(result, 0, 1), name = pg_bytes(result, 0, 3);
        unsigned long long pid = pg_number(result, 0, 0);
        char *why =
            mem_printf("the counter row is locked by process %llu of Postgres (application \"" SPAN_FMT "\", " SPAN_FMT
                       "), so nothing can be accepted: end it with SELECT pg_terminate_backend(%llu)",
                       pid, SPAN_ARG(name), SPAN_ARG(doing), pid);
        postgres_trouble_set(postgres, why);
        free(why);
    }
    if (ends && result != NULL)
        postgres_break(postgres);
}

static void blame(struct postgres_broker *postgres, enum postgres_blame then)
{
    bool asked = postgres->blaming != BLAME_NOBODY;
    if (postgres->blaming < then)
        postgres->blaming = (uint8_t)then;
    if (!asked)
        pg_link_call(&postgres->feed_link, postgres->statements[PG_BLOCKER], NULL, blocker_told, postgres);
}

/* True if these links may go on. */
static bool error_tell(struct postgres_broker *postgres, const PGresult *result, const char *what)
{
    const char *code = PQresultErrorField(result, PG_DIAG_SQLSTATE), *hint = hint_of(code), *fault = fault_of(code);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (fault != NULL) {
        postgres_unusable(postgres, fault);
        return false;
    }
    if (hint != NULL)
        postgres_trouble_set(postgres, hint);
    log_event(LOG_WARNING, "Postgres answered with an error", LOG_C("while", what),
              LOG_C("code", code != NULL ? code : ""), LOG_C("error", text != NULL ? text : ""));
    return hint != NULL;
}

static bool is_locked_out(const struct postgres_broker *postgres, const PGresult *result)
{
    return postgres_error_is(result, "55P03") && postgres->feed_link.state == PG_LINK_OPEN;
}

bool postgres_is_error(struct postgres_broker *postgres, const PGresult *result, const char *what)
{
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return false;
    if (postgres->state == POSTGRES_DOWN)
        return true;
    error_tell(postgres, result, what);
    if (is_locked_out(postgres, result))
        blame(postgres, BLAME_THEN_BREAK);
    else
        postgres_break(postgres);
    return true;
}

bool postgres_may_pass(struct postgres_broker *postgres, const PGresult *result, const char *what)
{
    if (PQresultStatus(result) == PGRES_TUPLES_OK || PQresultStatus(result) == PGRES_COMMAND_OK)
        return false;
    if (postgres->state == POSTGRES_DOWN)
        return true;
    bool stay = error_tell(postgres, result, what);
    if (is_locked_out(postgres, result))
        blame(postgres, BLAME_ALONE);
    else if (!stay)
        postgres_break(postgres);
    return true;
}

void postgres_invalid(struct postgres_broker *postgres, const char *which)
{
    log_event(LOG_ERROR, "the broker sent an invalid answer: reconnecting", LOG_C("which", which));
    postgres_break(postgres);
}
