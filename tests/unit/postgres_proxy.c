/*
 * Stands between a store and its PostgreSQL server, and breaks the connection around a commit.
 */
#include "tests/unit/postgres_proxy.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "core/common/text.h"

enum {
    ROOM = 65536,
    LATE_MS = 300,
};

static struct {
    char *server;
    int listener;
    pthread_t thread;
    atomic_int how, cuts, links;
} proxy;

/* One connection of a store. */
struct link {
    int client, server;
    int in_transaction; /* the server said so: what comes next are the writes */
};

static struct sockaddr_un address_in(const char *folder)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s/.s.PGSQL.5432", folder) >= (int)sizeof address.sun_path)
        abort();
    return address;
}

static int send_all(int fd, const char *bytes, ssize_t count)
{
    while (count > 0) {
        ssize_t sent = send(fd, bytes, (size_t)count, MSG_NOSIGNAL);
        if (sent <= 0)
            return -1;
        bytes += sent;
        count -= sent;
    }
    return 0;
}

static int takes_turn(enum postgres_cut how)
{
    int expected = how;
    if (!atomic_compare_exchange_strong(&proxy.how, &expected, CUT_NEVER))
        return 0;
    atomic_fetch_add(&proxy.cuts, 1);
    return 1;
}

static int holds(const char *bytes, ssize_t count, const char *what, size_t length)
{
    return count > 0 && memmem(bytes, (size_t)count, what, length) != NULL;
}

/* The store is gone; the server gets what was on its way, and works it off. */
static void deliver_late(struct link *link, const char *bytes, ssize_t count)
{
    char rest[ROOM];
    shutdown(link->client, SHUT_RDWR);
    nanosleep(&(struct timespec){0, LATE_MS * 1000000L}, NULL);
    send_all(link->server, bytes, count);
    while ((count = recv(link->server, rest, sizeof rest, 0)) > 0 && !holds(rest, count, "COMMIT", 7))
        continue;
}

/* -1: the connection is over. */
static int pass_to_server(struct link *link)
{
    char bytes[ROOM];
    ssize_t count = recv(link->client, bytes, sizeof bytes, 0);
    if (count <= 0)
        return -1;
    if (link->in_transaction && takes_turn(CUT_BEFORE_WRITES))
        return -1;
    if (link->in_transaction && takes_turn(CUT_LATE_WRITES)) {
        deliver_late(link, bytes, count);
        return -1;
    }
    return send_all(link->server, bytes, count);
}

static int pass_to_client(struct link *link)
{
    char bytes[ROOM];
    ssize_t count = recv(link->server, bytes, sizeof bytes, 0);
    if (count <= 0)
        return -1;
    if (holds(bytes, count, "COMMIT", 7) && link->in_transaction && takes_turn(CUT_BEFORE_ANSWER))
        return -1;
    link->in_transaction = holds(bytes, count, "Z\0\0\0\5T", 6);
    return send_all(link->client, bytes, count);
}

static void *pass_on(void *arg)
{
    struct link *link = arg;
    struct pollfd both[2] = {{link->client, POLLIN, 0}, {link->server, POLLIN, 0}};
    int over = 0;
    while (!over && poll(both, 2, -1) > 0) {
        over = both[1].revents && pass_to_client(link) != 0;
        over = over || (both[0].revents && pass_to_server(link) != 0);
    }
    close(link->client);
    close(link->server);
    free(link);
    atomic_fetch_sub(&proxy.links, 1);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct sockaddr_un address = address_in(proxy.server);
    (void)arg;
    for (int client; (client = accept(proxy.listener, NULL, NULL)) >= 0;) {
        struct link *link = cm_alloc(sizeof *link);
        pthread_t thread;
        *link = (struct link){client, socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), 0};
        if (connect(link->server, (const struct sockaddr *)&address, sizeof address) != 0)
            shutdown(client, SHUT_RDWR);
        atomic_fetch_add(&proxy.links, 1);
        if (pthread_create(&thread, NULL, pass_on, link) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

void postgres_proxy_start(const char *folder, const char *server)
{
    struct sockaddr_un address = address_in(folder);
    proxy.server = cm_strdup(server);
    proxy.how = CUT_NEVER;
    proxy.cuts = 0;
    proxy.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(proxy.listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(proxy.listener, 8) != 0 || pthread_create(&proxy.thread, NULL, accept_all, NULL) != 0)
        abort();
}

void postgres_proxy_cut(enum postgres_cut how)
{
    proxy.how = how;
}

int postgres_proxy_cuts(void)
{
    return proxy.cuts;
}

void postgres_proxy_stop(void)
{
    shutdown(proxy.listener, SHUT_RDWR);
    pthread_join(proxy.thread, NULL);
    close(proxy.listener);
    while (proxy.links > 0)
        nanosleep(&(struct timespec){0, 1000000}, NULL);
    free(proxy.server);
}
