/* proxy: both versions: a line of text, and a binary head with a length. */
#include "wire/proxy.h"

#include <arpa/inet.h>

static const char V2_SIGNATURE[12] = {'\r', '\n', '\r', '\n', 0, '\r', '\n', 'Q', 'U', 'I', 'T', '\n'};

enum { V2_HEAD_BYTES = 16, V2_VERSION = 2, V2_COMMAND_LOCAL = 0, V2_COMMAND_PROXY = 1, V2_TCP4 = 0x11, V2_TCP6 = 0x21 };

static ptrdiff_t bad(struct proxy_header *header, const char *rule)
{
    header->rule = rule;
    return -1;
}

static bool ip_read(struct span text, int family, uint8_t ip[PROXY_IP_BYTES])
{
    char copy[INET6_ADDRSTRLEN];
    if (text.len == 0 || text.len >= sizeof copy || memchr(text.data, '\0', text.len) != NULL)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return inet_pton(family, copy, ip) == 1;
}

/* A port is decimal, without leading zeros. */
static bool port_read(struct span text, uint16_t *port)
{
    uint64_t value;
    if (text.len == 0 || text.len > 5 || (text.len > 1 && text.data[0] == '0') || !span_to_u64(text, &value) ||
        value > UINT16_MAX)
        return false;
    *port = (uint16_t)value;
    return true;
}

/* `PROXY TCP4 192.0.2.1 192.0.2.2 56324 443`, without the line's end. */
static bool line_read(struct span line, struct proxy_header *header)
{
    struct span words[6], word;
    size_t count = 0;
    uint16_t ignored_port;
    uint8_t ignored[PROXY_IP_BYTES];
    while (count < 6 && span_next(&line, ' ', &word))
        words[count++] = word;
    if (count >= 2 && span_equal(words[1], SPAN_LIT("UNKNOWN"))) { /* what follows is to be ignored */
        header->kind = PROXY_LOCAL;
        return true;
    }
    if (count != 6 || span_next(&line, ' ', &word))
        return false;
    bool v4 = span_equal(words[1], SPAN_LIT("TCP4"));
    int family = v4 ? AF_INET : AF_INET6;
    header->kind = v4 ? PROXY_IPV4 : PROXY_IPV6;
    return (v4 || span_equal(words[1], SPAN_LIT("TCP6"))) && ip_read(words[2], family, header->ip) &&
           ip_read(words[3], family, ignored) && port_read(words[4], &header->port) &&
           port_read(words[5], &ignored_port);
}

static ptrdiff_t v1_decode(struct span bytes, struct proxy_header *header)
{
    struct span start = SPAN_LIT("PROXY ");
    if (!span_starts_with(bytes, span_sub(start, 0, bytes.len)))
        return bad(header, "a header of the PROXY protocol begins with `PROXY ` or with the signature of version 2");
    const char *end = memchr(bytes.data, '\n', bytes.len < PROXY_V1_BYTES_MAX ? bytes.len : PROXY_V1_BYTES_MAX);
    if (end == NULL && bytes.len < PROXY_V1_BYTES_MAX)
        return 0;
    size_t len = end != NULL ? (size_t)(end - bytes.data) : 0;
    if (len == 0 || bytes.data[len - 1] != '\r')
        return bad(header, "version 1 is one line of at most 107 bytes that ends with CR LF");
    if (!line_read(span_sub(bytes, 0, len - 1), header))
        return bad(header, "version 1 is `PROXY TCP4|TCP6 SOURCE DESTINATION PORT PORT`, or `PROXY UNKNOWN`");
    return (ptrdiff_t)len + 1;
}

static ptrdiff_t v2_decode(struct span bytes, struct proxy_header *header)
{
    if (bytes.len < V2_HEAD_BYTES)
        return 0;
    const uint8_t *head = (const uint8_t *)bytes.data;
    unsigned version = head[12] >> 4, command = head[12] & 15, family = head[13];
    size_t len = (size_t)head[14] << 8 | head[15];
    if (version != V2_VERSION || command > V2_COMMAND_PROXY)
        return bad(header, "version 2 has the version 2, and the command LOCAL or PROXY");
    if (V2_HEAD_BYTES + len > PROXY_BYTES_MAX)
        return bad(header, "version 2 has at most 520 bytes of addresses and TLVs here");
    bool v4 = family == V2_TCP4, v6 = family == V2_TCP6;
    if (command == V2_COMMAND_PROXY && ((v4 && len < 12) || (v6 && len < 36)))
        return bad(header, "version 2 has two addresses and two ports for TCP over IPv4 and IPv6");
    if (bytes.len < V2_HEAD_BYTES + len)
        return 0;
    header->kind = command == V2_COMMAND_PROXY && v4   ? PROXY_IPV4
                   : command == V2_COMMAND_PROXY && v6 ? PROXY_IPV6
                                                       : PROXY_LOCAL;
    if (header->kind != PROXY_LOCAL) {
        size_t ip_bytes = v4 ? 4 : 16;
        const uint8_t *port = head + V2_HEAD_BYTES + 2 * ip_bytes;
        memcpy(header->ip, head + V2_HEAD_BYTES, ip_bytes);
        header->port = (uint16_t)(port[0] << 8 | port[1]);
    }
    return (ptrdiff_t)(V2_HEAD_BYTES + len);
}

ptrdiff_t proxy_decode(struct span bytes, struct proxy_header *header)
{
    size_t most = sizeof V2_SIGNATURE;
    *header = (struct proxy_header){.kind = PROXY_LOCAL};
    if (bytes.len == 0)
        return 0;
    if (memcmp(bytes.data, V2_SIGNATURE, bytes.len < most ? bytes.len : most) == 0)
        return bytes.len < most ? 0 : v2_decode(bytes, header);
    return v1_decode(bytes, header);
}
