/* vector: see vector.h. The reader of the format, and the replay. */
#include "vectors/vector.h"

#include <assert.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    RUN_BYTES_MIN = 32,      /* equal bytes that are written as a run */
    RANDOM_REPLAYS = 12,     /* a vector */
    PIECE_BYTES = 64,        /* of a short random piece at most */
    REPEAT_MAX = 10000000,   /* of `"x"*N` */
    BYTEWISE_ENDS_MAX = 600, /* of a long vector this much is fed by single bytes at each end */
    BYTEWISE_STEP = 61,      /* and in pieces of this size between */
};

/* Errors in a vector file are errors of whoever wrote it: the run ends. */
static _Noreturn void vector_bad(const struct vector *vector, unsigned line, const char *what)
{
    fprintf(stderr, SPAN_FMT ":%u: %s\n", SPAN_ARG(vector->file), line, what);
    exit(2);
}

struct span vector_option(const struct vector *vector, const char *key)
{
    for (size_t i = 0; i < vector->option_count; i++)
        if (span_equal(vector->options[i].key, span_str(key)))
            return vector->options[i].value;
    return (struct span){NULL, 0};
}

uint64_t vector_number(const struct vector *vector, const char *key, uint64_t otherwise)
{
    struct span value = vector_option(vector, key);
    if (value.data != NULL && !span_to_u64(value, &otherwise))
        vector_bad(vector, vector->line, "an option that should be a number");
    return otherwise;
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *at = c != '\0' ? strchr(digits, c) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

/* One escape behind its backslash; `*rest` moves on. -1 when it is none. */
static int escape_decode(struct span *rest)
{
    static const char from[] = "rnt0\\\"", to[] = "\r\n\t\0\\\"";
    if (rest->len == 0)
        return -1;
    char c = rest->data[0];
    *rest = span_from(*rest, 1);
    if (c == 'x') {
        if (rest->len < 2)
            return -1;
        int high = hex_value(rest->data[0]), low = hex_value(rest->data[1]);
        *rest = span_from(*rest, 2);
        return high < 0 || low < 0 ? -1 : high << 4 | low;
    }
    const char *at = strchr(from, c);
    return at != NULL && c != '\0' ? (unsigned char)to[at - from] : -1;
}

/* "..." and an optional *N behind it; `*rest` moves on. */
static bool quoted_decode(struct span *rest, struct buf *to)
{
    size_t start = to->len;
    if (rest->len == 0 || rest->data[0] != '"')
        return false;
    *rest = span_from(*rest, 1);
    for (;;) {
        if (rest->len == 0)
            return false;
        char c = rest->data[0];
        *rest = span_from(*rest, 1);
        if (c == '"')
            break;
        int byte = c == '\\' ? escape_decode(rest) : (unsigned char)c;
        if (byte < 0)
            return false;
        buf_append_char(to, (char)byte);
    }
    if (rest->len == 0 || rest->data[0] != '*')
        return true;
    size_t digits = 1;
    while (digits < rest->len && rest->data[digits] >= '0' && rest->data[digits] <= '9')
        digits++;
    uint64_t times;
    if (!span_to_u64(span_sub(*rest, 1, digits - 1), &times) || times == 0 || times > REPEAT_MAX)
        return false;
    *rest = span_from(*rest, digits);
    struct buf once = {0};
    buf_append(&once, span_from(buf_span(to), start));
    for (uint64_t i = 1; i < times; i++)
        buf_append(to, buf_span(&once));
    buf_finish(&once);
    return true;
}

static void input_line(struct vector *vector, unsigned line, struct span value)
{
    while (value.len != 0) {
        if (!quoted_decode(&value, &vector->in))
            vector_bad(vector, line, "expected \"...\" or \"...\"*N");
        value = span_trim(value);
    }
}

/* Reads the next vector; false at the end. `*line` counts lines of the file. */
static bool vector_next(struct span *rest, unsigned *line, struct vector *vector)
{
    struct span text, key;
    while (span_next(rest, '\n', &text)) {
        ++*line;
        text = span_trim(text);
        if (text.len == 0 && vector->name.len != 0)
            return true;
        if (text.len == 0 || text.data[0] == '#')
            continue;
        struct span value = text;
        if (!span_next(&value, ':', &key) || value.data == NULL)
            vector_bad(vector, *line, "expected \"key: value\"");
        value = span_trim(value);
        if (span_equal(key, SPAN_LIT("name"))) {
            if (vector->name.len != 0)
                vector_bad(vector, *line, "an empty line belongs between vectors");
            vector->name = value;
            vector->line = *line;
        } else if (vector->name.len == 0) {
            vector_bad(vector, *line, "a vector starts with its name");
        } else if (span_equal(key, SPAN_LIT("in"))) {
            input_line(vector, *line, value);
        } else if (span_equal(key, SPAN_LIT("out"))) {
            buf_append(&vector->out, value);
            buf_append_char(&vector->out, '\n');
        } else if (vector->option_count == VECTOR_OPTIONS_MAX) {
            vector_bad(vector, *line, "too many options");
        } else {
            vector->options[vector->option_count].key = key;
            vector->options[vector->option_count++].value = value;
        }
    }
    return vector->name.len != 0;
}

/* Length of the run of equal bytes at the start. */
static size_t run_len(struct span bytes)
{
    size_t len = 0;
    while (len < bytes.len && bytes.data[len] == bytes.data[0])
        len++;
    return len;
}

static void quote_char(struct buf *out, char c)
{
    static const char plain[] = "\r\n\t\\\"", letters[] = "rnt\\\"";
    const char *at = c != '\0' ? strchr(plain, c) : NULL;
    if (at != NULL)
        buf_printf(out, "\\%c", letters[at - plain]);
    else if ((unsigned char)c < 0x20 || (unsigned char)c >= 0x7f)
        buf_printf(out, "\\x%02x", (unsigned char)c);
    else
        buf_append_char(out, c);
}

void vector_quote(struct buf *out, struct span bytes)
{
    bool open = false;
    if (bytes.len == 0)
        buf_append(out, SPAN_LIT("\"\""));
    for (size_t at = 0; at < bytes.len;) {
        size_t run = run_len(span_from(bytes, at));
        if (!open || run >= RUN_BYTES_MIN) {
            buf_append(out, span_str(open ? "\" \"" : at != 0 ? " \"" : "\""));
            open = true;
        }
        quote_char(out, bytes.data[at]);
        at += run >= RUN_BYTES_MIN ? run : 1;
        if (run >= RUN_BYTES_MIN) {
            buf_printf(out, "\"*%zu", run);
            open = false;
        }
    }
    if (open)
        buf_append_char(out, '"');
}

/* Memory that ends where nothing can be read. */
struct guarded {
    char *pages;
    size_t bytes; /* readable */
};

static void guarded_open(struct guarded *guarded, size_t bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    guarded->bytes = (bytes + page) / page * page;
    guarded->pages = mmap(NULL, guarded->bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert(guarded->pages != MAP_FAILED);
    int hidden = mprotect(guarded->pages + guarded->bytes, page, PROT_NONE);
    assert(hidden == 0);
}

static void guarded_close(struct guarded *guarded)
{
    munmap(guarded->pages, guarded->bytes + (size_t)sysconf(_SC_PAGESIZE));
}

/* A copy of `bytes` whose end is the end of what can be read. */
static char *guarded_place(struct guarded *guarded, struct span bytes)
{
    char *at = guarded->pages + guarded->bytes - bytes.len;
    assert(bytes.len <= guarded->bytes);
    memcpy(at, bytes.data, bytes.len);
    return at;
}

/* xorshift64 (Marsaglia, 2003). */
static uint64_t random_next(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static size_t piece_len(enum vector_cut cut, uint64_t *state, size_t at, size_t len)
{
    size_t left = len - at, piece = left;
    if (cut == VECTOR_BYTES)
        piece = at < BYTEWISE_ENDS_MAX || left <= BYTEWISE_ENDS_MAX ? 1 : BYTEWISE_STEP;
    else if (cut == VECTOR_RANDOM) /* mostly short ones, one in three of any length */
        piece = 1 + random_next(state) % (left >= PIECE_BYTES && random_next(state) % 3 != 0 ? PIECE_BYTES : left + 1);
    return piece < left ? piece : left;
}

/* Feeds until the codec takes nothing more. False when it refused. */
static bool piece_feed(const struct vector_codec *codec, void *state, struct guarded *guarded, struct buf *pending,
                       struct buf *out)
{
    for (;;) {
        /* An empty input is fed too: what a codec still has to say about the last byte comes then. */
        struct span bytes = buf_span(pending);
        char *placed = guarded_place(guarded, bytes);
        ptrdiff_t taken = codec->feed(state, placed, bytes.len, out);
        if (taken < 0)
            return false;
        if (taken == 0)
            return true;
        assert((size_t)taken <= bytes.len);
        buf_consume(pending, (size_t)taken);
    }
}

void vector_run(const struct vector_codec *codec, const struct vector *vector, enum vector_cut cut, uint64_t seed,
                struct buf *out)
{
    struct span in = buf_span(&vector->in);
    struct guarded guarded;
    struct buf pending = {0};
    uint64_t random = seed * 2 + 1;
    bool good = true;
    guarded_open(&guarded, in.len);
    void *state = codec->create(vector);
    size_t at = 0;
    /* Once at least: the whole input may be empty. */
    do {
        size_t piece = piece_len(cut, &random, at, in.len);
        buf_append(&pending, span_sub(in, at, piece));
        at += piece;
        good = piece_feed(codec, state, &guarded, &pending, out);
    } while (good && at < in.len);
    if (good && codec->end != NULL)
        codec->end(state, buf_span(&pending), out);
    codec->destroy(state);
    buf_finish(&pending);
    guarded_close(&guarded);
}

static bool vector_check(const struct vector_codec *codec, const struct vector *vector, enum vector_cut cut,
                         uint64_t seed)
{
    static const char *const names[] = {"whole", "byte by byte", "at random cuts"};
    struct buf out = {0};
    vector_run(codec, vector, cut, seed, &out);
    bool same = span_equal(buf_span(&out), buf_span(&vector->out));
    if (!same)
        printf(SPAN_FMT ":%u: " SPAN_FMT ", %s (seed %llu)\n-- expected\n" SPAN_FMT "-- got\n" SPAN_FMT,
               SPAN_ARG(vector->file), vector->line, SPAN_ARG(vector->name), names[cut], (unsigned long long)seed,
               SPAN_ARG(buf_span(&vector->out)), SPAN_ARG(buf_span(&out)));
    buf_finish(&out);
    return same;
}

unsigned vector_replay(const struct vector_codec *codec, struct span file, struct span text, unsigned *count)
{
    unsigned line = 0, failed = 0;
    for (;;) {
        struct vector vector = {.file = file};
        bool more = vector_next(&text, &line, &vector);
        if (more) {
            ++*count;
            bool good = vector_check(codec, &vector, VECTOR_WHOLE, 0);
            if (!codec->whole_only)
                good = good && vector_check(codec, &vector, VECTOR_BYTES, 0);
            for (uint64_t seed = 1; !codec->whole_only && good && seed <= RANDOM_REPLAYS; seed++)
                good = vector_check(codec, &vector, VECTOR_RANDOM, seed);
            failed += !good;
        }
        buf_finish(&vector.in);
        buf_finish(&vector.out);
        if (!more)
            return failed;
    }
}

static bool file_read(const char *path, struct buf *to)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return false;
    size_t got;
    do {
        got = fread(buf_reserve(to, 65536), 1, 65536, file);
        buf_added(to, got);
    } while (got != 0);
    fclose(file);
    return true;
}

static int is_text(const struct dirent *entry)
{
    return span_ends_with(span_str(entry->d_name), SPAN_LIT(".txt"));
}

int vector_replay_directory(const struct vector_codec *codec, const char *directory)
{
    struct dirent **entries;
    unsigned failed = 0, total = 0;
    int count = scandir(directory, &entries, is_text, alphasort);
    for (int i = 0; i < count; i++) {
        struct buf text = {0};
        char *path = mem_printf("%s/%s", directory, entries[i]->d_name);
        if (!file_read(path, &text))
            failed++;
        failed += vector_replay(codec, span_str(path), buf_span(&text), &total);
        buf_finish(&text);
        free(path);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    printf("%s: %u vectors, %u failed\n", directory, total, failed);
    return failed != 0 || total == 0;
}
