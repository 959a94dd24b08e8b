/* image: from the reference through index and manifest to the configuration. */
#include "platform/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/file.h"
#include "loop/process.h"
#include "platform/image_archive.h"
#include "wire/json.h"

enum { DEPTH_MAX = 4 /* of indexes in each other */, TAGS_SHOWN_BYTES = 200 };

enum form { FORM_OCI, FORM_OCI_ARCHIVE, FORM_DOCKER_ARCHIVE };
static const struct {
    struct span prefix;
    enum form form;
} forms[] = {{SPAN_LIT("oci:"), FORM_OCI},
             {SPAN_LIT("oci-archive:"), FORM_OCI_ARCHIVE},
             {SPAN_LIT("docker-archive:"), FORM_DOCKER_ARCHIVE}};

/* A reading under way. */
struct reading {
    struct image *image;
    struct image_store store;
    const char *tag; /* "": none is given */
    struct err *err;
    int depth;
};

/* Its form, or -1. */
static int form_find(const char *reference, struct span *rest)
{
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
        if (span_starts_with(span_str(reference), forms[i].prefix)) {
            *rest = span_from(span_str(reference), forms[i].prefix.len);
            return (int)forms[i].form;
        }
    return -1;
}

bool image_is_local(const char *reference)
{
    struct span rest;
    return form_find(reference, &rest) >= 0;
}

const char *image_architecture(void)
{
#if defined(__x86_64__)
    return "amd64";
#elif defined(__aarch64__)
    return "arm64";
#elif defined(__riscv) && __riscv_xlen == 64
    return "riscv64";
#elif defined(__powerpc64__)
    return "ppc64le";
#elif defined(__s390x__)
    return "s390x";
#elif defined(__arm__)
    return "arm";
#else
    return "386";
#endif
}

static bool fault(const struct reading *reading, const char *what)
{
    return err_set(reading->err, "%.300s is damaged, or no image: %s; make it anew", reading->store.path, what);
}

/* A member that is a list; any other is an empty one. */
static struct span list_get(struct span object, struct span name)
{
    struct span list = json_object_get(object, name);
    return list.data != NULL && json_type(list) == JSON_ARRAY ? list : SPAN_LIT("[]");
}

/* "sha256:HEX"; false: it is none. */
static bool digest_get(struct span text, char hex[SHA256_HEX_LEN + 1])
{
    struct span digits = span_from(text, 7);
    if (!span_starts_with(text, SPAN_LIT("sha256:")) || digits.len != SHA256_HEX_LEN)
        return false;
    for (size_t i = 0; i < digits.len; i++)
        if ((digits.data[i] < '0' || digits.data[i] > '9') && (digits.data[i] < 'a' || digits.data[i] > 'f'))
            return false;
    memcpy(hex, digits.data, SHA256_HEX_LEN);
    hex[SHA256_HEX_LEN] = '\0';
    return true;
}

/* Reads JSON by its name, and its digest. */
static bool json_read(struct reading *reading, const char *name, struct buf *to, char hex[SHA256_HEX_LEN + 1])
{
    if (!image_store_read(&reading->store, name, IMAGE_JSON_BYTES_MAX, to, reading->err))
        return false;
    sha256_of(buf_span(to), hex);
    return json_is_valid(buf_span(to)) || fault(reading, name);
}

/* The name of the part that a descriptor names. */
static bool descriptor_name(struct reading *reading, struct span descriptor, char hex[SHA256_HEX_LEN + 1], char **name)
{
    struct buf digest = json_text_get(descriptor, "digest");
    bool ok = digest_get(buf_span(&digest), hex) || fault(reading, "a digest that is not sha256's");
    buf_finish(&digest);
    if (ok)
        *name = mem_printf("blobs/sha256/%s", hex);
    return ok;
}

