/* yaml_problem: libyaml's errors, in words for people who write configuration files. */
#include <stdarg.h>
#include <stdio.h>

#include "wire/yaml_parts.h"

/* libyaml's texts, and ours in their place. `%c` stands for the character at the spot, `%l` for the line on which the
 * value that libyaml was reading began. */
struct wording {
    const char *context, *problem; /* NULL: any */
    const char *text;
};

static const char tab_text[] = "a tab indents this line; YAML is indented with spaces only";

static const struct wording wordings[] = {
    {NULL, "found a tab character that violates indentation", tab_text},
    {NULL, "found a tab character where an indentation space is expected", tab_text},
    {NULL, "found character that cannot start any token", "a value cannot begin with %c; put it in quotes"},
    {NULL, "could not find expected ':'", "expected \"key: value\", found no \":\" behind the text on line %l"},
    {NULL, "mapping values are not allowed in this context",
     "a \":\" cannot stand here; is the indentation right? A value that has \": \" in it needs quotes"},
    {NULL, "mapping keys are not allowed in this context", "a key cannot stand here; is the indentation right?"},
    {NULL, "block sequence entries are not allowed in this context",
     "a list (\"- \") cannot begin here; it goes on a line of its own, below its key"},
    {"while parsing a block mapping", "did not find expected key",
     "expected another key of the mapping that began on line %l; is the indentation right, is a quote closed too "
     "early?"},
    {NULL, "did not find expected '-' indicator",
     "expected another \"- \" of the list that began on line %l; is the indentation right?"},
    {NULL, "did not find expected ',' or ']'", "expected \",\" or \"]\" in the list that began with \"[\" on line %l"},
    {NULL, "did not find expected ',' or '}'",
     "expected \",\" or \"}\" in the mapping that began with \"{\" on line %l"},
    {NULL, "did not find expected node content", "expected a value, found %c"},
    {NULL, "did not find expected <document start>", "something stands behind the end of the document"},
    {"while scanning a quoted scalar", "found unexpected end of stream",
     "the file ends inside the quotes that were opened on line %l"},
    {"while scanning a quoted scalar", "found unexpected document indicator",
     "the document ends inside the quotes that were opened on line %l"},
    {NULL, "found unknown escape character", "an unknown escape in double quotes; write \"\\\\\" for a backslash"},
    {NULL, "found undefined alias",
     "an alias (*) without its anchor (&) above; a value that begins with * needs quotes"},
    {NULL, "found duplicate anchor; first occurrence", "an anchor (&) that is defined twice, first on line %l"},
    {NULL, "found undefined tag handle", "a tag (!) that is not defined; a value that begins with ! needs quotes"},
    {"while scanning an alias", NULL, "a value that begins with * needs quotes"},
    {"while scanning an anchor", NULL, "a value that begins with & needs quotes"},
    {"while scanning a tag", NULL, "a value that begins with ! needs quotes"},
    {NULL, "control characters are not allowed", "a control character; is this a text file?"},
    {NULL, "invalid leading UTF-8 octet", "not UTF-8 text"},
    {NULL, "invalid trailing UTF-8 octet", "not UTF-8 text"},
    {NULL, "invalid Unicode character", "not UTF-8 text"},
    {NULL, "invalid length of a UTF-8 sequence", "not UTF-8 text"},
    {NULL, "incomplete UTF-8 octet sequence", "not UTF-8 text"},
};

static bool is_same(const char *wanted, const char *text)
{
    return wanted == NULL || (text != NULL && strcmp(wanted, text) == 0);
}

static const char *wording_find(const yaml_parser_t *parser)
{
    for (size_t i = 0; i < sizeof wordings / sizeof wordings[0]; i++)
        if (is_same(wordings[i].context, parser->context) && is_same(wordings[i].problem, parser->problem))
            return wordings[i].text;
    return NULL;
}

/* Bytes that are no text carry no mark, only an offset. */
static yaml_mark_t mark_of(struct span text, const yaml_parser_t *parser)
{
    yaml_mark_t mark = {0};
    if (parser->error != YAML_READER_ERROR)
        return parser->problem_mark;
    size_t offset = parser->problem_offset < text.len ? parser->problem_offset : text.len;
    for (mark.index = 0; mark.index < offset; mark.index++) {
        bool newline = text.data[mark.index] == '\n';
        mark.line += newline;
        mark.column = newline ? 0 : mark.column + 1;
    }
    return mark;
}

/* The byte at a mark, whose column counts characters; the marks' index does so too. */
static unsigned char byte_at(struct span text, yaml_mark_t mark)
{
    struct span line;
    for (size_t i = 0; i <= mark.line; i++)
        if (!span_next(&text, '\n', &line))
            return '\0';
    for (size_t at = 0, column = 0; at < line.len; at++) {
        bool starts = ((unsigned char)line.data[at] & 0xc0) != 0x80;
        if (starts && column++ == mark.column)
            return (unsigned char)line.data[at];
    }
    return '\0';
}

static void wording_fill(const char *wording, unsigned char c, size_t line, char *to, size_t cap)
{
    size_t len = 0;
    for (const char *at = wording; *at != '\0' && len < cap; at++) {
        if (*at != '%')
            len += (size_t)snprintf(to + len, cap - len, "%c", *at);
        else if (*++at == 'l')
            len += (size_t)snprintf(to + len, cap - len, "%zu", line);
        else if (c == '\0' || c == '\r')
            len += (size_t)snprintf(to + len, cap - len, "the end of the line");
        else
            len += (size_t)snprintf(to + len, cap - len, c > 0x20 && c < 0x7f ? "\"%c\"" : "byte 0x%02x", c);
    }
}

void yaml_problem_describe(const char *file, struct span text, const yaml_parser_t *parser, struct err *err)
{
    char said[512];
    yaml_mark_t mark = mark_of(text, parser);
    const char *wording = wording_find(parser);
    unsigned char c = byte_at(text, mark);
    if (parser->error == YAML_MEMORY_ERROR) {
        err_set(err, "%s: out of memory", file);
        return;
    }
    if (c == '\t' && parser->error == YAML_SCANNER_ERROR)
        wording = tab_text;
    if (wording != NULL)
        wording_fill(wording, c, parser->context_mark.line + 1, said, sizeof said);
    else
        snprintf(said, sizeof said, "not YAML: %s%s%s", parser->context != NULL ? parser->context : "",
                 parser->context != NULL ? ", " : "", parser->problem != NULL ? parser->problem : "unreadable");
    err_set(err, "%s:%zu:%zu: %s", file, mark.line + 1, mark.column + 1, said);
}
