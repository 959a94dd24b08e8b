/* image_recipe: makes images for tests: an OCI layout in a folder of its own, as a recipe says. */
#ifndef SENNIT_TEST_IMAGE_RECIPE_H
#define SENNIT_TEST_IMAGE_RECIPE_H

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "loop/file.h"
#include "loop/rootfs.h"
#include "loop/tree.h"
#include "platform/image_unpack.h"

static char folder[64], beside[96];
static struct err err;

static inline int begin(void **state)
{
    snprintf(folder, sizeof folder, "/tmp/sennit-image-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(beside, sizeof beside, "%s/service.yaml", folder);
    return 0;
}

static inline int finish(void **state)
{
    tree_remove(folder);
    return 0;
}

static inline void file_write(const char *name, struct span bytes)
{
    char *path = mem_printf("%s/%s", folder, name), *slash = strrchr(path, '/');
    *slash = '\0';
    assert_true(file_make_directory(path, &err));
    *slash = '/';
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    assert_true(fd >= 0 && write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    close(fd);
    free(path);
}

/* Appends a member to a tar archive. */
static inline void member(struct buf *to, const char *name, char type, uint32_t mode, struct span bytes,
                          const char *link)
{
    char block[512] = {0}, zeros[512] = {0};
    unsigned sum = 0;
    memcpy(block, name, strlen(name));
    snprintf(block + 100, 8, "%07o", mode);
    snprintf(block + 108, 8, "%07o", 0);
    snprintf(block + 116, 8, "%07o", 0);
    snprintf(block + 124, 12, "%011zo", bytes.len);
    snprintf(block + 136, 12, "%011o", 1700000000);
    memset(block + 148, ' ', 8);
    block[156] = type;
    memcpy(block + 157, link, strlen(link));
    for (size_t i = 0; i < sizeof block; i++)
        sum += (unsigned char)block[i];
    snprintf(block + 148, 8, "%06o", sum);
    buf_append(to, span_of(block, sizeof block));
    buf_append(to, bytes);
    buf_append(to, span_of(zeros, (512 - bytes.len % 512) % 512));
}

/* What the next image is made of. */
static struct {
    struct buf layers[2];
    size_t layer_count;
    const char *config, *arch, *tag, *other; /* `other`: more in the index */
    char digests[2][SHA256_HEX_LEN + 1];
} made;

static inline void recipe_begin(void)
{
    for (size_t i = 0; i < 2; i++)
        buf_finish(&made.layers[i]);
#if defined(__x86_64__)
    made.arch = "amd64";
#else
    made.arch = "arm64";
#endif
    made.config = "\"Entrypoint\":[\"/bin/one\"],\"Cmd\":[\"two\"],\"Env\":[\"A=1\"],\"WorkingDir\":\"/srv\"";
    made.tag = "latest";
    made.other = "";
    made.layer_count = 1;
    member(&made.layers[0], "bin/one", '0', 0755, SPAN_LIT("program"), "");
}

static inline void put(struct buf *descriptor, struct span bytes)
{
    char hex[SHA256_HEX_LEN + 1];
    sha256_of(bytes, hex);
    char *name = mem_printf("layout/blobs/sha256/%s", hex);
    file_write(name, bytes);
    buf_printf(descriptor, "{\"digest\":\"sha256:%s\",\"size\":%zu", hex, bytes.len);
    free(name);
}

/* DIR/layout */
static inline void layout_write(void)
{
    struct buf config = {0}, manifest = {0}, index = {0};
    buf_printf(&config, "{\"architecture\":\"%s\",\"os\":\"linux\",\"config\":{%s},\"rootfs\":{\"diff_ids\":[",
               made.arch, made.config);
    for (size_t i = 0; i < made.layer_count; i++) {
        if (made.digests[i][0] == '\0')
            sha256_of(buf_span(&made.layers[i]), made.digests[i]);
        buf_printf(&config, "%s\"sha256:%s\"", i > 0 ? "," : "", made.digests[i]);
        made.digests[i][0] = '\0';
    }
    buf_append(&config, SPAN_LIT("]}}"));
    buf_append(&manifest, SPAN_LIT("{\"config\":"));
    put(&manifest, buf_span(&config));
    buf_append(&manifest, SPAN_LIT("},\"layers\":["));
    for (size_t i = 0; i < made.layer_count; i++) {
        buf_append(&manifest, i > 0 ? SPAN_LIT(",") : SPAN_LIT(""));
        put(&manifest, buf_span(&made.layers[i]));
        buf_append_char(&manifest, '}');
    }
    buf_append(&manifest, SPAN_LIT("]}"));
    buf_printf(&index, "{\"manifests\":[%s", made.other);
    put(&index, buf_span(&manifest));
    buf_printf(&index, ",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}}]}", made.tag);
    file_write("layout/index.json", buf_span(&index));
    buf_finish(&config);
    buf_finish(&manifest);
    buf_finish(&index);
}

#endif
