/* yaml: turns text into nodes. libyaml composes its document, which is copied into nodes that know their line and path.
 * Aliases are expanded, within bounds. yaml_problem.c explains libyaml's errors; yaml_get.c has the getters. */
#include "wire/yaml.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/shown.h"
#include "wire/yaml_parts.h"

enum {
    NODES_MAX = 100000,        /* aliases spelled out */
    NODE_BYTES_MAX = 32 << 20, /* texts and paths of all nodes */
    KEY_BYTES_MAX = 1024,
    ANCHORS_MAX = 1000,
};

struct build {
    const char *file;
    yaml_document_t *document;
    struct err *err;
    size_t nodes, bytes;
    int above[YAML_DEPTH_MAX]; /* the nodes around the one being built */
    int depth;
};

static struct yaml_node *node_build(struct build *build, int index, struct span path);

__attribute__((format(printf, 3, 4))) static bool build_error(struct build *build, size_t line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    err_vset(build->err, format, args);
    va_end(args);
    return err_prefix(build->err, "%s:%zu: ", build->file, line + 1);
}

static bool list_build(struct build *build, const yaml_node_t *from, struct yaml_node *node)
{
    size_t count = (size_t)(from->data.sequence.items.top - from->data.sequence.items.start);
    node->type = YAML_LIST;
    node->items = mem_zero(count, sizeof(struct yaml_node *));
    for (size_t i = 0; i < count; i++) {
        char *path = mem_printf("%s[%zu]", node->path, i);
        node->items[i] = node_build(build, from->data.sequence.items.start[i], span_str(path));
        free(path);
        if (node->items[i] == NULL)
            return false;
        node->count++;
    }
    return true;
}

/* A key is a short text on one line: it stands in paths and messages. */
static bool key_check(struct build *build, const yaml_node_t *key)
{
    if (key->type != YAML_SCALAR_NODE)
        return build_error(build, key->start_mark.line, "a key must be text, not a %s",
                           key->type == YAML_SEQUENCE_NODE ? "list" : "mapping");
    if (key->data.scalar.length > KEY_BYTES_MAX)
        return build_error(build, key->start_mark.line, "a key longer than %d bytes", KEY_BYTES_MAX);
    for (size_t i = 0; i < key->data.scalar.length; i++)
        if (key->data.scalar.value[i] < 0x20)
            return build_error(build, key->start_mark.line, "a key must be text on one line");
    if (!shown_all_harmless(span_of(key->data.scalar.value, key->data.scalar.length)))
        return build_error(
            build, key->start_mark.line,
            "a key holds a control character, or one that is invisible or changes the direction of text");
    return true;
}

static bool pair_build(struct build *build, const yaml_node_pair_t *from, struct yaml_node *node)
{
    const yaml_node_t *key = yaml_document_get_node(build->document, from->key);
    struct span text = span_of(key->data.scalar.value, key->data.scalar.length);
    char *path = mem_printf("%s%s" SPAN_FMT, node->path, node->path[0] != '\0' ? "." : "", SPAN_ARG(text));
    struct yaml_node *value = node_build(build, from->value, span_str(path));
    free(path);
    if (value == NULL)
        return false;
    build->bytes += text.len;
    node->pairs[node->count++] =
        (struct yaml_pair){span_of(mem_text(text), text.len), (unsigned)key->start_mark.line + 1, value};
    return true;
}

struct seen_key {
    struct map_node node;
    size_t line;
};

