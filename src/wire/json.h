/* json: a scanner (RFC 8259) that validates and finds the envelope, building no tree.
 *
 * Values stay the bytes they came as, so that a relay passes payloads through untouched. No recursion: depth is
 * bounded. */
#ifndef SENNIT_WIRE_JSON_H
#define SENNIT_WIRE_JSON_H

#include "base/buf.h"
#include "base/span.h"

enum {
    JSON_DEPTH_MAX = 1024,  /* levels of arrays and objects */
    JSON_NUMBER_BYTES = 32, /* of a number that we write, its NUL included */
};

enum json_type { JSON_INVALID, JSON_NULL, JSON_TRUE, JSON_FALSE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

/* Length of the one valid JSON value that starts `text` (leading white space included), or 0 when there is none:
 * invalid, cut off, deeper than JSON_DEPTH_MAX, strings that are not UTF-8. */
size_t json_value_len(struct span text);
/* The whole of `text`, but for white space around it, is one valid value. */
bool json_is_valid(struct span text);
/* The same; `*deepest` is the number of levels. JSON_DEPTH_MAX + 1: there are more, and the rest was not looked at. */
bool json_is_valid_to(struct span text, uint32_t *deepest);
/* `text` without JSON's white space around it. */
struct span json_trim(struct span text);
/* Type by the first byte of a valid value, which has no white space in front; JSON_INVALID for an empty span. */
enum json_type json_type(struct span value);

/* Walks a valid array: `*rest` starts as the whole array and is changed; each call gives the next element without white
 * space around it. False at the end. */
bool json_array_next(struct span *rest, struct span *element);
/* Element `index` of a valid value, or a span with NULL data: it is no array, or too short. */
struct span json_array_at(struct span array, size_t index);
/* Walks a valid object likewise; `key` is the raw string with its quotes. */
bool json_object_next(struct span *rest, struct span *key, struct span *value);
/* The value of the last member called `name` of a valid value, or a span with NULL data: it is no object, or has none.
 * (jansson, which cjose brings, has a function of this name: for the linker this one has another.) */
struct span json_object_get(struct span object, struct span name) __asm__("wire_json_object_get");

/* Length of the valid string that starts `text`, both quotes included, or 0. */
size_t json_string_len(struct span text);
/* Appends the text of a valid JSON string, escapes resolved, as UTF-8 (a lone surrogate becomes U+FFFD). False when
 * `value` is not a string. */
bool json_string_decode(struct span value, struct buf *to);
/* The decoded text of a member; empty if there is none, or it is no string. The caller finishes the buffer. */
struct buf json_text_get(struct span object, const char *name);
/* Appends a member with a comma behind it: `"name":"text",`. */
void json_text_append(struct buf *to, const char *name, struct span text);
/* A valid JSON string equals `text`, without a copy where it has no escapes. */
bool json_string_equal(struct span value, struct span text);

/* json_number.c: as strtod, and as printf's %.*g of a finite number, but in no locale: with a point. */
double json_number_read(const char *text, char **end);
void json_number_write(char text[JSON_NUMBER_BYTES], double number, int digits);

#endif
