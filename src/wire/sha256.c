/* sha256: an EVP_MD_CTX. */
#include "wire/sha256.h"

#include <openssl/evp.h>

#include "base/mem.h"

enum { DIGEST_BYTES = SHA256_HEX_LEN / 2 };

struct sha256 *sha256_create(void)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (context == NULL || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
        mem_gone();
    return (struct sha256 *)context;
}

void sha256_add(struct sha256 *sha256, struct span bytes)
{
    if (EVP_DigestUpdate((EVP_MD_CTX *)sha256, bytes.data, bytes.len) != 1)
        mem_gone();
}

void sha256_end(struct sha256 *sha256, char hex[SHA256_HEX_LEN + 1])
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[EVP_MAX_MD_SIZE];
    if (EVP_DigestFinal_ex((EVP_MD_CTX *)sha256, bytes, NULL) != 1)
        mem_gone();
    EVP_MD_CTX_free((EVP_MD_CTX *)sha256);
    for (size_t i = 0; i < DIGEST_BYTES; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[SHA256_HEX_LEN] = '\0';
}

void sha256_of(struct span bytes, char hex[SHA256_HEX_LEN + 1])
{
    struct sha256 *sha256 = sha256_create();
    sha256_add(sha256, bytes);
    sha256_end(sha256, hex);
}
