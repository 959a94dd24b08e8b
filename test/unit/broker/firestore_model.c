/* firestore_model: documents, commits and listeners. See firestore_model.h. */
#include "firestore_model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "instances.h"

#include "base/mem.h"
#include "broker/firestore.pb-c.h"
#include "grpc_server.h"

enum { NS_PER_S = 1000000000, WRITES_MAX = 500, METHODS = 3 };

struct document {
    struct list of_all;
    char *name;
    struct buf data;
    uint64_t created_ns, updated_ns;
};

struct listener_of {
    struct list of_all;
    struct grpc_stream *stream;
    char *folder;     /* what names of its documents begin with */
    struct buf *late; /* messages that wait while listeners are told nothing */
    size_t late_count;
};

static const char *const methods[METHODS] = {"Commit", "Listen", "BatchGetDocuments"};

static struct {
    struct grpc_server server;
    struct list documents, listeners;
    uint64_t last_ns;
    struct model_fault fault;
    const char *bearer;
    unsigned calls[METHODS];
    bool muted, held, running;
} model;

/* Whole microseconds, each commit later than the one before. */
static uint64_t time_pass(void)
{
    uint64_t now = (uint64_t)loop_clock_ms() * 1000000;
    model.last_ns = now > model.last_ns ? now : model.last_ns + 1000;
    return model.last_ns;
}

static void time_fill(Fs__Timestamp *to, uint64_t ns)
{
    fs__timestamp__init(to);
    to->seconds = (int64_t)(ns / NS_PER_S);
    to->nanos = (int32_t)(ns % NS_PER_S);
}

static uint64_t time_read(const Fs__Timestamp *from)
{
    return (uint64_t)from->seconds * NS_PER_S + (uint64_t)from->nanos;
}

static void pack(struct buf *to, const ProtobufCMessage *message)
{
    size_t bytes = protobuf_c_message_get_packed_size(message);
    buf_added(to, protobuf_c_message_pack(message, (uint8_t *)buf_reserve(to, bytes)));
}

static struct document *document_find(const char *name)
{
    list_each (node, &model.documents) {
        struct document *document = container_of(node, struct document, of_all);
        if (strcmp(document->name, name) == 0)
            return document;
    }
    return NULL;
}

static void document_free(struct document *document)
{
    list_remove(&document->of_all);
    buf_finish(&document->data);
    free(document->name);
    free(document);
}

/* A document as a message, with all that it points at. */
struct shown {
    Fs__Document document;
    Fs__Timestamp created, updated;
    Fs__Field field, *fields[1];
    Fs__Value value;
};

static void show(struct shown *to, const struct document *document)
{
    fs__document__init(&to->document);
    fs__field__init(&to->field);
    fs__value__init(&to->value);
    time_fill(&to->created, document->created_ns);
    time_fill(&to->updated, document->updated_ns);
    to->value.kind_case = FS__VALUE__KIND_BYTES_VALUE;
    to->value.bytes_value =
        (ProtobufCBinaryData){document->data.len, (uint8_t *)(uintptr_t)buf_span(&document->data).data};
    to->field.key = (char *)(uintptr_t) "data";
    to->field.value = &to->value;
    to->fields[0] = &to->field;
    to->document.name = document->name;
    to->document.n_fields = 1;
    to->document.fields = to->fields;
    to->document.create_time = &to->created;
    to->document.update_time = &to->updated;
}

static void listener_say(struct listener_of *listener, const Fs__ListenResponse *response)
{
    struct buf bytes = {0};
    if (listener->stream->ending)
        return;
    pack(&bytes, &response->base);
    if (!model.muted) {
        grpc_stream_send(listener->stream, buf_span(&bytes));
        buf_finish(&bytes);
        return;
    }
    listener->late = mem_resize(listener->late, (listener->late_count + 1) * sizeof *listener->late);
    listener->late[listener->late_count++] = bytes;
}

