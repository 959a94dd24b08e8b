/* untar: up to three readers behind each other: the file's entries, the compression of one of them, and the entries of
 * what that decompresses to. The bytes between the last two are hashed: a layer's digest is that of its tar archive. */
#include "untar/untar.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"

/* A part of the file. */
struct part {
    struct source source;
    struct reader *reader; /* NULL: the file itself */
    struct source *file;
    char piece[UNTAR_PIECE_BYTES_MAX];
};

/* What a layer decompresses to. */
struct layer {
    struct source source;
    struct reader *packed;
    struct sha256 *sum;
    uint64_t bytes, bytes_max;
    enum untar_fault fault; /* once `next` has failed */
    char piece[UNTAR_PIECE_BYTES_MAX];
};

/* One run. */
struct run {
    const struct untar_order *order;
    struct sink *sink;
    struct buf record;
    bool is_refused; /* by the sink */
};

static void record_send(struct run *run)
{
    run->is_refused = run->is_refused || !run->sink->put(run->sink, buf_span(&run->record));
    buf_clear(&run->record);
}

static void fault_send(struct run *run, enum untar_fault fault, struct span why)
{
    untar_fault_encode(&run->record, fault, why);
    record_send(run);
}

/* What a reader of tar says that has no more to give. */
static void tar_fault_send(struct run *run, const struct reader *reader, enum reader_result result)
{
    fault_send(run,
               result == READER_FAILED ? UNTAR_UNREADABLE
               : result == READER_CUT  ? UNTAR_CUT
                                       : UNTAR_NO_ARCHIVE,
               reader_why(reader));
}

static void end_send(struct run *run, const char *digest, uint64_t total)
{
    untar_end_encode(&run->record, digest, total);
    record_send(run);
}

static ssize_t part_next(struct source *source, const void **bytes)
{
    struct part *part = container_of(source, struct part, source);
    size_t got;
    if (part->reader == NULL)
        return part->file->next(part->file, bytes);
    enum reader_result result = reader_read(part->reader, part->piece, sizeof part->piece, &got);
    *bytes = part->piece;
    return result == READER_GOT ? (ssize_t)got : result == READER_OVER ? 0 : -1;
}

/* Up to the entry of that number. False: the fault is sent. */
static bool part_open(struct part *part, struct run *run, struct source *file)
{
    struct untar_entry entry;
    enum reader_result result = READER_GOT;
    part->source = (struct source){.next = part_next};
    part->file = file;
    part->reader = run->order->part > 0 ? reader_open(file, READER_TAR) : NULL;
    for (uint64_t i = 0; i < run->order->part && result == READER_GOT; i++)
        result = reader_next(part->reader, &entry);
    if (result == READER_OVER)
        fault_send(run, UNTAR_NO_PART, SPAN_LIT(""));
    else if (result != READER_GOT)
        tar_fault_send(run, part->reader, result);
    return result == READER_GOT;
}

static void list_run(struct run *run, struct source *file)
{
    struct reader *reader = reader_open(file, READER_TAR);
    struct untar_entry entry;
    enum reader_result result;
    char none[SHA256_HEX_LEN + 1];
    while ((result = reader_next(reader, &entry)) == READER_GOT && !run->is_refused) {
        untar_entry_encode(&run->record, &entry);
        record_send(run);
    }
    sha256_of(SPAN_LIT(""), none);
    if (result == READER_OVER)
        end_send(run, none, 0);
    else if (result != READER_GOT)
        tar_fault_send(run, reader, result);
    reader_close(reader);
}

static void bytes_run(struct run *run, struct part *part)
{
    struct sha256 *sum = sha256_create();
    uint64_t total = 0;
    char hex[SHA256_HEX_LEN + 1];
    const void *bytes;
    ssize_t got = 0;
    while (!run->is_refused && (got = part->source.next(&part->source, &bytes)) > 0) {
        sha256_add(sum, span_of(bytes, (size_t)got));
        total += (uint64_t)got;
        untar_bytes_encode(&run->record, span_of(bytes, (size_t)got));
        record_send(run);
    }
    sha256_end(sum, hex);
    if (got < 0)
        fault_send(run, UNTAR_UNREADABLE, SPAN_LIT(""));
    else
        end_send(run, hex, total);
}

