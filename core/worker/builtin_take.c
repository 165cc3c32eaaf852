/*
 * take: the files of a clip that another job made, or that lie in a folder, become artifacts of this job. From then
 * on it needs nobody else's: the other job may be removed.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/text.h"
#include "core/worker/call.h"

/* "clip.mp4" for the clip that lies at PATH.mp4; malloc'd. */
static char *name_for(const char *role, const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');
    return cm_format("%s%s", role, dot && strlen(dot) <= 5 ? dot : "");
}

/* The same file under another name, or a copy where that cannot be. 0, or -1 with errno. */
static int link_or_copy(const char *from, const char *to)
{
    if (unlink(to) && errno != ENOENT) {
        return -1;
    }
    if (link(from, to) == 0) {
        return 0;
    }
    return errno == ENOENT ? -1 : cm_file_copy(from, to);
}

static enum cm_verdict fail_gone(struct cm_call *call, const char *path, const char *why)
{
    const char *from = cm_json_text(cm_json_object(call->params, "clip"), "from", "");
    return cm_call_fail(call, CM_REJECT, CM_REASON_NOT_FOUND, N_("the clip %s cannot be taken: %s: %s"), from, path,
                        why);
}

static enum cm_verdict take_file(struct cm_call *call, struct json_object *file, struct json_object *facts)
{
    const char *path = cm_json_text(file, "path", ""), *role = cm_json_text(file, "role", "");
    int64_t bytes = cm_file_bytes(path), expected = cm_json_int(file, "bytes", 0);
    if (bytes < 0) {
        return fail_gone(call, path, _("the file is gone"));
    }
    if (expected > 0 && bytes != expected) {
        return fail_gone(call, path, _("it is not the file any more that it was"));
    }
    if (cm_call_folder(call)) {
        return cm_call_fail_write(call, call->dir, errno);
    }
    char *name = name_for(role, path), *to = cm_path_join(call->dir, name);
    int failed = link_or_copy(path, to);
    enum cm_verdict verdict = failed && (errno == ENOENT || errno == EACCES) ? fail_gone(call, path, strerror(errno))
                              : failed                                       ? cm_call_fail_write(call, to, errno)
                                       : cm_call_add_file(call, role, NULL, name, strcmp(role, "clip") ? NULL : facts);
    free(to);
    free(name);
    return verdict;
}

enum cm_verdict cm_builtin_take(struct cm_call *call)
{
    struct json_object *clip = cm_json_object(call->params, "clip");
    struct json_object *files = clip ? cm_json_array(clip, "files") : NULL;
    struct json_object *facts = clip ? cm_json_object(clip, "facts") : NULL;
    enum cm_verdict verdict = CM_OK;
    if (!files || json_object_array_length(files) == 0) {
        return cm_call_fail(call, CM_REJECT, CM_REASON_INPUT, N_("the job names no clip: use \"clipmaker publish\""));
    }
    for (size_t i = 0; i < json_object_array_length(files) && verdict == CM_OK; i++) {
        verdict = take_file(call, json_object_array_get_idx(files, i), facts);
    }
    return verdict;
}
