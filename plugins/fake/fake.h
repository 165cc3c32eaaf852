/*
 * The misbehaving plugin: it does on order what real ones do by accident. This part is common to
 * its six stages: the script, the tally and the acts.
 */
#ifndef FAKE_H
#define FAKE_H

#include <clipmaker/plugin.h>

/* Of every stage: the first member of its options. */
struct fake_options {
    const char *script;
    const char *tally;
};

/* One call: who is asked, and what it shall do. */
struct fake {
    struct cm_ctx *ctx;
    const struct cm_host *host;
    const struct fake_options *options;
    const char *stage, *job, *step, *item, *fence; /* from the attempt folder's name */
    int number;                                    /* how often this item was asked, from 1 */
    const char *act, *argument;
};

#define FAKE_OPTIONS(type)                                                                                             \
    CM_OPT_STRING(type, common.script, "script", "ok",                                                                 \
                  "acts by attempt (\"crash,again:200ms,ok\"), or \"STEP/ITEM=acts;…\""),                              \
        CM_OPT_PATH(type, common.tally, "tally", CM_OPTION_WRITABLE, "",                                               \
                    "folder that keeps acts.log and may hold JOB.plan or plan, scripts that outrank the option")

/* Finds out whose turn it is and which act is due, and notes it in the tally. */
struct fake fake_begin(struct cm_ctx *ctx, const struct fake_options *options, const char *stage);
/* Does the act if it is one that every stage can do. 0 when the call shall go on and succeed, else
 * the verdict to return; or it never returns. */
enum cm_verdict fake_act(struct fake *fake);
int fake_is(const struct fake *fake, const char *act);
/* A line in the tally. */
void fake_note(const struct fake *fake, const char *what);
enum cm_verdict fake_end(const struct fake *fake, enum cm_verdict verdict);
enum cm_verdict fake_fail(const struct fake *fake, enum cm_verdict verdict, enum cm_reason reason, int64_t delay_ms);
/* Sleeps as long as the act's argument says. */
void fake_linger(const struct fake *fake);
/* Dies the way a plugin dies. */
void fake_crash(void) __attribute__((noreturn));
/* Writes a small file into the attempt folder; its name is returned, or NULL. */
const char *fake_write(const struct fake *fake, const char *name, const char *text);
/* The whole of a file, "" when it cannot be read. */
const char *fake_read(const struct fake *fake, const char *path);
void fake_fact(const struct fake *fake, const char *name, long long value);

#endif