static ssize_t layer_fail(struct layer *layer, enum untar_fault fault)
{
    layer->fault = fault;
    return -1;
}

static ssize_t layer_next(struct source *source, const void **bytes)
{
    struct layer *layer = container_of(source, struct layer, source);
    size_t got;
    enum reader_result result = reader_read(layer->packed, layer->piece, sizeof layer->piece, &got);
    *bytes = layer->piece;
    layer->bytes += got;
    if (layer->bytes > layer->bytes_max)
        return layer_fail(layer, UNTAR_TOO_LARGE);
    switch (result) {
    case READER_GOT:
        sha256_add(layer->sum, span_of(layer->piece, got));
        return (ssize_t)got;
    case READER_OVER:
        return 0;
    case READER_CUT:
        return layer_fail(layer, UNTAR_CUT);
    case READER_DAMAGED:
        return layer_fail(layer, reader_packing_fault(layer->packed));
    case READER_FAILED:
        break;
    }
    return layer_fail(layer, UNTAR_UNREADABLE);
}

/* An entry's header and contents. READER_GOT: the next one may be read. */
static enum reader_result entry_send(struct run *run, struct reader *tar, const struct untar_entry *entry)
{
    char piece[UNTAR_PIECE_BYTES_MAX];
    enum reader_result result = READER_OVER;
    size_t got;
    untar_entry_encode(&run->record, entry);
    record_send(run);
    while (!run->is_refused && entry->bytes > 0 &&
           (result = reader_read(tar, piece, sizeof piece, &got)) == READER_GOT) {
        untar_bytes_encode(&run->record, span_of(piece, got));
        record_send(run);
    }
    return result == READER_OVER && !run->is_refused ? READER_GOT : result;
}

/* Entry after entry, and then what stands behind the archive's end: it belongs to the digest. */
static void layer_run(struct run *run, struct part *part)
{
    struct layer *layer = mem_zero(1, sizeof *layer);
    layer->source.next = layer_next;
    layer->packed = reader_open(&part->source, READER_PACKED);
    layer->sum = sha256_create();
    layer->bytes_max = run->order->bytes_max;
    struct reader *tar = reader_open(&layer->source, READER_TAR);
    struct untar_entry entry;
    enum reader_result result;
    char hex[SHA256_HEX_LEN + 1];
    const void *ignored;
    ssize_t got = 0;
    while ((result = reader_next(tar, &entry)) == READER_GOT)
        if ((result = entry_send(run, tar, &entry)) != READER_GOT)
            break;
    if (result == READER_OVER)
        while ((got = layer->source.next(&layer->source, &ignored)) > 0)
            continue;
    sha256_end(layer->sum, hex);
    if (result == READER_FAILED || got < 0)
        fault_send(run, layer->fault, reader_why(layer->packed));
    else if (result != READER_OVER)
        tar_fault_send(run, tar, result);
    else
        end_send(run, hex, layer->bytes);
    reader_close(tar);
    reader_close(layer->packed);
    free(layer);
}

bool untar_run(const struct untar_order *order, struct source *file, struct sink *sink)
{
    struct run run = {.order = order, .sink = sink};
    struct part *part = mem_zero(1, sizeof *part);
    if (order->mode == UNTAR_LIST)
        list_run(&run, file);
    else if (part_open(part, &run, file)) {
        if (order->mode == UNTAR_PART)
            bytes_run(&run, part);
        else
            layer_run(&run, part);
    }
    reader_close(part->reader);
    free(part);
    buf_finish(&run.record);
    return !run.is_refused;
}
