/*
 * The publish fake over again as a platform that takes an upload first and then posts it: each
 * upload is posted once, however often one asks.
 */
#define FAKE_NAME "fake_phased"
#define FAKE_SETTLE CM_SETTLE_PHASES
#define FAKE_FIND NULL
#define FAKE_CANNOT_FIND
#define FAKE_PHASES
#include "fake_publish.c"
