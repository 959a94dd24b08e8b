/* opened: the relay is made with a loop of its own, which it needs only then. */
#include "opened.h"

#include "../session/fixture.h"

void relay_open_with(struct relay *relay, const char *config)
{
    struct err err;
    struct loop *own = loop_create(&err);
    struct yaml_node *root = yaml_parse("config", span_str(config), &err);
    assert_non_null(root);
    if (!relay_init(relay, own, root, &err))
        fail_msg("%s", err.text);
    yaml_destroy(root);
    loop_destroy(own);
    fixture_open(&relay->app);
}
