/* firestore_model_absent: without nghttp2 and protobuf-c nothing here can be tried. */
#include <stdlib.h>

#include "firestore_model.h"

void firestore_model_start(struct net *of)
{
    abort();
}

void firestore_model_finish(void)
{
}

uint16_t firestore_model_port(void)
{
    abort();
}
