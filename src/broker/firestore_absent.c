/* firestore_absent: stands in the place of the broker on Firestore in a program that was built without its libraries.
 */
#include "broker/firestore.h"

struct broker *broker_firestore_create(struct net *net, const struct broker_firestore_config *config, struct err *err)
{
    err_set(err, "this sennit was built without Firestore: install libnghttp2-dev, libprotobuf-c-dev and "
                 "protobuf-c-compiler, and build it again");
    return NULL;
}
