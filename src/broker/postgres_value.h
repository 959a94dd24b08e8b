/* postgres_value: arguments for Postgres and rows from it, both in its binary format (big-endian). */
#ifndef SENNIT_BROKER_POSTGRES_VALUE_H
#define SENNIT_BROKER_POSTGRES_VALUE_H

#include <libpq-fe.h>

#include "base/buf.h"

enum { PG_ARGS_MAX = 17 };

/* The arguments of one call, in the making; zeroed: none. */
struct pg_args {
    struct buf bytes;
    size_t at[PG_ARGS_MAX], len[PG_ARGS_MAX];
    bool is_null[PG_ARGS_MAX];
    int count;
};

/* Each appends one argument, of the type that its name says: text and bytea, bigint, int, boolean. */
void pg_add_bytes(struct pg_args *args, struct span bytes);
void pg_add_text(struct pg_args *args, const char *text);
void pg_add_big(struct pg_args *args, uint64_t number); /* one that is too large becomes the largest */
void pg_add_int(struct pg_args *args, uint32_t number);
void pg_add_bool(struct pg_args *args, bool yes);
void pg_add_null(struct pg_args *args);
/* An array: begin says the type of its `count` elements, then come as many of one of these. */
enum pg_array { PG_BYTEAS, PG_BIGS, PG_INTS };
void pg_array_begin(struct pg_args *args, enum pg_array of, uint32_t count);
void pg_array_bytes(struct pg_args *args, struct span bytes);
void pg_array_big(struct pg_args *args, uint64_t number);
void pg_array_int(struct pg_args *args, uint32_t number);
void pg_array_end(struct pg_args *args);
void pg_args_finish(struct pg_args *args);

/* A field of a row: bytes are borrowed from the result; a number (bigint or int) that is negative, or NULL, is 0. */
struct span pg_bytes(const PGresult *result, int row, int column);
uint64_t pg_number(const PGresult *result, int row, int column);
/* The elements of an array, `max` at most; returns how many. */
size_t pg_elements(const PGresult *result, int row, int column, struct span *to, size_t max);
uint64_t pg_number_of(struct span field);
bool pg_flag(const PGresult *result, int row, int column);
/* Reads what SQL has packed: numbers of eight bytes, and bytes behind their number (four). Anything else makes it bad.
 */
struct pg_pack {
    struct span rest;
    bool bad;
};
uint64_t pg_pack_number(struct pg_pack *pack);
struct span pg_pack_bytes(struct pg_pack *pack);
bool pg_is(const PGresult *result, int row, int column, const char *text);

#endif
