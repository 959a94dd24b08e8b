/* firestore_wire: encodes and decodes by protobuf-c. */
#include "broker/firestore_wire.h"

#include <stdlib.h>

#include "base/mem.h"
#include "broker/firestore.pb-c.h"

enum { NS_PER_S = 1000000000 };

static Fs__Timestamp timestamp(uint64_t ns)
{
    Fs__Timestamp to = FS__TIMESTAMP__INIT;
    to.seconds = (int64_t)(ns / NS_PER_S);
    to.nanos = (int32_t)(ns % NS_PER_S);
    return to;
}

static uint64_t time_ns(const Fs__Timestamp *from)
{
    if (from == NULL || from->seconds < 0 || from->nanos < 0 || from->seconds > INT32_MAX * (int64_t)4)
        return 0;
    return (uint64_t)from->seconds * NS_PER_S + (uint64_t)from->nanos;
}

/* The texts of requests are ours, and protobuf-c does not change them. */
static char *text(const char *borrowed)
{
    return (char *)(uintptr_t)borrowed;
}

/* One write, with all that it points at. */
struct write {
    Fs__Write write;
    Fs__Document document;
    Fs__Precondition condition;
    Fs__Timestamp updated;
    Fs__Value value;
    Fs__Field data;
    Fs__Field *fields[1];
    char *name;
};

static void document_fill(struct write *to, const struct fs_write *from)
{
    fs__document__init(&to->document);
    fs__field__init(&to->data);
    fs__value__init(&to->value);
    to->value.kind_case = FS__VALUE__KIND_BYTES_VALUE;
    to->value.bytes_value = (ProtobufCBinaryData){from->data.len, (uint8_t *)text(from->data.data)};
    to->data.key = text("data");
    to->data.value = &to->value;
    to->fields[0] = &to->data;
    to->document.name = to->name;
    to->document.n_fields = 1;
    to->document.fields = to->fields;
}

static void write_fill(struct write *to, const struct fs_write *from)
{
    to->name = mem_text(from->name);
    fs__write__init(&to->write);
    if (from->kind == FS_DELETE) {
        to->write.operation_case = FS__WRITE__OPERATION_DELETE;
        to->write.delete_ = to->name;
        return;
    }
    document_fill(to, from);
    to->write.operation_case = FS__WRITE__OPERATION_UPDATE;
    to->write.update = &to->document;
    if (from->kind == FS_PUT)
        return;
    fs__precondition__init(&to->condition);
    to->condition.condition_case =
        from->kind == FS_CREATE ? FS__PRECONDITION__CONDITION_EXISTS : FS__PRECONDITION__CONDITION_UPDATE_TIME;
    if (from->kind == FS_CREATE) {
        to->condition.exists = false;
    } else {
        to->updated = timestamp(from->updated_ns);
        to->condition.update_time = &to->updated;
    }
    to->write.current_document = &to->condition;
}

static void pack(struct buf *to, const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    buf_added(to, protobuf_c_message_pack(message, (uint8_t *)buf_reserve(to, bytes)));
}

void fs_commit_encode(struct buf *to, const char *database, const struct fs_write *writes, size_t count)
{
    Fs__CommitRequest request = FS__COMMIT_REQUEST__INIT;
    struct write *all = mem_zero(count, sizeof *all);
    Fs__Write **pointers = mem_zero(count, sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        write_fill(&all[i], &writes[i]);
        pointers[i] = &all[i].write;
    }
    request.database = text(database);
    request.n_writes = count;
    request.writes = pointers;
    pack(to, &request.base);
    for (size_t i = 0; i < count; i++)
        free(all[i].name);
    free(all);
    free(pointers);
}

void fs_get_encode(struct buf *to, const char *database, char *const *names, size_t count)
{
    Fs__BatchGetDocumentsRequest request = FS__BATCH_GET_DOCUMENTS_REQUEST__INIT;
    request.database = text(database);
    request.n_documents = count;
    request.documents = (char **)(uintptr_t)names;
    pack(to, &request.base);
}

void fs_listen_encode(struct buf *to, const char *database, const char *parent, const char *collection)
{
    Fs__ListenRequest request = FS__LISTEN_REQUEST__INIT;
    Fs__Target target = FS__TARGET__INIT;
    Fs__QueryTarget query = FS__QUERY_TARGET__INIT;
    Fs__StructuredQuery structured = FS__STRUCTURED_QUERY__INIT;
    Fs__CollectionSelector from = FS__COLLECTION_SELECTOR__INIT;
    Fs__CollectionSelector *all = &from;
    from.collection_id = text(collection);
    structured.n_from = 1;
    structured.from = &all;
    query.parent = text(parent);
    query.structured_query = &structured;
    target.query = &query;
    target.target_id = 1;
    request.database = text(database);
    request.add_target = &target;
    pack(to, &request.base);
}