static bool descriptor_read(struct reading *reading, struct span descriptor, struct buf *to)
{
    char wanted[SHA256_HEX_LEN + 1], found[SHA256_HEX_LEN + 1], *name;
    if (!descriptor_name(reading, descriptor, wanted, &name))
        return false;
    bool ok = json_read(reading, name, to, found) &&
              (strcmp(wanted, found) == 0 || fault(reading, "a part has another digest than its name"));
    free(name);
    return ok;
}

static char *string_take(struct span value)
{
    struct buf text = {0};
    json_string_decode(value, &text);
    char *taken = mem_text(buf_span(&text));
    buf_finish(&text);
    return taken;
}

static void words_take(struct words *words, struct span list)
{
    struct span one;
    while (json_array_next(&list, &one) && words->count < WORDS_MAX)
        words_add(words, string_take(one));
}

static char *text_take(struct span object, const char *key)
{
    struct buf text = json_text_get(object, key);
    char *taken = mem_text(buf_span(&text));
    buf_finish(&text);
    return taken;
}

/* Whether this machine is what a configuration, or the platform of a descriptor, says; it may say nothing. */
static bool is_for_us(struct span about)
{
    struct buf arch = json_text_get(about, "architecture"), os = json_text_get(about, "os");
    bool is_so = (arch.len == 0 || span_equal(buf_span(&arch), span_str(image_architecture()))) &&
                 (os.len == 0 || span_equal(buf_span(&os), SPAN_LIT("linux")));
    buf_finish(&arch);
    buf_finish(&os);
    return is_so;
}

static bool platform_check(struct reading *reading, struct span config)
{
    if (is_for_us(config))
        return true;
    struct buf arch = json_text_get(config, "architecture");
    err_set(reading->err, "%.300s is for %s, and this machine is linux/%s: pull or build it with --platform linux/%s",
            reading->store.path, SHOWN_FOUND(buf_span(&arch)), image_architecture(), image_architecture());
    buf_finish(&arch);
    return false;
}

static bool config_take(struct reading *reading, struct span config)
{
    struct image *image = reading->image;
    struct span inner = json_object_get(config, SPAN_LIT("config")), one;
    struct span list = list_get(json_object_get(config, SPAN_LIT("rootfs")), SPAN_LIT("diff_ids"));
    size_t count = 0;
    if (!platform_check(reading, config))
        return false;
    words_take(&image->entrypoint, list_get(inner, SPAN_LIT("Entrypoint")));
    words_take(&image->command, list_get(inner, SPAN_LIT("Cmd")));
    words_take(&image->env, list_get(inner, SPAN_LIT("Env")));
    image->user = text_take(inner, "User");
    image->directory = text_take(inner, "WorkingDir");
    while (json_array_next(&list, &one)) {
        struct buf text = {0};
        json_string_decode(one, &text);
        bool ok = count < image->layer_count && digest_get(buf_span(&text), image->layers[count].digest);
        buf_finish(&text);
        if (!ok)
            return fault(reading, "its configuration names other layers than its manifest");
        count++;
    }
    return count == image->layer_count || fault(reading, "its configuration names other layers than its manifest");
}

/* `packed_digest`: "" where nothing says it. */
static bool layer_add(struct reading *reading, const char *name, const char *packed_digest)
{
    struct image *image = reading->image;
    struct image_blob blob;
    if (image->layer_count == IMAGE_LAYERS_MAX)
        return fault(reading, "too many layers");
    if (!image_store_find(&reading->store, name, &blob, reading->err))
        return err_prefix(reading->err, "a layer is missing: ");
    image->layers = mem_resize(image->layers, (image->layer_count + 1) * sizeof *image->layers);
    struct image_layer *layer = &image->layers[image->layer_count++];
    *layer = (struct image_layer){.blob = blob};
    snprintf(layer->packed_digest, sizeof layer->packed_digest, "%s", packed_digest);
    return true;
}

