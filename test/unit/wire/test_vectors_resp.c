/* Replays test/vectors/resp. */
#include <stdio.h>

#include "vectors/codecs.h"

int main(int argc, char **argv)
{
    if (argc != 2)
        return fprintf(stderr, "usage: %s DIRECTORY\n", argv[0]), 2;
    return vector_replay_directory(&vector_resp, argv[1]);
}
