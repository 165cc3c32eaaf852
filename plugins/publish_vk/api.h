/*
 * One call of VK's API, and what its errors mean. VK answers errors with status 200; only the code inside counts.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef VK_API_H
#define VK_API_H

#include <clipmaker/plugin.h>

struct vk {
    const char *url; /* of the API, up to the method's name */
    const char *token;
    const char *version;      /* of the API, "5.199" */
    int64_t call_interval_us; /* between two calls of this process */
    int64_t flood_ms;         /* how long the account rests after "flood control" */
};

/* One field of a form; value NULL: left out. The last has no name. */
struct field {
    const char *name, *value;
};

struct reply {
    struct cm_http_answer http;
    const struct cm_json *result; /* of a yes; NULL otherwise */
    int code;                     /* error_code; 0: the body is none of VK's errors */
    const char *message;          /* error_msg; never request_params, for these may repeat the token */
    const char *open;             /* an address that VK wants a person to open, or "" */
    int posts;                    /* the request was one that may have posted */
};

/* Calls a method. `posts`: a yes to it is a post, so no answer is a doubt. True when it said yes. */
int vk_call(struct cm_ctx *ctx, const char *method, const struct field *fields, int posts, struct reply *reply);

/* Anything but a yes, as a verdict. */
enum cm_verdict vk_fail(struct cm_ctx *ctx, const struct reply *reply);

/* UTC. */
int64_t vk_now_ms(void);

/* ctx->state: when this process called last. */
enum cm_verdict vk_open(struct cm_ctx *ctx);
void vk_close(struct cm_ctx *ctx);

#endif
