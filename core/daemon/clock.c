/*
 * The wall clock, watched by a timer that the kernel cancels when the clock is set.
 */
#include "core/daemon/clock.h"

#include <errno.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "core/common/text.h"

#define FAR_S (100LL * 365 * 24 * 3600)

struct cm_clock {
    int fd;
    struct event *readable;
    void (*set)(void *arg);
    void *arg;
};

/* Nobody waits for its end, only for its being cancelled. */
static int arm(const struct cm_clock *clock)
{
    struct itimerspec far = {.it_value.tv_sec = time(NULL) + FAR_S};
    return timerfd_settime(clock->fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &far, NULL);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    struct cm_clock *clock = arg;
    uint64_t count;
    if (read((int)fd, &count, sizeof count) < 0 && errno == ECANCELED) {
        arm(clock);
        clock->set(clock->arg);
    }
}

struct cm_clock *cm_clock_watch(struct event_base *base, void (*set)(void *arg), void *arg)
{
    struct cm_clock *clock = cm_alloc(sizeof *clock);
    *clock =
        (struct cm_clock){.fd = timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK | TFD_CLOEXEC), .set = set, .arg = arg};
    if (clock->fd < 0 || arm(clock)) {
        cm_clock_free(clock);
        return NULL;
    }
    clock->readable = event_new(base, clock->fd, EV_READ | EV_PERSIST, on_readable, clock);
    event_add(clock->readable, NULL);
    return clock;
}

void cm_clock_free(struct cm_clock *clock)
{
    if (!clock) {
        return;
    }
    if (clock->readable) {
        event_free(clock->readable);
    }
    if (clock->fd >= 0) {
        close(clock->fd);
    }
    free(clock);
}
