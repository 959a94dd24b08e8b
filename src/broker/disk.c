/* disk: opening, reading and writing the file of a broker on disk.
 *
 * Statements are prepared once. The database's own lock is exclusive, so that no shared memory is needed; `lock` beside
 * it says which process has it. synchronous=NORMAL syncs the write-ahead log only before it is folded into the
 * database, so a power cut may take the newest commits, never a part of one; FULL, for one transaction, syncs all of
 * it. */
#include "broker/disk.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "broker/journal_ops.h"
#include "loop/file.h"

enum { APPLICATION = 0x53656e74, VERSION = 2, WHY_BYTES_MAX = 200 };

struct disk {
    char *directory, *path;
    struct file_lock lock;
    sqlite3 *database;
    sqlite3_stmt *statements[JOURNAL_OP_COUNT];
};

static const struct journal_shape shapes[] = {JOURNAL_OPS(JOURNAL_SHAPE)};

#define STATEMENT_TEXT(name, numbers, texts, statement) statement,
static const char *const statement_texts[] = {JOURNAL_OPS(STATEMENT_TEXT)};

/* A room's last and newest_ms count while it has no entries. `end`: NULL for the epoch that has not ended. */
static const char schema[] =
    "CREATE TABLE state (counter INTEGER NOT NULL, syncs INTEGER NOT NULL); INSERT INTO state VALUES (0, 0);"
    "CREATE TABLE epochs (number INTEGER PRIMARY KEY, name BLOB NOT NULL, end INTEGER);"
    "CREATE TABLE rooms (number INTEGER PRIMARY KEY, last INTEGER NOT NULL, newest_ms INTEGER NOT NULL,"
    " age_ms INTEGER NOT NULL, name BLOB NOT NULL);"
    "CREATE TABLE entries (seq INTEGER PRIMARY KEY, room INTEGER NOT NULL, prev INTEGER NOT NULL,"
    " time_ms INTEGER NOT NULL, audience BLOB NOT NULL, body BLOB NOT NULL);"
    "CREATE TABLE names (number INTEGER PRIMARY KEY, room INTEGER NOT NULL, digest INTEGER NOT NULL,"
    " until_ms INTEGER NOT NULL, id BLOB NOT NULL);"
    "CREATE TABLE leases (pid BLOB PRIMARY KEY, generation INTEGER NOT NULL, window_ms INTEGER NOT NULL,"
    " until_ms INTEGER NOT NULL, sid BLOB NOT NULL, own BLOB NOT NULL, rooms BLOB NOT NULL, data BLOB NOT NULL,"
    " watch BLOB NOT NULL DEFAULT x'');"
    "CREATE TABLE presents (room INTEGER NOT NULL, sid BLOB NOT NULL, generation INTEGER NOT NULL,"
    " data BLOB NOT NULL, PRIMARY KEY (room, sid)) WITHOUT ROWID;";

/* What makes the tables of version 1 those of version 2. */
static const char from_version_1[] = "ALTER TABLE leases ADD COLUMN watch BLOB NOT NULL DEFAULT x''";

const char *disk_directory(const struct disk *disk)
{
    return disk->directory;
}

static bool failed(const struct disk *disk, struct err *err)
{
    int code = sqlite3_errcode(disk->database) & 0xff;
    bool damaged = code == SQLITE_CORRUPT || code == SQLITE_NOTADB;
    return err_set(err, "%.300s: %.*s%s", disk->path, WHY_BYTES_MAX, sqlite3_errmsg(disk->database),
                   damaged
                       ? ". Move it and its -wal away to begin anew (clients are told that the history is gone), or "
                         "put a copy in its place"
                       : "");
}

static bool run(struct disk *disk, const char *sql)
{
    return sqlite3_exec(disk->database, sql, NULL, NULL, NULL) == SQLITE_OK;
}

/* The number that the pragma has; -1: the file cannot be read. */
static int64_t pragma(struct disk *disk, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    int64_t value = -1;
    if (sqlite3_prepare_v2(disk->database, sql, -1, &statement, NULL) == SQLITE_OK &&
        sqlite3_step(statement) == SQLITE_ROW)
        value = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return value;
}

