/*
 * The engine and the SQLite store as the daemon links them, doing DAGs of tasks that do nothing:
 * what deciding and remembering cost without any worker. Prints one JSON object.
 */
#include <clipmaker/plugin.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/common/done.h"
#include "core/common/text.h"
#include "core/common/units.h"
#include "core/daemon/engine/engine.h"
#include "core/daemon/store/open.h"

#define SETS_AT_ONCE 64
#define TASKS_IN_A_DAG 33
#define FAN_OUT 5

/* 1 → 1 → 1 → 5 → 25: the third step makes five keys, each of its five children five more. */
static const char pipeline_text[] =
    "{\"name\":\"dag\",\"steps\":["
    "{\"step\":\"a\",\"stage\":\"llm\",\"ask\":\"noop\",\"use\":[\"noop\"]},"
    "{\"step\":\"b\",\"stage\":\"llm\",\"ask\":\"noop\",\"use\":[\"noop\"],\"after\":[\"a\"]},"
    "{\"step\":\"c\",\"stage\":\"llm\",\"ask\":\"noop\",\"use\":[\"noop\"],\"after\":[\"b\"],\"makes\":\"part\"},"
    "{\"step\":\"d\",\"stage\":\"llm\",\"ask\":\"noop\",\"use\":[\"noop\"],\"after\":[\"c\"],\"each\":\"part\","
    "\"makes\":\"piece\"},"
    "{\"step\":\"e\",\"stage\":\"llm\",\"ask\":\"noop\",\"use\":[\"noop\"],\"after\":[\"d\"],"
    "\"each\":\"part*piece\"}]}";

struct dag {
    char id[37];
    int ended_tasks, over;
    int64_t submitted_us;
};

struct bench {
    struct cm_engine *engine;
    struct cm_store *store;
    struct dag *dags;
    size_t count, submitted, over; /* DAGs: in all, begun, ended and durable */
    size_t in_flight;              /* as many at once */
    int64_t every_us;              /* or one in so many microseconds; 0: as many as may be */
    int64_t *latencies_us;
};

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000) + now.tv_nsec / 1000;
}

static struct cm_now now(void)
{
    return (struct cm_now){cm_utc_ms(), cm_boot_ms()};
}

static void on_applied(void *arg, uint64_t set, enum cm_applied how, const char *words)
{
    struct bench *bench = arg;
    if (how != CM_APPLIED) {
        fprintf(stderr, "a change set was not applied: %s\n", words);
        exit(1);
    }
    cm_engine_applied(bench->engine, now(), set, how);
}

/* ---- DAGs ------------------------------------------------------------------------------------ */

static void submit(struct bench *bench)
{
    struct dag *dag = &bench->dags[bench->submitted++];
    snprintf(dag->id, sizeof dag->id, "01890000-0000-7000-8000-%012zu", bench->submitted);
    dag->submitted_us = now_us();
    struct cm_submit request = {.id = dag->id,
                                .owner = "bench",
                                .request_key = "",
                                .pipeline = "dag",
                                .source = "/dev/null",
                                .params = "{\"language\":\"en\",\"formats\":[\"9:16\"],\"targets\":[]}",
                                .number = bench->submitted};
    cm_engine_submit(bench->engine, now(), &request);
}

static struct dag *dag_of(struct bench *bench, const struct cm_action *action)
{
    return &bench->dags[strtoul(action->job + strlen("01890000-0000-7000-8000-"), NULL, 10) - 1];
}

/* The work of a task is to be over at once. */
static void work(struct bench *bench, const struct cm_action *action)
{
    struct cm_done *done = cm_done_new(CM_OK);
    const struct cm_start *start = action->start;
    int makes = *start->step == 'c' || *start->step == 'd';
    for (int i = 1; makes && i <= FAN_OUT; i++) {
        char key[8];
        snprintf(key, sizeof key, "%02d", i);
        cm_done_add_child(done, key);
    }
    dag_of(bench, action)->ended_tasks++;
    cm_engine_attempt_done(bench->engine, now(), start->job, start->step, start->item, start->fence, done);
    cm_done_free(done);
}

/* A change of the job after its last task: its end is on disk. */
static void look_whether_over(struct bench *bench, const struct cm_action *action)
{
    struct dag *dag = dag_of(bench, action);
    if (dag->ended_tasks == TASKS_IN_A_DAG && !dag->over) {
        dag->over = 1;
        bench->latencies_us[bench->over++] = now_us() - dag->submitted_us;
    }
}

