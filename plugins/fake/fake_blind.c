/*
 * The publish fake over again as a platform that cannot be searched: what became of a post that
 * was sent and not answered, only a person can say.
 */
#define FAKE_NAME "fake_blind"
#define FAKE_SETTLE 0
#define FAKE_FIND NULL
#define FAKE_CANNOT_FIND
#include "fake_publish.c"
