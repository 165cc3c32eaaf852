/*
 * The simulator: the engine's own objects under virtual time, over a store and with workers that a
 * seed makes fail in every way. `sim --seed N` replays one schedule exactly.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/text.h"
#include "tests/sim/disk.h"
#include "tests/sim/run.h"
#include "tests/sim/stories.h"

#define JOBS_MAX 64

struct choice {
    struct sim_options options;
    int sqlite;
    uint64_t first, last;
    size_t jobs;
    int64_t seconds; /* run no longer than that; 0: all seeds */
    int keep_going;
};

/* What the processes share. */
struct shared {
    volatile int stop;
    struct sim_totals totals[JOBS_MAX];
    char ways[SIM_WAYS];
};

static volatile sig_atomic_t seed_high, seed_low;

/* An assert of the engine: say which seed it was. */
static void aborted(int number)
{
    char line[64];
    int bytes = snprintf(line, sizeof line, "sim: aborted in --seed %lld\n", ((long long)seed_high << 24) + seed_low);
    ssize_t written = write(STDERR_FILENO, line, (size_t)bytes);
    (void)written;
    signal(number, SIG_DFL);
    raise(number);
}

static int64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* ---- Processes ------------------------------------------------------------------------------- */

/* For the SQLite file: in memory where there is such a place, for the cuts are our own. */
static char *make_folder(void)
{
    const char *given = getenv("TMPDIR"), *place = given ? given : !access("/dev/shm", W_OK) ? "/dev/shm" : "/tmp";
    char *folder = cm_format("%s/clipmaker-sim.XXXXXX", place);
    if (!mkdtemp(folder)) {
        perror(folder);
        exit(73);
    }
    sim_disk_install();
    return folder;
}

/* Every `jobs`-th seed, from the one of this process on. */
static void run_seeds(const struct choice *choice, size_t job, struct shared *shared)
{
    struct sim_options options = choice->options;
    char *folder = choice->sqlite ? make_folder() : NULL;
    options.folder = folder;
    int64_t until = choice->seconds ? seconds_now() + choice->seconds : INT64_MAX;
    signal(SIGABRT, aborted);
    signal(SIGSEGV, aborted);
    for (uint64_t seed = choice->first + job; seed <= choice->last && !shared->stop; seed += choice->jobs) {
        seed_high = (sig_atomic_t)(seed >> 24);
        seed_low = (sig_atomic_t)(seed & 0xffffff);
        if (sim_run(&options, seed, &shared->totals[job]) && !choice->keep_going) {
            shared->stop = 1;
        }
        if (until != INT64_MAX && seconds_now() >= until) {
            break;
        }
    }
    if (folder) {
        rmdir(folder);
        free(folder);
    }
}

/* How many of the processes did not end by themselves. */
static size_t run_all(const struct choice *choice, struct shared *shared)
{
    size_t dead = 0;
    if (choice->jobs == 1) {
        run_seeds(choice, 0, shared);
        return 0;
    }
    for (size_t job = 0; job < choice->jobs; job++) {
        pid_t child = fork();
        if (child < 0) {
            perror("sim: fork");
            exit(71);
        }
        if (!child) {
            run_seeds(choice, job, shared);
            fflush(stdout);
            _exit(0);
        }
    }
    for (int status; wait(&status) > 0;) {
        int died = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
        shared->stop |= died && !choice->keep_going;
        dead += died;
    }
    return dead;
}

static struct sim_totals add_up(const struct shared *shared)
{
    struct sim_totals all = {0};
    for (size_t job = 0; job < JOBS_MAX; job++) {
        const struct sim_totals *one = &shared->totals[job];
        all.schedules += one->schedules;
        all.steps += one->steps;
        all.attempts += one->attempts;
        all.fits += one->fits;
        all.abroad += one->abroad;
        all.sets += one->sets;
        all.crashes += one->crashes;
        all.torn += one->torn;
        all.survived += one->survived;
        all.posts += one->posts;
        all.repeats += one->repeats;
        all.takeovers += one->takeovers;
        all.fences += one->fences;
        all.failures += one->failures;
    }
    return all;
}

