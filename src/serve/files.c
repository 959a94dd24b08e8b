/* files: checks request paths segment by segment, and holds the table of media types. */
#include "serve/files.h"

#include "base/mem.h"

enum { PATH_BYTES_MAX = 512 };

static const struct {
    const char *ending, *type;
} types[] = {
    {".html", "text/html; charset=utf-8"},
    {".js", "text/javascript; charset=utf-8"},
    {".mjs", "text/javascript; charset=utf-8"},
    {".css", "text/css; charset=utf-8"},
    {".svg", "image/svg+xml"},
    {".png", "image/png"},
    {".ico", "image/x-icon"},
    {".json", "application/json"},
    {".map", "application/json"},
    {".webmanifest", "application/manifest+json"},
    {".txt", "text/plain; charset=utf-8"},
    {".woff2", "font/woff2"},
};

const char *files_type(struct span path)
{
    if (span_equal(path, SPAN_LIT("/")))
        path = SPAN_LIT("/index.html");
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (span_ends_with(path, span_str(types[i].ending)))
            return types[i].type;
    return "application/octet-stream";
}

static bool path_is_plain(struct span path)
{
    if (path.len == 0 || path.len > PATH_BYTES_MAX || path.data[0] != '/')
        return false;
    struct span rest = span_from(path, 1), part;
    while (span_next(&rest, '/', &part)) {
        if (part.len == 0 || part.data[0] == '.')
            return false;
        for (size_t i = 0; i < part.len; i++)
            if (part.data[i] <= ' ' || part.data[i] == '%' || part.data[i] == '\\' || part.data[i] == 0x7f)
                return false;
    }
    return true;
}

char *files_path(const char *directory, struct span path)
{
    if (span_equal(path, SPAN_LIT("/")))
        path = SPAN_LIT("/index.html");
    if (!path_is_plain(path))
        return NULL;
    return mem_printf("%s" SPAN_FMT, directory, SPAN_ARG(path));
}

bool files_is_client_msgpack(struct span name)
{
    return span_starts_with(name, SPAN_LIT("socket.io.msgpack."));
}

bool files_is_client(struct span name)
{
    static const char *const names[] = {"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js",
                                        "socket.io.msgpack.min.js"};
    if (span_ends_with(name, SPAN_LIT(".map")))
        name.len -= 4;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (span_equal(name, span_str(names[i])))
            return true;
    return false;
}
