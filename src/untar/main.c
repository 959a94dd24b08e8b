/* main: sennit-untar, the process in which libarchive reads an image. `sennit up` starts it, with the file as standard
 * input, and reads records (wire/untar.h) from standard output. It is a process of its own so that a decompressor that
 * a hostile layer breaks, or fills with a bomb, is not `sennit up`: before the first byte it gives up all that it does
 * not need (loop/confine.h).
 *
 *     sennit-untar VERSION list|part|unpack PART BYTES_MAX <FILE */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/list.h"
#include "loop/confine.h"
#include "loop/file.h"
#include "untar/untar.h"

enum { ARGUMENTS = 5, MEMORY_BYTES_MAX = 512 << 20 /* libarchive, and zstd's window of 128 MiB */ };

/* Standard input, a file. */
struct disk {
    struct source source;
    struct file file;
    uint64_t at, bytes;
    char piece[UNTAR_PIECE_BYTES_MAX];
};

static ssize_t disk_next(struct source *source, const void **bytes)
{
    struct disk *disk = container_of(source, struct disk, source);
    ssize_t got = file_read_at(&disk->file, disk->at, disk->piece, sizeof disk->piece);
    disk->at += got > 0 ? (uint64_t)got : 0;
    *bytes = disk->piece;
    return got;
}

static int64_t disk_skip(struct source *source, int64_t bytes)
{
    struct disk *disk = container_of(source, struct disk, source);
    uint64_t left = disk->at < disk->bytes ? disk->bytes - disk->at : 0;
    uint64_t skipped = (uint64_t)bytes < left ? (uint64_t)bytes : left;
    disk->at += skipped;
    return (int64_t)skipped;
}

static bool output_put(struct sink *sink, struct span bytes)
{
    return file_put(STDOUT_FILENO, bytes);
}

static bool order_parse(struct untar_order *order, char **arguments)
{
    static const char *const modes[] = {[UNTAR_LIST] = "list", [UNTAR_PART] = "part", [UNTAR_UNPACK] = "unpack"};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        if (strcmp(arguments[0], modes[i]) == 0) {
            order->mode = (enum untar_mode)i;
            return span_to_u64(span_str(arguments[1]), &order->part) &&
                   span_to_u64(span_str(arguments[2]), &order->bytes_max);
        }
    return false;
}

/* Nobody but a `sennit` of the same version knows the records. */
static int version_refuse(void)
{
    struct buf record = {0};
    untar_fault_encode(&record, UNTAR_OTHER_VERSION, SPAN_LIT(SENNIT_VERSION));
    file_put(STDOUT_FILENO, buf_span(&record));
    buf_finish(&record);
    return 1;
}

int main(int count, char **arguments)
{
    static const char usage[] = "sennit-untar is started by `sennit up`, which reads images with it.\n";
    struct untar_order order = {0};
    struct disk disk = {.source = {disk_next, disk_skip}, .file = {STDIN_FILENO}};
    struct sink output = {output_put};
    char ignored[SHA256_HEX_LEN + 1];
    if (count == ARGUMENTS && strcmp(arguments[1], SENNIT_VERSION) != 0)
        return version_refuse();
    if (count != ARGUMENTS || !order_parse(&order, arguments + 2) || !file_bytes_get(&disk.file, &disk.bytes)) {
        fputs(usage, stderr);
        return 2;
    }
    sha256_of(SPAN_LIT(""), ignored); /* OpenSSL reads its settings while it may */
    confine(MEMORY_BYTES_MAX);
    return untar_run(&order, &disk.source, &output) ? 0 : 1;
}