static void *unpack(const ProtobufCMessageDescriptor *descriptor, struct span message)
{
    return protobuf_c_message_unpack(descriptor, NULL, message.len, (const uint8_t *)message.data);
}

static void unpacked_free(void *memory)
{
    if (memory != NULL)
        protobuf_c_message_free_unpacked(memory, NULL);
}

static bool document_read(struct fs_document *to, const Fs__Document *from)
{
    if (from == NULL || from->name == NULL)
        return false;
    *to = (struct fs_document){.name = span_str(from->name),
                               .created_ns = time_ns(from->create_time),
                               .updated_ns = time_ns(from->update_time)};
    for (size_t i = 0; i < from->n_fields; i++) {
        const Fs__Field *field = from->fields[i];
        if (field->value == NULL || !span_equal(span_str(field->key), SPAN_LIT("data")) ||
            field->value->kind_case != FS__VALUE__KIND_BYTES_VALUE)
            continue;
        to->data = span_of(field->value->bytes_value.data, field->value->bytes_value.len);
    }
    return to->created_ns != 0 && to->updated_ns != 0;
}

/* A snapshot is of all targets; of ours alone it is only on its way to one. */
static void target_read(struct fs_heard *heard, const Fs__TargetChange *change)
{
    heard->read_ns = time_ns(change->read_time);
    if (change->target_change_type == FS__TARGET_CHANGE__TYPE__NO_CHANGE && change->n_target_ids == 0 &&
        heard->read_ns != 0)
        heard->kind = FS_HEARD_SNAPSHOT;
    if (change->target_change_type == FS__TARGET_CHANGE__TYPE__RESET)
        heard->kind = FS_HEARD_RESET;
    if (change->target_change_type == FS__TARGET_CHANGE__TYPE__CURRENT)
        heard->kind = FS_HEARD_CURRENT;
    if (change->target_change_type != FS__TARGET_CHANGE__TYPE__REMOVE)
        return;
    heard->kind = FS_HEARD_ENDED;
    heard->status = change->cause != NULL ? (enum grpc_status)change->cause->code : GRPC_UNAVAILABLE;
    heard->text = span_str(change->cause != NULL ? change->cause->message : "");
}

bool fs_heard_decode(struct fs_heard *heard, struct span message)
{
    Fs__ListenResponse *response = unpack(&fs__listen_response__descriptor, message);
    bool good = response != NULL;
    *heard = (struct fs_heard){.memory = response};
    if (!good)
        return false;
    switch (response->response_case) {
    case FS__LISTEN_RESPONSE__RESPONSE_TARGET_CHANGE:
        target_read(heard, response->target_change);
        break;
    case FS__LISTEN_RESPONSE__RESPONSE_DOCUMENT_CHANGE:
        heard->kind = response->document_change->n_target_ids > 0 ? FS_HEARD_DOCUMENT : FS_HEARD_DELETED;
        good = document_read(&heard->document, response->document_change->document);
        break;
    case FS__LISTEN_RESPONSE__RESPONSE_DOCUMENT_DELETE:
        heard->kind = FS_HEARD_DELETED;
        heard->document.name = span_str(response->document_delete->document);
        break;
    case FS__LISTEN_RESPONSE__RESPONSE_DOCUMENT_REMOVE:
        heard->kind = FS_HEARD_DELETED;
        heard->document.name = span_str(response->document_remove->document);
        break;
    case FS__LISTEN_RESPONSE__RESPONSE_FILTER:
        heard->kind = FS_HEARD_COUNT;
        heard->count = response->filter->count > 0 ? (uint64_t)response->filter->count : 0;
        break;
    default:
        break;
    }
    if (!good)
        fs_heard_finish(heard);
    return good;
}

void fs_heard_finish(struct fs_heard *heard)
{
    unpacked_free(heard->memory);
    heard->memory = NULL;
}

bool fs_got_decode(struct fs_got *got, struct span message)
{
    Fs__BatchGetDocumentsResponse *response = unpack(&fs__batch_get_documents_response__descriptor, message);
    *got = (struct fs_got){.memory = response};
    if (response == NULL)
        return false;
    if (response->result_case != FS__BATCH_GET_DOCUMENTS_RESPONSE__RESULT_FOUND ||
        document_read(&got->document, response->found))
        return true;
    fs_got_finish(got);
    return false;
}

void fs_got_finish(struct fs_got *got)
{
    unpacked_free(got->memory);
    got->memory = NULL;
}
