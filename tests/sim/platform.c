/*
 * The platforms that clips are posted to.
 */
#include "tests/sim/platform.h"

#include <stdlib.h>
#include <string.h>

#include "core/common/text.h"

struct sim_platform *sim_platform_new(void)
{
    return cm_alloc(sizeof(struct sim_platform));
}

void sim_platform_free(struct sim_platform *platform)
{
    for (size_t i = 0; i < platform->count; i++) {
        free(platform->posts[i].instance);
        free(platform->posts[i].key);
        free(platform->posts[i].upload);
    }
    free(platform->posts);
    free(platform);
}

static int is_known(const struct sim_platform *platform, const char *instance, const char *key, const char *upload)
{
    for (size_t i = 0; i < platform->count; i++) {
        const struct sim_post *post = &platform->posts[i];
        int same_key = !strcmp(instance, "native") && !strcmp(post->key, key);
        int same_upload = !strcmp(instance, "phased") && !strcmp(post->upload, upload);
        if (!strcmp(post->instance, instance) && (same_key || same_upload)) {
            return 1;
        }
    }
    return 0;
}

void sim_platform_post(struct sim_platform *platform, const char *instance, const char *key, const char *upload,
                       int64_t now_ms, int64_t visible_ms)
{
    if (is_known(platform, instance, key, upload)) {
        platform->repeats++;
        return;
    }
    platform->posts = cm_grow(platform->posts, &platform->room, platform->count, sizeof *platform->posts);
    platform->posts[platform->count++] =
        (struct sim_post){cm_strdup(instance), cm_strdup(key), cm_strdup(upload), now_ms, visible_ms};
}

size_t sim_platform_count(const struct sim_platform *platform, const char *key)
{
    size_t count = 0;
    for (size_t i = 0; i < platform->count; i++) {
        count += !strcmp(platform->posts[i].key, key);
    }
    return count;
}

int sim_platform_sees(const struct sim_platform *platform, const char *key, int64_t now_ms)
{
    for (size_t i = 0; i < platform->count; i++) {
        if (!strcmp(platform->posts[i].key, key) && platform->posts[i].visible_ms <= now_ms) {
            return 1;
        }
    }
    return 0;
}