static void perform(struct bench *bench, struct cm_action *action)
{
    if (action->kind == CM_ACTION_START) {
        work(bench, action);
    } else if (action->kind == CM_ACTION_JOB_CHANGED) {
        look_whether_over(bench, action);
    } else if (action->kind == CM_ACTION_SUBMITTED && !action->ok) {
        fprintf(stderr, "a DAG was refused: %s\n", action->text);
        exit(1);
    }
    cm_action_free(action);
}

/* ---- The pump, as in the daemon -------------------------------------------------------------- */

static size_t pump_once(struct bench *bench)
{
    struct cm_change_set *sets[SETS_AT_ONCE];
    struct cm_action *action;
    size_t total = 0, count;
    cm_engine_dispatch(bench->engine, now());
    while ((count = cm_engine_take_sets(bench->engine, sets, SETS_AT_ONCE)) > 0) {
        cm_store_apply(bench->store, sets, count);
        total += count;
    }
    while ((action = cm_engine_take_action(bench->engine))) {
        perform(bench, action);
        total++;
    }
    return total;
}

/* Submits what is due; how long until the next, or -1. */
static int64_t submit_due(struct bench *bench, int64_t begun_us)
{
    while (bench->submitted < bench->count) {
        int64_t wait_us = bench->every_us ? begun_us + (int64_t)bench->submitted * bench->every_us - now_us() : 0;
        if (wait_us > 0) {
            return wait_us;
        }
        if (!bench->every_us && bench->submitted - bench->over >= bench->in_flight) {
            break;
        }
        submit(bench);
    }
    return -1;
}

static double run(struct bench *bench)
{
    int64_t begun_us = now_us();
    while (bench->over < bench->count) {
        int64_t wait_us = submit_due(bench, begun_us);
        if (pump_once(bench)) {
            continue;
        }
        struct pollfd one = {.fd = cm_store_fd(bench->store), .events = POLLIN};
        poll(&one, 1, one.fd < 0 ? 0 : wait_us < 0 ? -1 : (int)(wait_us / 1000) + 1);
        cm_store_dispatch(bench->store);
    }
    return (double)(now_us() - begun_us) / 1e6;
}

/* ---- Result ---------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static double percentile_ms(const struct bench *bench, double share)
{
    size_t index = (size_t)(share * (double)(bench->over - 1) + 0.5);
    return (double)bench->latencies_us[index] / 1000;
}

static void report(const struct bench *bench, double seconds)
{
    qsort(bench->latencies_us, bench->over, sizeof *bench->latencies_us, by_size);
    printf("{\"tasks\":%zu,\"seconds\":%.3f,\"tasks_per_s\":%.0f,\"p50_ms\":%.3f,\"p99_ms\":%.3f}\n",
           bench->over * TASKS_IN_A_DAG, seconds, (double)(bench->over * TASKS_IN_A_DAG) / seconds,
           percentile_ms(bench, 0.5), percentile_ms(bench, 0.99));
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fprintf(stderr, "usage: inline STORE DAGS IN_FLIGHT SLOTS DAGS_PER_S (0: as fast as may be)\n");
        return 64;
    }
    char *error = NULL;
    double rate = strtod(argv[5], NULL);
    struct bench bench = {.count = strtoul(argv[2], NULL, 10),
                          .in_flight = strtoul(argv[3], NULL, 10),
                          .every_us = rate > 0 ? (int64_t)(1e6 / rate) : 0};
    struct cm_pipeline *pipeline = cm_pipeline_parse(pipeline_text, &error);
    struct cm_pipeline *const pipelines[] = {pipeline};
    struct cm_instance noop = {.name = "noop", .stage = CM_STAGE_LLM, .limit = (int)strtol(argv[4], NULL, 10)};
    struct cm_engine_config config = {.boot = "01890000-0000-7000-8000-00000000b007",
                                      .seed = 1,
                                      .slots = noop.limit,
                                      .instances = &noop,
                                      .instance_count = 1,
                                      .pipelines = pipelines,
                                      .pipeline_count = 1};
    bench.store = pipeline ? cm_store_open(argv[1], on_applied, &bench, &error) : NULL;
    if (!bench.store || !bench.count) {
        fprintf(stderr, "%s\n", error ? error : "no DAGs");
        return 1;
    }
    bench.dags = cm_alloc(bench.count * sizeof *bench.dags);
    bench.latencies_us = cm_alloc(bench.count * sizeof *bench.latencies_us);
    bench.engine = cm_engine_new(&config);
    report(&bench, run(&bench));
    cm_store_drain(bench.store, 10000);
    cm_engine_free(bench.engine);
    cm_store_close(bench.store);
    cm_pipeline_free(pipeline);
    free(bench.dags);
    free(bench.latencies_us);
    return 0;
}