/* Whether the database is ours and of this version, which an empty one becomes. */
static bool schema_settle(struct disk *disk, struct err *err)
{
    char sql[128];
    int64_t objects = pragma(disk, "SELECT count(*) FROM sqlite_schema");
    int64_t application = pragma(disk, "PRAGMA application_id"), version = pragma(disk, "PRAGMA user_version");
    if (objects < 0 || application < 0 || version < 0)
        return failed(disk, err);
    if (objects > 0 && application != APPLICATION)
        return err_set(err, "%.300s: is a database of another program: name another directory (--broker file:DIR)",
                       disk->path);
    snprintf(sql, sizeof sql, "PRAGMA application_id = %d; PRAGMA user_version = %d;", APPLICATION, VERSION);
    if (objects > 0 && version == 1)
        return (run(disk, "BEGIN IMMEDIATE") && run(disk, from_version_1) && run(disk, sql) && run(disk, "COMMIT")) ||
               failed(disk, err);
    if (objects > 0 && version != VERSION)
        return err_set(err,
                       "%.300s: has version %lld of its tables, and this Sennit knows version %d: use the Sennit that "
                       "made it, or another directory (--broker file:DIR)",
                       disk->path, (long long)version, VERSION);
    return objects > 0 ||
           (run(disk, "BEGIN IMMEDIATE") && run(disk, schema) && run(disk, sql) && run(disk, "COMMIT")) ||
           failed(disk, err);
}

static bool database_open(struct disk *disk, struct err *err)
{
    if (!file_create(disk->path, err))
        return false;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;
    if (sqlite3_open_v2(disk->path, &disk->database, flags, NULL) != SQLITE_OK ||
        !run(disk, "PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;"
                   "PRAGMA trusted_schema = OFF;"))
        return failed(disk, err);
    if (!schema_settle(disk, err))
        return false;
    for (int op = 0; op < JOURNAL_OP_COUNT; op++)
        if (sqlite3_prepare_v3(disk->database, statement_texts[op], -1, SQLITE_PREPARE_PERSISTENT,
                               &disk->statements[op], NULL) != SQLITE_OK)
            return failed(disk, err);
    return true;
}

static bool lock_take(struct disk *disk, struct err *err)
{
    struct err why;
    char *path = mem_printf("%s/lock", disk->directory);
    bool ok = file_lock_take(&disk->lock, path, &why) ||
              err_set(err,
                      "%.300s. One instance at a time owns such a directory: stop that process, or give this one "
                      "another directory (--broker file:DIR), or connect both through Redis or Postgres",
                      why.text);
    free(path);
    return ok;
}

struct disk *disk_open(const char *directory, struct err *err)
{
    struct disk *disk = mem_zero(1, sizeof *disk);
    disk->lock.fd = -1;
    disk->directory = mem_text(span_str(directory));
    disk->path = mem_printf("%s/sennit.db", directory);
    if (file_make_directory(directory, err) && lock_take(disk, err) && database_open(disk, err))
        return disk;
    disk_close(disk);
    return NULL;
}

void disk_close(struct disk *disk)
{
    if (disk == NULL)
        return;
    for (int op = 0; op < JOURNAL_OP_COUNT; op++)
        sqlite3_finalize(disk->statements[op]);
    sqlite3_close(disk->database);
    file_lock_drop(&disk->lock);
    free(disk->directory);
    free(disk->path);
    free(disk);
}

static struct span column_text(sqlite3_stmt *row, int column)
{
    const void *bytes = sqlite3_column_blob(row, column);
    return span_of(bytes != NULL ? bytes : "", (size_t)sqlite3_column_bytes(row, column));
}

static uint64_t column_number(sqlite3_stmt *row, int column)
{
    return (uint64_t)sqlite3_column_int64(row, column);
}

typedef void row_fn(const struct disk_reader *reader, void *arg, sqlite3_stmt *row);

static void epoch_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    reader->epoch(arg, column_number(row, 0), column_text(row, 1), sqlite3_column_type(row, 2) != SQLITE_NULL,
                  column_number(row, 2));
}

static void counter_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    reader->counter(arg, column_number(row, 0));
}

static void room_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    reader->room(arg, column_number(row, 0), column_text(row, 1), column_number(row, 2), sqlite3_column_int64(row, 3),
                 column_number(row, 4));
}