static void say_document(struct listener_of *listener, const struct document *document)
{
    Fs__ListenResponse response = FS__LISTEN_RESPONSE__INIT;
    Fs__DocumentChange change = FS__DOCUMENT_CHANGE__INIT;
    struct shown shown;
    int32_t target = 1;
    if (strncmp(document->name, listener->folder, strlen(listener->folder)) != 0)
        return;
    show(&shown, document);
    change.document = &shown.document;
    change.n_target_ids = 1;
    change.target_ids = &target;
    response.response_case = FS__LISTEN_RESPONSE__RESPONSE_DOCUMENT_CHANGE;
    response.document_change = &change;
    listener_say(listener, &response);
}

static void say_deleted(struct listener_of *listener, char *name)
{
    Fs__ListenResponse response = FS__LISTEN_RESPONSE__INIT;
    Fs__DocumentDelete change = FS__DOCUMENT_DELETE__INIT;
    if (strncmp(name, listener->folder, strlen(listener->folder)) != 0)
        return;
    change.document = name;
    response.response_case = FS__LISTEN_RESPONSE__RESPONSE_DOCUMENT_DELETE;
    response.document_delete = &change;
    listener_say(listener, &response);
}

/* `ns` 0: without a time. */
static void say_target(struct listener_of *listener, Fs__TargetChange__Type type, bool of_target, uint64_t ns)
{
    Fs__ListenResponse response = FS__LISTEN_RESPONSE__INIT;
    Fs__TargetChange change = FS__TARGET_CHANGE__INIT;
    Fs__Status cause = FS__STATUS__INIT;
    Fs__Timestamp time;
    int32_t target = 1;
    time_fill(&time, ns);
    change.target_change_type = type;
    change.n_target_ids = of_target;
    change.target_ids = &target;
    change.read_time = ns != 0 ? &time : NULL;
    cause.code = GRPC_RESOURCE_EXHAUSTED;
    cause.message = (char *)(uintptr_t) "Quota exceeded.";
    change.cause = type == FS__TARGET_CHANGE__TYPE__REMOVE ? &cause : NULL;
    response.response_case = FS__LISTEN_RESPONSE__RESPONSE_TARGET_CHANGE;
    response.target_change = &change;
    listener_say(listener, &response);
}

static size_t folder_count(const char *folder)
{
    size_t count = 0;
    list_each (node, &model.documents) {
        count += strncmp(container_of(node, struct document, of_all)->name, folder, strlen(folder)) == 0;
    }
    return count;
}

static void say_count(struct listener_of *listener, size_t more)
{
    Fs__ListenResponse response = FS__LISTEN_RESPONSE__INIT;
    Fs__ExistenceFilter filter = FS__EXISTENCE_FILTER__INIT;
    filter.target_id = 1;
    filter.count = (int32_t)(folder_count(listener->folder) + more);
    response.response_case = FS__LISTEN_RESPONSE__RESPONSE_FILTER;
    response.filter = &filter;
    listener_say(listener, &response);
}

static void say_all(struct listener_of *listener)
{
    list_each (node, &model.documents) {
        say_document(listener, container_of(node, struct document, of_all));
    }
}

static void say_current(struct listener_of *listener)
{
    say_target(listener, FS__TARGET_CHANGE__TYPE__CURRENT, true, model.last_ns);
    say_target(listener, FS__TARGET_CHANGE__TYPE__NO_CHANGE, false, model.last_ns);
}

static void listen_to(struct grpc_stream *stream, struct span bytes)
{
    Fs__ListenRequest *request = fs__listen_request__unpack(NULL, bytes.len, (const uint8_t *)bytes.data);
    struct listener_of *listener = mem_zero(1, sizeof *listener);
    assert_non_null(request);
    listener->stream = stream;
    listener->folder = mem_printf("%s/%s/", request->add_target->query->parent,
                                  request->add_target->query->structured_query->from[0]->collection_id);
    fs__listen_request__free_unpacked(request, NULL);
    stream->arg = listener;
    list_init(&listener->of_all);
    list_append(&model.listeners, &listener->of_all);
    time_pass();
    say_target(listener, FS__TARGET_CHANGE__TYPE__ADD, true, 0);
    say_all(listener);
    if (!model.held)
        say_current(listener);
}

