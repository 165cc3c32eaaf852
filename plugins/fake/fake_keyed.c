/*
 * The publish fake over again as a platform that knows a key again: a second post under it is the
 * first one.
 */
#define FAKE_NAME "fake_keyed"
#define FAKE_SETTLE CM_SETTLE_NATIVE_KEY
#define FAKE_FIND NULL
#define FAKE_CANNOT_FIND
#define FAKE_KEYED
#include "fake_publish.c"
