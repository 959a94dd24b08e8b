/* library: finds the version, which Socket.IO's own server uses as the entity tag of all these files. */
#include "serve/library.h"

#include <stdlib.h>

#include "base/mem.h"
#include "loop/file.h"
#include "serve/files.h"
#include "serve/store.h"
#include "wire/http1.h"

enum { FILE_BYTES_MAX = 4 << 20, BANNER_BYTES = 200 };

char *library_version(const char *directory)
{
    static const char mark[] = "Socket.IO v";
    char *file = files_path(directory, SPAN_LIT("/socket.io.js")), *version = NULL;
    struct buf text = {0};
    struct err err;
    if (file_read(file, FILE_BYTES_MAX, &text, &err)) {
        struct span banner = span_sub(buf_span(&text), 0, BANNER_BYTES), line;
        const char *at = memmem(banner.data, banner.len, mark, sizeof mark - 1);
        if (at != NULL) {
            banner = span_from(banner, (size_t)(at - banner.data) + sizeof mark - 1);
            span_next(&banner, '\n', &line);
            line = span_trim(line);
            if (http1_name_is_valid(line) && line.len < STORE_TAG_BYTES - 2)
                version = mem_text(line);
        }
    }
    buf_finish(&text);
    free(file);
    return version;
}