static void get(struct grpc_stream *stream, struct span bytes)
{
    Fs__BatchGetDocumentsRequest *request =
        fs__batch_get_documents_request__unpack(NULL, bytes.len, (const uint8_t *)bytes.data);
    assert_non_null(request);
    for (size_t i = 0; i < request->n_documents; i++) {
        Fs__BatchGetDocumentsResponse response = FS__BATCH_GET_DOCUMENTS_RESPONSE__INIT;
        const struct document *document = document_find(request->documents[i]);
        Fs__Timestamp time;
        struct shown shown;
        struct buf answer = {0};
        time_fill(&time, time_pass());
        response.read_time = &time;
        response.result_case = document != NULL ? FS__BATCH_GET_DOCUMENTS_RESPONSE__RESULT_FOUND
                                                : FS__BATCH_GET_DOCUMENTS_RESPONSE__RESULT_MISSING;
        response.missing = request->documents[i];
        if (document != NULL) {
            show(&shown, document);
            response.found = &shown.document;
        }
        pack(&answer, &response.base);
        grpc_stream_send(stream, buf_span(&answer));
        buf_finish(&answer);
    }
    fs__batch_get_documents_request__free_unpacked(request, NULL);
    grpc_stream_end(stream, GRPC_OK, "");
}

static enum grpc_status write_check(const Fs__Write *write)
{
    const Fs__Precondition *condition = write->current_document;
    const struct document *document =
        document_find(write->operation_case == FS__WRITE__OPERATION_DELETE ? write->delete_ : write->update->name);
    if (condition == NULL)
        return GRPC_OK;
    if (condition->condition_case == FS__PRECONDITION__CONDITION_EXISTS)
        return (document != NULL) == (condition->exists != 0) ? GRPC_OK
               : document != NULL                             ? GRPC_ALREADY_EXISTS
                                                              : GRPC_NOT_FOUND;
    return document != NULL && document->updated_ns == time_read(condition->update_time) ? GRPC_OK
                                                                                         : GRPC_FAILED_PRECONDITION;
}

static void write_do(const Fs__Write *write, uint64_t ns)
{
    char *name = write->operation_case == FS__WRITE__OPERATION_DELETE ? write->delete_ : write->update->name;
    struct document *document = document_find(name);
    if (write->operation_case == FS__WRITE__OPERATION_DELETE) {
        if (document == NULL)
            return;
        list_each (node, &model.listeners) {
            say_deleted(container_of(node, struct listener_of, of_all), name);
        }
        document_free(document);
        return;
    }
    if (document == NULL) {
        document = mem_zero(1, sizeof *document);
        document->name = mem_text(span_str(name));
        document->created_ns = ns;
        list_init(&document->of_all);
        list_append(&model.documents, &document->of_all);
    }
    document->updated_ns = ns;
    buf_clear(&document->data);
    const ProtobufCBinaryData *data = &write->update->fields[0]->value->bytes_value;
    buf_append(&document->data, span_of(data->data, data->len));
    list_each (node, &model.listeners) {
        say_document(container_of(node, struct listener_of, of_all), document);
    }
}

static enum grpc_status commit_do(const Fs__CommitRequest *request, uint64_t ns)
{
    enum grpc_status status = request->n_writes <= WRITES_MAX ? GRPC_OK : GRPC_INVALID_ARGUMENT;
    for (size_t i = 0; i < request->n_writes && status == GRPC_OK; i++)
        status = write_check(request->writes[i]);
    for (size_t i = 0; i < request->n_writes && status == GRPC_OK; i++)
        write_do(request->writes[i], ns);
    if (status != GRPC_OK)
        return status;
    list_each (node, &model.listeners) {
        say_target(container_of(node, struct listener_of, of_all), FS__TARGET_CHANGE__TYPE__NO_CHANGE, false, ns);
    }
    return status;
}

