/*
 * A real PostgreSQL server for one test program.
 */
#include "tests/unit/postgres_server.h"

#include <fcntl.h>
#include <glob.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/common/file.h"
#include "core/common/text.h"

#define NOBODY 65534

static struct {
    char *bin, *folder, *data, *url;
    pid_t pid;
} the_server;

static void must(int fine, const char *what)
{
    if (!fine) {
        fprintf(stderr, "the PostgreSQL server of the tests: %s failed\n", what);
        exit(1);
    }
}

static char *find_programs(void)
{
    glob_t found = {0};
    char *folder = NULL;
    if (glob("/usr/lib/postgresql/*/bin/initdb", 0, NULL, &found) == 0 && found.gl_pathc > 0) {
        char *path = found.gl_pathv[found.gl_pathc - 1];
        folder = cm_strndup(path, (size_t)(strrchr(path, '/') - path));
    }
    globfree(&found);
    return folder;
}

/* The server refuses to run as root. Its words go to a file of the folder. */
static pid_t spawn(const char *const *argv)
{
    pid_t parent = getpid(), pid = fork();
    must(pid >= 0, "fork");
    if (pid > 0)
        return pid;
    if (getuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (getppid() != parent)
        _exit(125);
    char *log = cm_path_join(the_server.folder, "log");
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(fd, 1);
    dup2(fd, 2);
    setsid();
    execv(argv[0], (char *const *)argv);
    _exit(127);
}

static void initialise(void)
{
    char *program = cm_path_join(the_server.bin, "initdb");
    const char *const argv[] = {program, "-D", the_server.data, "-U",         "clipmaker", "-A",
                                "trust", "-E", "UTF8",          "--locale=C", "--no-sync", NULL};
    int status = 0;
    pid_t pid = spawn(argv);
    must(waitpid(pid, &status, 0) == pid && status == 0, "initdb");
    free(program);
}

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

static void begin(void)
{
    char *program = cm_path_join(the_server.bin, "postgres");
    const char *const argv[] = {program, "-D", the_server.data,      "-k", the_server.folder,     "-h", "",
                                "-F",    "-c", "max_connections=20", "-c", "shared_buffers=16MB", NULL};
    the_server.pid = spawn(argv);
    free(program);
    for (int tries = 0; PQping(the_server.url) != PQPING_OK; tries++) {
        must(tries < 600 && waitpid(the_server.pid, NULL, WNOHANG) == 0, "the start");
        pause_ms(50);
    }
}

int postgres_server_start(void)
{
    the_server.bin = find_programs();
    if (!the_server.bin)
        return -1;
    the_server.folder = cm_strdup("/tmp/cm-postgres-XXXXXX");
    must(mkdtemp(the_server.folder) != NULL, "mkdtemp");
    must(getuid() != 0 || chown(the_server.folder, NOBODY, NOBODY) == 0, "chown");
    the_server.data = cm_path_join(the_server.folder, "data");
    the_server.url = cm_format("postgresql:///postgres?host=%s&user=clipmaker", the_server.folder);
    initialise();
    begin();
    atexit(postgres_server_stop);
    return 0;
}

const char *postgres_server_url(void)
{
    return the_server.url;
}

const char *postgres_server_folder(void)
{
    return the_server.folder;
}

static PGresult *execute(const char *sql)
{
    PGconn *connection = PQconnectdb(the_server.url);
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        fprintf(stderr, "%s: %s\n", sql, PQerrorMessage(connection));
    must(status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK, "a statement");
    PQfinish(connection);
    return result;
}

void postgres_server_run(const char *sql)
{
    PQclear(execute(sql));
}

long long postgres_server_ask(const char *sql)
{
    PGresult *result = execute(sql);
    must(PQntuples(result) == 1, "a question");
    long long number = strtoll(PQgetvalue(result, 0, 0), NULL, 10);
    PQclear(result);
    return number;
}

void postgres_server_empty(void)
{
    postgres_server_run("SET client_min_messages=error; DROP SCHEMA public CASCADE; CREATE SCHEMA public");
}

static void end(int how)
{
    if (the_server.pid > 0) {
        kill(the_server.pid, how);
        waitpid(the_server.pid, NULL, 0);
        the_server.pid = 0;
    }
}

void postgres_server_crash(int down_ms)
{
    end(SIGQUIT); /* "immediate shutdown": it recovers at the next start */
    pause_ms(down_ms);
    begin();
}

void postgres_server_freeze(int on)
{
    char path[64];
    int pid, number = on ? SIGSTOP : SIGCONT;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)the_server.pid, (int)the_server.pid);
    FILE *children = fopen(path, "r");
    must(children != NULL && kill(the_server.pid, number) == 0, "a signal");
    while (fscanf(children, "%d", &pid) == 1)
        kill(pid, number);
    fclose(children);
}

void postgres_server_stop(void)
{
    if (!the_server.folder)
        return;
    end(SIGINT);
    cm_folder_remove(the_server.folder);
    free(the_server.folder);
    free(the_server.data);
    free(the_server.url);
    free(the_server.bin);
    the_server.folder = NULL;
}
