/* codecs: how the vectors and the fuzzers drive each codec. README.md lists options and events. */
#ifndef SENNIT_TEST_CODECS_H
#define SENNIT_TEST_CODECS_H

#include "vectors/vector.h"

extern const struct vector_codec vector_http1;
extern const struct vector_codec vector_ws;
extern const struct vector_codec vector_engineio;
extern const struct vector_codec vector_json;
extern const struct vector_codec vector_resp;
extern const struct vector_codec vector_socketio;

#endif
