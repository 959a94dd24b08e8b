/* journal_ops: the operations that a journal holds and a disk carries out.
 *
 * A note is a byte with the operation, its numbers (8 bytes each), and its texts (4 bytes of length, then the bytes);
 * both in this machine's order, since notes never leave the process. Each is one statement of SQL, whose parameters are
 * the numbers and then the texts. */
#ifndef SENNIT_BROKER_JOURNAL_OPS_H
#define SENNIT_BROKER_JOURNAL_OPS_H

/* X(name, numbers, texts, statement) */
#define JOURNAL_OPS(X) \
    X(COUNTER, 1, 0, "UPDATE state SET counter = ?1") \
    X(EPOCH_END, 1, 0, "UPDATE epochs SET end = ?1 WHERE end IS NULL") \
    X(EPOCH, 1, 1, "INSERT INTO epochs (number, name) VALUES (?1, ?2)") \
    X(EPOCH_DROP, 1, 0, "DELETE FROM epochs WHERE number <= ?1") \
    X(ROOM, 4, 1, "INSERT OR REPLACE INTO rooms (number, last, newest_ms, age_ms, name) VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(ROOM_DROP, 1, 0, "DELETE FROM rooms WHERE number = ?1") \
    X(ENTRY, 4, 2, "INSERT INTO entries (seq, room, prev, time_ms, audience, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6)") \
    X(ENTRY_DROP, 1, 0, "DELETE FROM entries WHERE seq = ?1") \
    X(NAME, 4, 1, "INSERT INTO names (number, room, digest, until_ms, id) VALUES (?1, ?2, ?3, ?4, ?5)") \
    X(NAME_DROP, 1, 0, "DELETE FROM names WHERE number = ?1") \
    X(LEASE, 3, 6, \
      "INSERT OR REPLACE INTO leases (generation, window_ms, until_ms, pid, sid, own, rooms, data, watch) " \
      "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)") \
    X(LEASE_MOVE, 2, 1, "UPDATE leases SET generation = ?1, until_ms = ?2 WHERE pid = ?3") \
    X(LEASE_DROP, 0, 1, "DELETE FROM leases WHERE pid = ?1") \
    X(PRESENT, 2, 2, "INSERT OR REPLACE INTO presents (room, generation, sid, data) VALUES (?1, ?2, ?3, ?4)") \
    X(PRESENT_DROP, 1, 1, "DELETE FROM presents WHERE room = ?1 AND sid = ?2")

enum journal_op {
#define JOURNAL_ENUM(name, numbers, texts, statement) JOURNAL_##name,
    JOURNAL_OPS(JOURNAL_ENUM)
#undef JOURNAL_ENUM
        JOURNAL_OP_COUNT
};

/* How many numbers and texts each operation has. */
struct journal_shape {
    unsigned char numbers, texts;
};
#define JOURNAL_SHAPE(name, numbers, texts, statement) {numbers, texts},

#endif