static bool mapping_build(struct build *build, const yaml_node_t *from, struct yaml_node *node)
{
    static const uint64_t seed[2] = {0, 0}; /* the operator's own keys: nobody aims for collisions */
    size_t count = (size_t)(from->data.mapping.pairs.top - from->data.mapping.pairs.start);
    struct seen_key *seen = mem_zero(count, sizeof *seen);
    struct map keys;
    bool good = true;
    map_init(&keys, seed);
    node->type = YAML_MAPPING;
    node->pairs = mem_zero(count, sizeof *node->pairs);
    for (size_t i = 0; i < count && good; i++) {
        const yaml_node_pair_t *pair = &from->data.mapping.pairs.start[i];
        const yaml_node_t *key = yaml_document_get_node(build->document, pair->key);
        good = key_check(build, key);
        if (!good)
            break;
        struct span text = span_of(key->data.scalar.value, key->data.scalar.length);
        struct map_node *before = map_find(&keys, text);
        if (before != NULL) {
            good = build_error(build, key->start_mark.line,
                               "%.200s%s%s is here for the second time; it is already on line %zu", node->path,
                               node->path[0] != '\0' ? ": " : "", SHOWN_FOUND(text),
                               ((struct seen_key *)before)->line + 1);
            break;
        }
        seen[i].line = key->start_mark.line;
        map_add(&keys, &seen[i].node, text);
        good = pair_build(build, pair, node);
    }
    map_finish(&keys);
    free(seen);
    return good;
}

/* A tag of the core schema only names the type that a value has anyway. Other tags ask for types that do not exist
 * here. */
static bool node_check(struct build *build, int index, const yaml_node_t *from)
{
    static const char core[] = "tag:yaml.org,2002:";
    size_t line = from->start_mark.line;
    const char *tag = (const char *)from->tag;
    for (int i = 0; i < build->depth; i++)
        if (build->above[i] == index)
            return build_error(build, line, "this anchor (&) is used inside of itself");
    if (build->depth == YAML_DEPTH_MAX)
        return build_error(build, line, "nested more than %d deep", YAML_DEPTH_MAX);
    if (++build->nodes > NODES_MAX || build->bytes > NODE_BYTES_MAX)
        return build_error(build, line,
                           "too large: more than %d values, or %d MiB of text, with aliases (*) spelled out", NODES_MAX,
                           NODE_BYTES_MAX >> 20);
    if (tag != NULL && strncmp(tag, core, sizeof core - 1) != 0)
        return build_error(build, line,
                           "a tag (!) means nothing here; leave it out; a value that begins with ! needs quotes");
    return true;
}

static struct yaml_node *node_build(struct build *build, int index, struct span path)
{
    const yaml_node_t *from = yaml_document_get_node(build->document, index);
    struct span text = {NULL, 0};
    bool good = true;
    if (!node_check(build, index, from))
        return NULL;
    if (from->type == YAML_SCALAR_NODE)
        text = span_of(from->data.scalar.value, from->data.scalar.length);
    /* Readers make C strings of texts: one with a NUL inside would end there, silently. */
    if (span_find(text, '\0') >= 0) {
        build_error(build, from->start_mark.line, "a text with a NUL character (\\0) means nothing here");
        return NULL;
    }
    struct yaml_node *node = mem_zero(1, sizeof *node);
    node->file = build->file;
    node->line = (unsigned)from->start_mark.line + 1;
    node->path = mem_text(path);
    build->bytes += path.len + text.len;
    build->above[build->depth++] = index;
    if (from->type == YAML_SCALAR_NODE) {
        node->type = YAML_SCALAR;
        node->quoted = from->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
        node->text = span_of(mem_text(text), text.len);
    } else if (from->type == YAML_SEQUENCE_NODE) {
        good = list_build(build, from, node);
    } else {
        good = mapping_build(build, from, node);
    }
    build->depth--;
    if (good)
        return node;
    yaml_destroy(node);
    return NULL;
}

/* After the one document: the end of the text, or a second one, which is an error. */
static bool end_check(const char *file, struct span text, yaml_parser_t *parser, struct err *err)
{
    yaml_document_t second;
    if (!yaml_parser_load(parser, &second)) {
        yaml_problem_describe(file, text, parser, err);
        return false;
    }
    bool more = yaml_document_get_root_node(&second) != NULL;
    if (more)
        err_set(err, "%s:%zu: a second document begins here (---); one is expected", file, second.start_mark.line + 1);
    yaml_document_delete(&second);
    return !more;
}

