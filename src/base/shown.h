/* shown: makes foreign text harmless for terminals, logs and errors.
 *
 * Whatever a client, Redis, an instance or a file sends may end on a terminal, in a log or in an error. Control
 * characters move the cursor, retitle the window and erase lines; bidirectional and invisible ones make a text read as
 * another; bytes that are no UTF-8 do either on some terminals. This file says which characters are harmless, and every
 * writer of such text (the log, the errors of cli/, what `sennit up` passes on, JSON) writes all other characters as
 * escapes, with the functions of this file. */
#ifndef SENNIT_BASE_SHOWN_H
#define SENNIT_BASE_SHOWN_H

#include "base/buf.h"

enum { SHOWN_BROKEN = 0x110000 }; /* for shown_next: a byte that begins no character */

/* Reads the first character of `text`, which is not empty: its code point, or SHOWN_BROKEN. Returns its bytes, 1 for a
 * broken one. (RFC 3629) */
size_t shown_next(struct span text, uint32_t *code);

/* False for characters that are never written as they are: C0 and C1 controls, DEL, line and paragraph separators,
 * bidirectional marks, embeddings, overrides and isolates, tags and other characters without a shape, and SHOWN_BROKEN.
 * The joiners U+200C and U+200D are harmless: Persian and emoji need them. */
bool shown_is_harmless(uint32_t code);
/* Bytes at the front that are printable ASCII but for quotes and backslashes: usually all of them. */
size_t shown_plain_run(struct span text);
bool shown_all_harmless(struct span text);

/* Appends `text` for people. Harmless characters as they are, a tab as four spaces, a line feed as `\n`, others as
 * `\x1b` (bytes and code points below 256) or `\u{202e}`. Of a text beyond `bytes_max` bytes only the beginning,
 * in whole characters, and "...". */
void shown_append(struct buf *to, struct span text, size_t bytes_max);

/* The same for a value behind `key=`: as it is when it is one word of ASCII without quotes, `=` and backslashes, else
 * in double quotes, with quotes and backslashes escaped. Nothing inside can end the value, or begin another. */
void shown_append_value(struct buf *to, struct span text, size_t bytes_max);

/* The beginning of `text` that stays within `bytes_max` bytes and cuts no character. */
struct span shown_cut(struct span text, size_t bytes_max);

/* For "expected ..., found ...": the value in quotes, shortened to 40 bytes; or, for a value that looks like an address
 * and so may hold a password (`redis://user:password@host`), the words "an address" and why it is not shown. */
struct shown_found {
    char text[200];
};
const char *shown_found(struct span value, struct shown_found *found);
#define SHOWN_FOUND(value) shown_found((value), &(struct shown_found){""}) /* lives to the end of the block */
/* True for a value that shown_found does not repeat. */
bool shown_may_be_secret(struct span value);

/* Appends a JSON text that is valid already, as one line of harmless characters with the same value. */
void shown_append_json_text(struct buf *to, struct span json);

#endif