/* ---- The command line ------------------------------------------------------------------------ */

static int usage(void)
{
    fprintf(stderr,
            "usage: sim --stories | [--seed N | --seeds A..B] [--steps N] [--jobs N] [--for SECONDS] [--keep-going] "
            "[--sqlite] [--fresh] [--verbose]\n");
    return 64;
}

/* One option, and its value if it takes one. How many words it was; 0: not understood. */
static int read_option(struct choice *choice, const char *name, const char *value)
{
    char *end = NULL;
    if (!strcmp(name, "--verbose")) {
        choice->options.verbose = 1;
        return 1;
    }
    if (!strcmp(name, "--sqlite")) {
        choice->sqlite = 1;
        return 1;
    }
    if (!strcmp(name, "--fresh")) {
        choice->first = (uint64_t)time(NULL) * 1000000; /* a second is good for a million of them */
        choice->last = UINT64_MAX - JOBS_MAX;
        return 1;
    }
    if (!strcmp(name, "--keep-going")) {
        choice->keep_going = 1;
        return 1;
    }
    uint64_t number = value ? strtoull(value, &end, 10) : 0;
    if (!value || end == value) {
        return 0;
    }
    if (!strcmp(name, "--steps")) {
        choice->options.steps = number;
    } else if (!strcmp(name, "--jobs")) {
        choice->jobs = number;
    } else if (!strcmp(name, "--for")) {
        choice->seconds = (int64_t)number * (*end == 'h' ? 3600 : *end == 'm' ? 60 : 1);
        end += *end && strchr("hms", *end);
    } else if (!strcmp(name, "--seed")) {
        choice->first = choice->last = number;
    } else if (!strcmp(name, "--seeds")) {
        choice->first = choice->last = number;
        if (!strncmp(end, "..", 2)) {
            choice->last = strtoull(end + 2, &end, 10);
        }
    } else {
        return 0;
    }
    return *end ? 0 : 2;
}

int main(int argc, char **argv)
{
    struct choice choice = {.options = {.steps = 400}, .first = 1, .last = 10000};
    choice.jobs = (size_t)sysconf(_SC_NPROCESSORS_ONLN);
    if (argc == 2 && !strcmp(argv[1], "--stories")) {
        return sim_stories() ? 1 : 0;
    }
    for (int i = 1, words; i < argc; i += words) {
        words = read_option(&choice, argv[i], i + 1 < argc ? argv[i + 1] : NULL);
        if (!words) {
            return usage();
        }
    }
    if (choice.jobs < 1 || choice.jobs > JOBS_MAX) {
        choice.jobs = choice.jobs < 1 ? 1 : JOBS_MAX;
    }
    if (choice.first == choice.last) {
        choice.jobs = 1;
    }
    struct shared *shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("sim: mmap");
        return 71;
    }
    choice.options.ways = shared->ways;
    int64_t begun = seconds_now();
    size_t dead = run_all(&choice, shared), ways = 0;
    struct sim_totals all = add_up(shared);
    for (size_t i = 0; i < SIM_WAYS; i++) {
        ways += shared->ways[i] != 0;
    }
    printf("sim: %zu schedules, %zu steps, %zu attempts, %zu change sets, %zu crashes of the daemon, %zu posts, "
           "%zu resends recognised, %zu clips made to fit, %zu attempts abroad, %zu jobs taken over, %zu daemons that "
           "fenced themselves, "
           "%zu ways from state to state",
           all.schedules, all.steps, all.attempts, all.sets, all.crashes, all.posts, all.repeats, all.fits, all.abroad,
           all.takeovers, all.fences, ways);
    if (choice.sqlite) {
        printf(", %zu sets cut in their commit, %zu of them durable", all.torn, all.survived);
    }
    printf(", %lld s, %zu failed\n", (long long)(seconds_now() - begun), all.failures + dead);
    return all.failures + dead ? 1 : 0;
}