static struct yaml_node *document_build(const char *file, struct span text, yaml_parser_t *parser, struct err *err)
{
    yaml_document_t document;
    struct yaml_node *root = NULL;
    if (!yaml_parser_load(parser, &document)) {
        yaml_problem_describe(file, text, parser, err);
        return NULL;
    }
    if (yaml_document_get_root_node(&document) == NULL) {
        err_set(err, "%s: nothing in it (but for white space and comments)", file);
    } else {
        struct build build = {.file = file, .document = &document, .err = err};
        root = node_build(&build, 1, SPAN_LIT(""));
    }
    yaml_document_delete(&document);
    if (root != NULL && !end_check(file, text, parser, err)) {
        yaml_destroy(root);
        return NULL;
    }
    return root;
}

/* Reads the text once and bounds depth and the number of anchors, because the time of libyaml's composer grows with
 * their squares. Also finds most errors of syntax. */
static bool text_check(const char *file, struct span text, yaml_parser_t *parser, struct err *err)
{
    int depth = 0, anchors = 0;
    for (bool more = true; more;) {
        yaml_event_t event;
        if (!yaml_parser_parse(parser, &event)) {
            yaml_problem_describe(file, text, parser, err);
            return false;
        }
        bool opens = event.type == YAML_SEQUENCE_START_EVENT || event.type == YAML_MAPPING_START_EVENT;
        bool closes = event.type == YAML_SEQUENCE_END_EVENT || event.type == YAML_MAPPING_END_EVENT;
        size_t line = event.start_mark.line + 1;
        depth += opens - closes;
        anchors += (event.type == YAML_SCALAR_EVENT && event.data.scalar.anchor != NULL) ||
                   (event.type == YAML_SEQUENCE_START_EVENT && event.data.sequence_start.anchor != NULL) ||
                   (event.type == YAML_MAPPING_START_EVENT && event.data.mapping_start.anchor != NULL);
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (depth > YAML_DEPTH_MAX)
            return err_set(err, "%s:%zu: nested more than %d deep", file, line, YAML_DEPTH_MAX);
        if (anchors > ANCHORS_MAX)
            return err_set(err, "%s:%zu: more than %d anchors (&)", file, line, ANCHORS_MAX);
    }
    return true;
}

/* libyaml's parser is made anew for each of the two passes. */
static bool parser_open(yaml_parser_t *parser, const char *file, struct span text, struct err *err)
{
    if (!yaml_parser_initialize(parser))
        return err_set(err, "%s: out of memory", file);
    yaml_parser_set_input_string(parser, (const unsigned char *)(text.len != 0 ? text.data : ""), text.len);
    return true;
}

struct yaml_node *yaml_parse(const char *file, struct span text, struct err *err)
{
    yaml_parser_t parser;
    struct yaml_node *root = NULL;
    if (text.len > YAML_BYTES_MAX) {
        err_set(err, "%s: %zu bytes; at most %d are read", file, text.len, YAML_BYTES_MAX);
        return NULL;
    }
    if (!parser_open(&parser, file, text, err))
        return NULL;
    bool good = text_check(file, text, &parser, err);
    yaml_parser_delete(&parser);
    if (!good || !parser_open(&parser, file, text, err))
        return NULL;
    root = document_build(file, text, &parser, err);
    yaml_parser_delete(&parser);
    return root;
}

void yaml_destroy(struct yaml_node *root)
{
    if (root == NULL)
        return;
    for (size_t i = 0; i < root->count; i++) { /* recursion is bounded by YAML_DEPTH_MAX */
        if (root->type == YAML_LIST) {
            yaml_destroy(root->items[i]);
        } else {
            free((char *)root->pairs[i].key.data);
            yaml_destroy(root->pairs[i].value);
        }
    }
    free(root->items);
    free(root->pairs);
    free((char *)root->text.data);
    free(root->path);
    free(root);
}
