/*
 * The platforms that clips are posted to, and the ledger's judge: they remember every post.
 */
#ifndef SIM_PLATFORM_H
#define SIM_PLATFORM_H

#include <stddef.h>
#include <stdint.h>

struct sim_post {
    char *instance, *key, *upload;
    int64_t at_ms, visible_ms;
};

struct sim_platform {
    struct sim_post *posts;
    size_t count, room;
    size_t repeats; /* resends that the platform recognised as such */
};

struct sim_platform *sim_platform_new(void);
void sim_platform_free(struct sim_platform *platform);
/* One more post, unless the platform knows it by its key (native) or its upload (phased). */
void sim_platform_post(struct sim_platform *platform, const char *instance, const char *key, const char *upload,
                       int64_t now_ms, int64_t visible_ms);
size_t sim_platform_count(const struct sim_platform *platform, const char *key);
/* What a search sees at that time. */
int sim_platform_sees(const struct sim_platform *platform, const char *key, int64_t now_ms);

#endif
