/*
 * A state folder that no clipmakerd serves.
 */
#include "core/ctl/offline.h"
#include "core/daemon/engine/fsck.h"

#include <json-c/json.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/message.h"
#include "core/common/options.h"
#include "core/common/text.h"
#include "core/ctl/client.h"
#include "core/ctl/ctl.h"
#include "core/daemon/store/costs.h"
#include "core/daemon/store/open.h"
#include "core/daemon/store/row_json.h"
#include "core/daemon/store/store.h"

#define POLL_MS 1000
#define STORE_MAX_BYTES 65536

/* One query under way. */
struct reading {
    struct json_object *rows;
    const char *state;
    int over;
    char *error;
};

/* The address of the state folder's store, or a reference to it: as the daemon noted it, else of its own file. NULL:
 * there is none. */
static char *store_of(const char *state)
{
    size_t count;
    char *noted = cm_path_join(state, "store"), *own = cm_path_join(state, "store.sqlite");
    char *store = cm_file_read(noted, STORE_MAX_BYTES, &count);
    if (!store && cm_file_bytes(own) >= 0)
        store = cm_format("sqlite:%s", own);
    free(noted);
    free(own);
    return store;
}

char *cm_offline_state(const struct cm_where *where)
{
    char *state = where->state ? cm_path_absolute(where->state) : cm_place(CM_PLACE_STATE);
    char *store = store_of(state);
    /* A socket that nobody serves is left behind when a daemon is killed. */
    int offline = !where->socket && store && !cm_client_answers(where);
    free(store);
    if (!offline) {
        free(state);
    }
    return offline ? state : NULL;
}

/* Nothing is written here, so nothing is applied. */
static void no_word(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    (void)arg;
    (void)set;
    (void)how;
    (void)words;
}

static struct cm_store *open_store(const char *state, int *status)
{
    char *noted = store_of(state), *error = NULL;
    const char *address = noted ? noted : "";
    char *url = cm_secret_is_reference(address) ? cm_secret_resolve(address, &error) : cm_strdup(address);
    struct cm_store *store = url ? cm_store_open(url, no_word, NULL, &error) : NULL;
    if (!store) {
        *status = cm_ctl_fail(EX_TEMPFAIL, "%s", error);
    }
    free(error);
    free(url);
    free(noted);
    return store;
}

static void on_row(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct reading *reading = arg;
    if (row) {
        json_object_array_add(reading->rows, cm_row_json(table, row, reading->state));
        return;
    }
    reading->error = error ? cm_strdup(error) : NULL;
    reading->over = 1;
}

static void wait_for(struct cm_store *store, const int *over)
{
    while (!*over) {
        struct pollfd wait = {.fd = cm_store_fd(store), .events = POLLIN};
        poll(&wait, 1, POLL_MS);
        cm_store_dispatch(store);
    }
}

/* The rows of a query as an array; NULL after a line on stderr. */
static struct json_object *read_rows(struct cm_store *store, const char *state, const struct cm_query *query,
                                     int *status)
{
    struct reading reading = {.rows = json_object_new_array(), .state = state};
    cm_store_query(store, query, on_row, &reading);
    wait_for(store, &reading.over);
    if (reading.error) {
        *status = cm_ctl_fail(EX_TEMPFAIL, "%s", reading.error);
        json_object_put(reading.rows);
        reading.rows = NULL;
    }
    free(reading.error);
    return reading.rows;
}

/* ---- Costs --------------------------------------------------------------------------------- */

/* One sum under way. */
struct summing {
    struct cm_costs *costs;
    int over;
    char *error;
};

static void on_call(void *arg, enum cm_table table, const void *row, const char *error)
{
    struct summing *summing = arg;
    (void)table;
    if (row) {
        cm_costs_add(summing->costs, row);
        return;
    }
    summing->error = error ? cm_strdup(error) : NULL;
    summing->over = 1;
}

/* NULL after a line on stderr. */
static struct json_object *sum_up(struct cm_store *store, const char *job, enum cm_costs_by by, int64_t since_ms,
                                  int *status)
{
    struct summing summing = {.costs = cm_costs_new(by, since_ms)};
    struct cm_query query = {.table = CM_TABLE_LLM_CALL, .job = *job ? job : NULL};
    cm_store_query(store, &query, on_call, &summing);
    wait_for(store, &summing.over);
    struct json_object *answer = summing.error ? NULL : cm_costs_json(summing.costs);
    if (summing.error) {
        *status = cm_ctl_fail(EX_TEMPFAIL, "%s", summing.error);
    }
    free(summing.error);
    cm_costs_free(summing.costs);
    return answer;
}

