/* image_archive: starts sennit-untar, decodes its records, and turns its end into a sentence with a cure. */
#include "platform/image_archive.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"

enum {
    NUMBER_BYTES = 24,
    SILENT_MS_MAX = 10 * 1000,        /* the loop waits for it */
    UNPACK_SILENT_MS_MAX = 120 * 1000 /* gigabytes of nothing may stand behind a layer's end */
};
#define PROGRAM "sennit-untar"

static char *program_find(struct err *err)
{
    char *program = filter_program(PROGRAM, err);
    if (program == NULL)
        err_prefix(err,
                   "images are read by " PROGRAM ", which is built where the package libarchive-dev is: install that "
                   "package, then build and install sennit again; ");
    return program;
}

bool image_archive_ready(struct err *err)
{
    char *program = program_find(err);
    bool is_there = program != NULL;
    free(program);
    return is_there;
}

bool image_archive_open(struct image_archive *archive, enum image_archive_mode mode, const char *path, size_t part,
                        uint64_t bytes_max, atomic_bool *stop, struct err *err)
{
    static const char *const modes[] = {"list", "part", "unpack"};
    char number[NUMBER_BYTES], most[NUMBER_BYTES];
    *archive = (struct image_archive){.mode = mode, .stop = stop};
    char *program = program_find(err);
    if (program == NULL)
        return false;
    snprintf(number, sizeof number, "%zu", part);
    snprintf(most, sizeof most, "%" PRIu64, bytes_max);
    const char *argv[] = {program, SENNIT_VERSION, modes[mode], number, most, NULL};
    bool ok = filter_start(&archive->filter, argv, path, err);
    free(program);
    return ok;
}

/* It wrote no end, and does not run any more, or writes what no sennit-untar writes. */
static bool broken(struct image_archive *archive, enum filter_result result, struct err *err)
{
    if (result == FILTER_STOPPED)
        return err_set(err, "sennit up stops");
    if (result == FILTER_SILENT)
        return err_set(err, "its reader (" PROGRAM ") does not get on: make the image anew");
    int number = filter_end(&archive->filter);
    if (number != 0)
        return err_set(err,
                       "its reader (" PROGRAM
                       ") was ended by signal %d, as by an archive that means harm, or one that takes "
                       "too much memory: make the image anew",
                       number);
    return err_set(err, "its reader (" PROGRAM ") broke off: make the image anew, or install sennit again");
}

static bool fault(const struct image_archive *archive, const struct untar_record *record, struct err *err)
{
    struct buf why = {0};
    if (record->why.len > 0) {
        buf_append(&why, SPAN_LIT(" ("));
        shown_append(&why, record->why, UNTAR_WHY_BYTES_MAX);
        buf_append_char(&why, ')');
    }
    buf_append_char(&why, '\0');
    const char *text = buf_span(&why).data;
    switch (record->fault) {
    case UNTAR_CUT:
        err_set(err, "it is cut off: make the image anew");
        break;
    case UNTAR_NO_ARCHIVE:
        err_set(err, "it is no tar archive, or a damaged one%s: %s", text,
                archive->mode == IMAGE_ARCHIVE_UNPACK
                    ? "make the image anew, with podman or docker"
                    : "an image's archive is made by `podman save` or `docker save`, and is not compressed as a whole");
        break;
    case UNTAR_BAD_GZIP:
    case UNTAR_BAD_ZSTD:
    case UNTAR_BAD_PACKING:
        err_set(err, "its %s is damaged%s: make the image anew",
                record->fault == UNTAR_BAD_GZIP   ? "gzip"
                : record->fault == UNTAR_BAD_ZSTD ? "zstd"
                                                  : "compression",
                text);
        break;
    case UNTAR_TOO_LARGE:
        err_set(err, "it decompresses to more than an image may have");
        break;
    case UNTAR_UNREADABLE:
        err_set(err, "it cannot be read whole");
        break;
    case UNTAR_NO_PART:
        err_set(err, "it has changed meanwhile");
        break;
    case UNTAR_OTHER_VERSION:
        err_set(err, PROGRAM " is not of this version, " SENNIT_VERSION "%s: install sennit again", text);
        break;
    case UNTAR_FAULTS:
        break;
    }
    buf_finish(&why);
    return false;
}

bool image_archive_next(struct image_archive *archive, struct untar_record *record, struct err *err)
{
    uint32_t silent_ms_max = archive->mode == IMAGE_ARCHIVE_UNPACK ? UNPACK_SILENT_MS_MAX : SILENT_MS_MAX;
    enum filter_result result = FILTER_GOT;
    ptrdiff_t len;
    size_t got;
    buf_consume(&archive->input, archive->used);
    archive->used = 0;
    while ((len = untar_decode(buf_span(&archive->input), record)) == 0 && result == FILTER_GOT) {
        char *room = buf_reserve(&archive->input, UNTAR_RECORD_BYTES_MAX);
        result = filter_read(&archive->filter, room, UNTAR_RECORD_BYTES_MAX, &got, silent_ms_max, archive->stop);
        buf_added(&archive->input, got);
    }
    if (len <= 0)
        return broken(archive, result, err);
    archive->used = (size_t)len;
    return record->kind != UNTAR_FAULT || fault(archive, record, err);
}

void image_archive_close(struct image_archive *archive)
{
    filter_end(&archive->filter);
    buf_finish(&archive->input);
    *archive = (struct image_archive){0};
}