static bool manifest_take(struct reading *reading, struct span manifest)
{
    struct span layers = list_get(manifest, SPAN_LIT("layers")), one,
                config = json_object_get(manifest, SPAN_LIT("config"));
    struct buf text = {0};
    char hex[SHA256_HEX_LEN + 1], *name;
    bool ok = config.data != NULL || fault(reading, "its manifest names no configuration");
    while (ok && json_array_next(&layers, &one)) {
        ok = descriptor_name(reading, one, hex, &name);
        if (!ok)
            break;
        ok = layer_add(reading, name, hex);
        free(name);
    }
    ok = ok && descriptor_read(reading, config, &text);
    if (ok) {
        sha256_of(buf_span(&text), reading->image->digest);
        ok = config_take(reading, buf_span(&text));
    }
    buf_finish(&text);
    return ok;
}

static struct buf tag_of(struct span descriptor)
{
    return json_text_get(json_object_get(descriptor, SPAN_LIT("annotations")), "org.opencontainers.image.ref.name");
}

/* Whether it may be the one: for this machine, if it says for which; with the tag, if it has one. */
static bool is_candidate(struct span descriptor, const char *tag)
{
    struct buf name = tag_of(descriptor);
    bool is_one = is_for_us(json_object_get(descriptor, SPAN_LIT("platform"))) &&
                  (tag[0] == '\0' || span_equal(buf_span(&name), span_str(tag)));
    buf_finish(&name);
    return is_one;
}

static size_t candidates(struct span list, const char *tag, struct span *found)
{
    struct span one;
    size_t count = 0;
    while (json_array_next(&list, &one))
        if (json_type(one) == JSON_OBJECT && is_candidate(one, tag)) {
            *found = one;
            count++;
        }
    return count;
}

static bool candidates_tell(struct reading *reading, struct span list, size_t count)
{
    struct buf tags = {0};
    struct span one;
    while (json_array_next(&list, &one)) {
        struct buf tag = tag_of(one);
        if (tag.len > 0 && tags.len < TAGS_SHOWN_BYTES) {
            buf_append(&tags, tags.len > 0 ? SPAN_LIT(", ") : SPAN_LIT(""));
            shown_append(&tags, buf_span(&tag), TAGS_SHOWN_BYTES);
        }
        buf_finish(&tag);
    }
    if (tags.len == 0)
        buf_append(&tags, SPAN_LIT("none"));
    err_set(
        reading->err, "%.300s has %s%s%s for linux/%s; name one by its tag behind the path (tags there: " SPAN_FMT ")",
        reading->store.path, count > 1 ? "more than one image" : "no image",
        reading->tag[0] != '\0' ? " with the tag " : "", reading->tag, image_architecture(), SPAN_ARG(buf_span(&tags)));
    buf_finish(&tags);
    return false;
}

/* An index, or a manifest, which an index names by the same descriptors. */
static bool index_take(struct reading *reading, struct span index, const char *tag)
{
    struct span list = list_get(index, SPAN_LIT("manifests")), chosen;
    struct buf text = {0};
    if (json_object_get(index, SPAN_LIT("manifests")).data == NULL)
        return manifest_take(reading, index);
    if (++reading->depth > DEPTH_MAX)
        return fault(reading, "indexes within indexes");
    size_t count = candidates(list, tag, &chosen);
    if (count > 1 && tag[0] == '\0' && reading->depth == 1 && candidates(list, "latest", &chosen) == 1)
        count = 1;
    if (count != 1)
        return candidates_tell(reading, list, count);
    bool ok = descriptor_read(reading, chosen, &text) && index_take(reading, buf_span(&text), "");
    buf_finish(&text);
    return ok;
}

static bool docker_has_name(struct span one, const char *name)
{
    struct span tags = list_get(one, SPAN_LIT("RepoTags")), tag;
    bool found = name[0] == '\0';
    while (!found && json_array_next(&tags, &tag))
        found = json_string_equal(tag, span_str(name));
    return found;
}