/* `stream` NULL: the answer gets lost. */
static void commit(struct grpc_stream *stream, struct span bytes)
{
    Fs__CommitRequest *request = fs__commit_request__unpack(NULL, bytes.len, (const uint8_t *)bytes.data);
    Fs__CommitResponse response = FS__COMMIT_RESPONSE__INIT;
    Fs__Timestamp time;
    struct buf answer = {0};
    uint64_t ns = time_pass();
    assert_non_null(request);
    enum grpc_status status = commit_do(request, ns);
    fs__commit_request__free_unpacked(request, NULL);
    if (stream == NULL)
        return;
    time_fill(&time, ns);
    response.commit_time = &time;
    pack(&answer, &response.base);
    if (status == GRPC_OK)
        grpc_stream_send(stream, buf_span(&answer));
    grpc_stream_end(stream, status, status == GRPC_OK ? "" : "a precondition does not hold");
    buf_finish(&answer);
}

/* True: this call is answered by a fault. */
static bool fault_made(struct grpc_stream *stream, struct span bytes)
{
    struct model_fault *fault = &model.fault;
    if (fault->count == 0 || strcmp(stream->method, fault->method) != 0)
        return false;
    fault->count--;
    if (fault->carried_out)
        commit(NULL, bytes);
    switch (fault->deed) {
    case MODEL_STATUS:
        grpc_stream_end(stream, (enum grpc_status)fault->status, fault->text);
        break;
    case MODEL_RESET:
        grpc_stream_reset(stream);
        break;
    case MODEL_CUT:
        grpc_server_cut(&model.server);
        break;
    case MODEL_LEAVE:
        grpc_server_leave(&model.server);
        break;
    case MODEL_SILENT:
        break;
    }
    return true;
}

static void message(struct grpc_stream *stream, struct span bytes)
{
    for (size_t i = 0; i < METHODS; i++)
        model.calls[i] += strcmp(stream->method, methods[i]) == 0;
    if (fault_made(stream, bytes))
        return;
    if (model.bearer != NULL && strcmp(stream->bearer, model.bearer) != 0)
        grpc_stream_end(stream, GRPC_UNAUTHENTICATED, "Request had invalid authentication credentials.");
    else if (strcmp(stream->method, "Commit") == 0)
        commit(stream, bytes);
    else if (strcmp(stream->method, "Listen") == 0)
        listen_to(stream, bytes);
    else if (strcmp(stream->method, "BatchGetDocuments") == 0)
        get(stream, bytes);
    else
        grpc_stream_end(stream, GRPC_UNIMPLEMENTED, "");
}

static void late_forget(struct listener_of *listener)
{
    for (size_t i = 0; i < listener->late_count; i++)
        buf_finish(&listener->late[i]);
    free(listener->late);
    listener->late = NULL;
    listener->late_count = 0;
}

static void closed(struct grpc_stream *stream)
{
    struct listener_of *listener = stream->arg;
    if (listener == NULL)
        return;
    late_forget(listener);
    list_remove(&listener->of_all);
    free(listener->folder);
    free(listener);
}

static const struct grpc_server_events events = {message, closed};

void firestore_model_start(struct net *of)
{
    memset(&model, 0, sizeof model);
    list_init(&model.documents);
    list_init(&model.listeners);
    model.running = true;
    grpc_server_start(&model.server, of, &events, NULL);
}

void firestore_model_finish(void)
{
    if (!model.running)
        return;
    model.running = false;
    grpc_server_finish(&model.server);
    while (!list_empty(&model.documents))
        document_free(container_of(model.documents.next, struct document, of_all));
}

uint16_t firestore_model_port(void)
{
    return grpc_server_port(&model.server);
}

