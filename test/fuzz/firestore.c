/* firestore: what an instance reads on Firestore. The first byte chooses: the records of a call or a saved state; what
 * a Listen stream says; what BatchGetDocuments says. Records that are read and written again are the same; texts lie in
 * memory of the message. */
#include <assert.h>

#include "broker/firestore_record.h"
#include "broker/firestore_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static bool is_same(const struct fs_record *a, const struct fs_record *b)
{
    bool same = a->kind == b->kind;
    for (int i = 0; i < FS_NUMBERS_MAX; i++)
        same = same && a->numbers[i] == b->numbers[i];
    for (int i = 0; i < FS_TEXTS_MAX; i++)
        same = same && span_equal(a->texts[i], b->texts[i]);
    return same;
}

static void records_try(struct span rest)
{
    struct fs_record record, again;
    struct buf out = {0};
    struct span whole = rest;
    while (fs_record_take(&rest, &record) == 1) {
        buf_clear(&out);
        fs_record_append(&out, record.kind, record.numbers, record.texts);
        struct span back = buf_span(&out);
        int taken = fs_record_take(&back, &again);
        assert(taken == 1 && back.len == 0 && is_same(&record, &again));
        for (int i = 0; i < FS_TEXTS_MAX; i++)
            assert(record.texts[i].len == 0 || (record.texts[i].data > whole.data &&
                                                record.texts[i].data + record.texts[i].len <= whole.data + whole.len));
    }
    buf_finish(&out);
}

/* Every byte may be read. */
static void text_read(struct span text)
{
    struct buf copy = {0};
    buf_append(&copy, text);
    buf_finish(&copy);
}

static void document_read(const struct fs_document *document)
{
    text_read(document->name);
    text_read(document->data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct fs_heard heard;
    struct fs_got got;
    if (len == 0)
        return 0;
    struct span message = span_of(data + 1, len - 1);
    if (data[0] % 3 == 0) {
        records_try(message);
    } else if (data[0] % 3 == 1) {
        if (!fs_heard_decode(&heard, message))
            return 0;
        assert(heard.kind != FS_HEARD_DOCUMENT || (heard.document.created_ns != 0 && heard.document.updated_ns != 0));
        assert(heard.kind != FS_HEARD_SNAPSHOT || heard.read_ns != 0);
        document_read(&heard.document);
        text_read(heard.text);
        fs_heard_finish(&heard);
    } else {
        if (!fs_got_decode(&got, message))
            return 0;
        document_read(&got.document);
        fs_got_finish(&got);
    }
    return 0;
}