/* https://github.com/moby/docker-image-spec: a list of images, with the names of their parts. */
static bool docker_take(struct reading *reading, struct span list)
{
    struct span one, chosen = {0}, layers, layer;
    struct buf text = {0};
    size_t count = 0;
    while (json_type(list) == JSON_ARRAY && json_array_next(&list, &one))
        if (json_type(one) == JSON_OBJECT && docker_has_name(one, reading->tag)) {
            chosen = one;
            count++;
        }
    if (count != 1)
        return err_set(reading->err,
                       "%.300s has %s%s%s: name one behind the path (docker-archive:FILE:NAME:TAG), or save it alone",
                       reading->store.path, count > 1 ? "more than one image" : "no image",
                       reading->tag[0] != '\0' ? " called " : "", reading->tag);
    bool ok = true;
    layers = list_get(chosen, SPAN_LIT("Layers"));
    while (ok && json_array_next(&layers, &layer)) {
        char *name = string_take(layer);
        ok = layer_add(reading, name, "");
        free(name);
    }
    char *config = text_take(chosen, "Config");
    ok = ok && json_read(reading, config, &text, reading->image->digest) && config_take(reading, buf_span(&text));
    free(config);
    buf_finish(&text);
    return ok;
}

static bool parts_read(struct reading *reading, enum form form)
{
    struct buf text = {0};
    char ignored[SHA256_HEX_LEN + 1];
    const char *name = form == FORM_DOCKER_ARCHIVE ? "manifest.json" : "index.json";
    bool ok = json_read(reading, name, &text, ignored) || err_prefix(reading->err, "%s",
                                                                     form == FORM_OCI_ARCHIVE      ? "oci-archive: "
                                                                     : form == FORM_DOCKER_ARCHIVE ? "docker-archive: "
                                                                                                   : "oci: ");
    if (ok)
        ok = form == FORM_DOCKER_ARCHIVE ? docker_take(reading, json_trim(buf_span(&text)))
                                         : index_take(reading, json_trim(buf_span(&text)), reading->tag);
    buf_finish(&text);
    return ok;
}

bool image_read(struct image *image, const char *reference, const char *beside, struct err *err)
{
    struct span rest, path;
    struct reading reading = {.image = image, .err = err};
    *image = (struct image){0};
    int form = form_find(reference, &rest);
    span_next(&rest, ':', &path);
    char *tag = mem_text(rest), *where = file_beside(beside, path);
    reading.tag = tag;
    bool ok = path.len > 0 || err_set(err, "image: %s has no path", SHOWN_FOUND(span_str(reference)));
    ok = ok && image_archive_ready(err) && image_store_open(&reading.store, where, form != FORM_OCI, err) &&
         parts_read(&reading, (enum form)form);
    image_store_close(&reading.store);
    free(tag);
    free(where);
    if (!ok)
        image->digest[0] = '\0';
    return ok || err_prefix(err, "image: ");
}

char *image_reference_complete(const char *reference)
{
    struct span rest, path;
    int form = form_find(reference, &rest);
    bool is_tagged = span_find(rest, ':') >= 0;
    span_next(&rest, ':', &path);
    char *given = mem_text(path), *whole = file_absolute(given);
    char *complete =
        mem_printf(SPAN_FMT "%s%s" SPAN_FMT, SPAN_ARG(forms[form].prefix), whole, is_tagged ? ":" : "", SPAN_ARG(rest));
    free(given);
    free(whole);
    return complete;
}

void image_finish(struct image *image)
{
    words_finish(&image->entrypoint);
    words_finish(&image->command);
    words_finish(&image->env);
    free(image->user);
    free(image->directory);
    for (size_t i = 0; i < image->layer_count; i++)
        image_blob_finish(&image->layers[i].blob);
    free(image->layers);
    *image = (struct image){0};
}