void firestore_model_fail(const struct model_fault *fault)
{
    model.fault = *fault;
}

void firestore_model_bearer(const char *token)
{
    model.bearer = token;
}

unsigned firestore_model_calls(const char *method)
{
    for (size_t i = 0; i < METHODS; i++)
        if (strcmp(methods[i], method) == 0)
            return model.calls[i];
    return 0;
}

size_t firestore_model_documents(const char *collection)
{
    size_t count = 0;
    list_each (node, &model.documents) {
        count += strstr(container_of(node, struct document, of_all)->name, collection) != NULL;
    }
    return count;
}

size_t firestore_model_listeners(void)
{
    size_t count = 0;
    list_each (node, &model.listeners) {
        count++;
    }
    return count;
}

void firestore_model_delete(const char *text)
{
    Fs__Write write = FS__WRITE__INIT;
    uint64_t ns = time_pass();
    write.operation_case = FS__WRITE__OPERATION_DELETE;
    list_each (node, &model.documents) {
        write.delete_ = container_of(node, struct document, of_all)->name;
        if (strstr(write.delete_, text) != NULL)
            write_do(&write, ns);
    }
    firestore_model_tell(MODEL_TOLD_SNAPSHOT);
}

void firestore_model_mute(bool muted)
{
    model.muted = muted;
    if (muted)
        return;
    list_each (node, &model.listeners) {
        struct listener_of *listener = container_of(node, struct listener_of, of_all);
        for (size_t i = 0; i < listener->late_count; i++)
            grpc_stream_send(listener->stream, buf_span(&listener->late[i]));
        late_forget(listener);
    }
}

void firestore_model_hold_current(bool held)
{
    model.held = held;
}

static void say(struct listener_of *listener, enum model_word word)
{
    uint64_t ns = model.last_ns;
    switch (word) {
    case MODEL_TOLD_SNAPSHOT:
        say_target(listener, FS__TARGET_CHANGE__TYPE__NO_CHANGE, false, ns);
        break;
    case MODEL_TOLD_TARGET_SNAPSHOT:
        say_target(listener, FS__TARGET_CHANGE__TYPE__NO_CHANGE, true, ns);
        break;
    case MODEL_TOLD_EARLIER:
        say_target(listener, FS__TARGET_CHANGE__TYPE__NO_CHANGE, false, ns - UINT64_C(10) * NS_PER_S);
        break;
    case MODEL_TOLD_CURRENT:
        say_current(listener);
        break;
    case MODEL_TOLD_RESET:
        say_target(listener, FS__TARGET_CHANGE__TYPE__RESET, true, 0);
        break;
    case MODEL_TOLD_DOCUMENTS:
        say_all(listener);
        break;
    case MODEL_TOLD_COUNT:
    case MODEL_TOLD_MISCOUNT:
        say_count(listener, word == MODEL_TOLD_MISCOUNT);
        break;
    case MODEL_TOLD_REMOVED:
        say_target(listener, FS__TARGET_CHANGE__TYPE__REMOVE, true, 0);
        break;
    case MODEL_TOLD_NONSENSE:
        grpc_stream_send(listener->stream, SPAN_LIT("\x1a\xff"));
        break;
    case MODEL_TOLD_END:
        grpc_stream_end(listener->stream, GRPC_UNAVAILABLE, "The service is going away.");
        break;
    case MODEL_TOLD_RESET_STREAM:
        grpc_stream_reset(listener->stream);
        break;
    }
}

void firestore_model_tell(enum model_word word)
{
    time_pass();
    list_each (node, &model.listeners) {
        say(container_of(node, struct listener_of, of_all), word);
    }
}

void firestore_model_leave(void)
{
    grpc_server_leave(&model.server);
}

void firestore_model_freeze(void)
{
    grpc_server_freeze(&model.server);
}

void firestore_model_cut(void)
{
    grpc_server_cut(&model.server);
}