/* ---- The answers --------------------------------------------------------------------------- */

struct json_object *cm_offline_jobs(const char *state, const char *owner, long long limit, int *status)
{
    struct cm_store *store = open_store(state, status);
    if (!store) {
        return NULL;
    }
    struct cm_query query = {.table = CM_TABLE_JOB, .owner = owner, .limit = limit};
    struct json_object *jobs = read_rows(store, state, &query, status), *answer = NULL;
    if (jobs) {
        answer = json_object_new_object();
        json_object_object_add(answer, "jobs", jobs);
    }
    cm_store_close(store);
    return answer;
}

static int add_rows(struct json_object *shown, const char *name, struct cm_store *store, const char *state,
                    enum cm_table table, const char *job)
{
    int status = 0;
    struct cm_query query = {.table = table, .job = job};
    struct json_object *rows = read_rows(store, state, &query, &status);
    if (rows) {
        json_object_object_add(shown, name, rows);
    }
    return status;
}

/* {"job":{…}, "tasks":[…], …} from {"jobs":[one]}. */
static int take_job(struct json_object *shown, const char *job)
{
    struct json_object *jobs = cm_json_array(shown, "jobs");
    if (!jobs || json_object_array_length(jobs) == 0) {
        return cm_ctl_fail(EX_NOINPUT, _("there is no job %s"), job);
    }
    json_object_object_add(shown, "job", json_object_get(json_object_array_get_idx(jobs, 0)));
    json_object_object_del(shown, "jobs");
    return 0;
}

struct json_object *cm_offline_show(const char *state, const char *job, int *status)
{
    static const struct {
        const char *name;
        enum cm_table table;
    } parts[] = {
        {"jobs", CM_TABLE_JOB},           {"tasks", CM_TABLE_TASK},     {"attempts", CM_TABLE_ATTEMPT},
        {"artifacts", CM_TABLE_ARTIFACT}, {"effects", CM_TABLE_EFFECT}, {"calls", CM_TABLE_LLM_CALL},
    };
    struct cm_store *store = open_store(state, status);
    if (!store) {
        return NULL;
    }
    struct json_object *shown = json_object_new_object();
    *status = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts && *status == 0; i++) {
        *status = add_rows(shown, parts[i].name, store, state, parts[i].table, job);
    }
    *status = *status ? *status : take_job(shown, job);
    if (*status == 0) {
        json_object_object_add(shown, "costs", sum_up(store, job, CM_COSTS_BY_INSTANCE, 0, status));
    }
    cm_store_close(store);
    if (*status) {
        json_object_put(shown);
        shown = NULL;
    }
    return shown;
}

struct json_object *cm_offline_costs(const char *state, const char *job, const char *by, int64_t since_ms, int *status)
{
    enum cm_costs_by how = cm_costs_by_name(by);
    if (!how) {
        *status = cm_ctl_fail(EX_USAGE, _("costs are told by %s, not by \"%.40s\""), CM_COSTS_BY_NAMES, by);
        return NULL;
    }
    struct cm_store *store = open_store(state, status);
    struct json_object *answer = store ? sum_up(store, job, how, since_ms, status) : NULL;
    cm_store_close(store);
    return answer;
}

static void add_line(void *arg, const char *line)
{
    json_object_array_add(arg, json_object_new_string(line));
}

struct json_object *cm_offline_fsck(const char *state, int thorough, int *status)
{
    struct cm_store *store = open_store(state, status);
    if (!store) {
        return NULL;
    }
    struct json_object *found = json_object_new_array();
    long count = thorough ? cm_store_check_thorough(store, state, add_line, found)
                          : cm_store_check(store, state, add_line, found);
    cm_store_close(store);
    if (count < 0) {
        *status = cm_ctl_fail(EX_TEMPFAIL, _("%s: its store cannot be read; check the disk"), state);
        json_object_put(found);
        found = NULL;
    }
    return found;
}
