/* pool: slabs of objects.
 *
 *     slab: [ head | object | object | free object | ... | never used ]
 *           ^ a multiple of SLAB_ALIGN                   ^ made */
#include "base/pool.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

/* gcc and clang say it each in its own way. */
#if defined(__SANITIZE_ADDRESS__)
enum { IS_WATCHED = 1 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { IS_WATCHED = 1 };
#else
enum { IS_WATCHED = 0 };
#endif
#else
enum { IS_WATCHED = 0 };
#endif

/* With malloc's header a slab fills its alignment, so that the next one begins right behind it. */
enum { SLAB_ALIGN = 8192, SLAB_BYTES = SLAB_ALIGN - 16 };

struct slab {
    struct list node; /* in pool.open, or none: it is full */
    void *given_back; /* the first free object, which names the next one */
    uint32_t used;    /* objects that are taken */
    uint32_t made;    /* bytes behind the head that are or were objects */
    char objects[];
};

void pool_init(struct pool *pool, size_t object_bytes)
{
    assert(object_bytes >= sizeof(void *) && object_bytes <= POOL_OBJECT_BYTES_MAX);
    *pool = (struct pool){.object_bytes = (object_bytes + 7) / 8 * 8};
    list_init(&pool->open);
}

static struct slab *slab_create(struct pool *pool)
{
    void *memory = NULL;
    if (posix_memalign(&memory, SLAB_ALIGN, SLAB_BYTES) != 0)
        mem_gone();
    struct slab *slab = memory;
    *slab = (struct slab){.used = 0};
    list_init(&slab->node);
    list_append(&pool->open, &slab->node);
    pool->slab_count++;
    return slab;
}

static void slab_destroy(struct pool *pool, struct slab *slab)
{
    list_remove(&slab->node);
    pool->slab_count--;
    free(slab);
}

static bool has_unmade(const struct pool *pool, const struct slab *slab)
{
    return slab->made + pool->object_bytes <= SLAB_BYTES - sizeof *slab;
}

void *pool_take(struct pool *pool)
{
    pool->count++;
    if (IS_WATCHED)
        return mem_zero(1, pool->object_bytes);
    struct slab *slab = list_empty(&pool->open) ? slab_create(pool) : container_of(pool->open.next, struct slab, node);
    void *object = slab->given_back;
    if (object != NULL) {
        memcpy(&slab->given_back, object, sizeof slab->given_back);
    } else {
        object = slab->objects + slab->made;
        slab->made += (uint32_t)pool->object_bytes;
    }
    slab->used++;
    if (slab->given_back == NULL && !has_unmade(pool, slab))
        list_remove(&slab->node);
    return memset(object, 0, pool->object_bytes);
}

void pool_give(struct pool *pool, void *object)
{
    if (object == NULL)
        return;
    assert(pool->count > 0);
    pool->count--;
    if (IS_WATCHED) {
        free(object);
        return;
    }
    struct slab *slab = (struct slab *)((uintptr_t)object & ~(uintptr_t)(SLAB_ALIGN - 1));
    assert(slab->used > 0);
    memcpy(object, &slab->given_back, sizeof slab->given_back);
    slab->given_back = object;
    slab->used--;
    if (list_empty(&slab->node)) /* it was full: it is filled again before emptier ones */
        list_prepend(&pool->open, &slab->node);
    if (slab->used == 0 && pool->open.next != pool->open.prev)
        slab_destroy(pool, slab);
}

void pool_finish(struct pool *pool)
{
    assert(pool->count == 0);
    while (pool->slab_count > 0)
        slab_destroy(pool, container_of(pool->open.next, struct slab, node));
}