static void entry_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    struct broker_entry entry = {
        .seq = column_number(row, 0),
        .prev = column_number(row, 2),
        .time_ms = sqlite3_column_int64(row, 3),
        .audience = column_text(row, 4),
        .body = column_text(row, 5),
    };
    reader->entry(arg, column_number(row, 1), &entry);
}

static void name_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    reader->name(arg, column_number(row, 0), column_number(row, 1), column_number(row, 2), sqlite3_column_int64(row, 3),
                 column_text(row, 4));
}

static void lease_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    struct broker_lease lease = {
        .pid = column_text(row, 0),
        .generation = column_number(row, 1),
        .window_ms = column_number(row, 2),
        .sid = column_text(row, 4),
        .own = column_text(row, 5),
        .rooms = column_text(row, 6),
        .data = column_text(row, 7),
        .watch = column_text(row, 8),
    };
    reader->lease(arg, &lease, sqlite3_column_int64(row, 3));
}

static void present_row(const struct disk_reader *reader, void *arg, sqlite3_stmt *row)
{
    struct broker_present who = {
        .sid = column_text(row, 1), .generation = column_number(row, 2), .data = column_text(row, 3)};
    reader->present(arg, column_number(row, 0), &who);
}

static const struct {
    const char *sql;
    row_fn *row;
} tables[] = {
    {"SELECT number, name, end FROM epochs ORDER BY number", epoch_row},
    {"SELECT counter FROM state", counter_row},
    {"SELECT number, name, last, newest_ms, age_ms FROM rooms ORDER BY number", room_row},
    {"SELECT seq, room, prev, time_ms, audience, body FROM entries ORDER BY seq", entry_row},
    {"SELECT number, room, digest, until_ms, id FROM names ORDER BY number", name_row},
    {"SELECT pid, generation, window_ms, until_ms, sid, own, rooms, data, watch FROM leases", lease_row},
    {"SELECT room, sid, generation, data FROM presents", present_row},
};

bool disk_read(struct disk *disk, const struct disk_reader *reader, void *arg, struct err *err)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        sqlite3_stmt *row = NULL;
        int got = sqlite3_prepare_v2(disk->database, tables[i].sql, -1, &row, NULL);
        while (got == SQLITE_OK || got == SQLITE_ROW) {
            got = sqlite3_step(row);
            if (got == SQLITE_ROW)
                tables[i].row(reader, arg, row);
        }
        sqlite3_finalize(row);
        if (got != SQLITE_DONE)
            return failed(disk, err);
    }
    return true;
}

/* Carries out the note at the front, and takes it off. */
static bool note_run(struct disk *disk, struct span *notes)
{
    const char *at = notes->data;
    unsigned op = (unsigned char)*at++;
    const struct journal_shape *shape = &shapes[op];
    sqlite3_stmt *statement = disk->statements[op];
    for (int i = 0; i < shape->numbers; i++, at += sizeof(int64_t)) {
        int64_t number;
        memcpy(&number, at, sizeof number);
        sqlite3_bind_int64(statement, i + 1, number);
    }
    for (int i = 0; i < shape->texts; i++) {
        uint32_t len;
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        sqlite3_bind_blob(statement, shape->numbers + i + 1, at, (int)len, SQLITE_STATIC);
        at += len;
    }
    *notes = span_from(*notes, (size_t)(at - notes->data));
    bool ok = sqlite3_step(statement) == SQLITE_DONE;
    sqlite3_reset(statement);
    sqlite3_clear_bindings(statement);
    return ok;
}

bool disk_write(struct disk *disk, struct span notes, bool sync, struct err *err)
{
    bool ok =
        run(disk, sync ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL") && run(disk, "BEGIN IMMEDIATE");
    /* A transaction that changes nothing syncs nothing. */
    if (ok && sync && notes.len == 0)
        ok = run(disk, "UPDATE state SET syncs = syncs + 1");
    while (ok && notes.len > 0)
        ok = note_run(disk, &notes);
    if (ok && run(disk, "COMMIT"))
        return true;
    failed(disk, err);
    if (sqlite3_get_autocommit(disk->database) == 0)
        run(disk, "ROLLBACK");
    return false;
}
