/*
 * Publishing over keep-alive connections, one request in flight on each: without pause, or paced.
 *
 * Publishers have an epoll of their own, which the loop asks between small batches of reads:
 * with thousands of streams that are ready, an answer would else wait for all of them to be read.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

#define AGAIN_NS (SECOND / 20)
#define CONNECT_MS 2000
/* Publishes whose order can still be judged. */
#define REMEMBERED 65536

struct publisher {
    int fd; /* -1: to be opened again at `again_at` */
    bool is_busy, waits_to_send;
    uint64_t again_at, idle_since, stamp, sequence;
    char *request;
    size_t bytes, sent;
    struct response response;
};

static struct {
    int epoll;
    struct blobs templates;
    size_t *mark_at;
    int connections;
    struct publisher *all;
    struct publisher **idle; /* the one that was answered first goes first */
    int idle_used, in_flight;
    uint64_t last_stamp;
    double rate;
    uint64_t limit, begun, sent, answered, reopened;
    struct counts errors;
    struct latency latency;
} publishing;

static struct published {
    uint64_t stamp, sent_at, answered_at; /* 0: not yet */
} remembered[REMEMBERED];
static uint64_t sequences;

/* The publish with a stamp, NULL if it is too long ago or somebody else's. */
static const struct published *find(uint64_t stamp) {
    /* Stamps grow with the sequence, and it is mostly one of the last that is asked for. */
    uint64_t oldest = sequences > REMEMBERED ? sequences - REMEMBERED : 0, high = sequences;
    uint64_t low = sequences > oldest + 512 ? sequences - 512 : oldest;
    if (remembered[low % REMEMBERED].stamp > stamp)
        low = oldest;
    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (remembered[middle % REMEMBERED].stamp < stamp)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == sequences || remembered[low % REMEMBERED].stamp != stamp)
        return NULL;
    return &remembered[low % REMEMBERED];
}

bool was_in_flight(uint64_t stamp, uint64_t later_stamp) {
    const struct published *one = find(stamp), *later = find(later_stamp);
    if (!one)
        return false;
    return one->answered_at == 0 || !later || one->answered_at > later->sent_at;
}

static void connect_publisher(struct publisher *publisher) {
    int fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    socklen_t error_bytes = sizeof error;
    if (connect(fd, (struct sockaddr *)&peer, peer_bytes)) {
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        if (errno != EINPROGRESS)
            error = errno;
        else if (poll(&wait, 1, CONNECT_MS) == 0)
            error = ETIMEDOUT;
        else
            getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_bytes);
    }
    if (error) {
        count(&publishing.errors, strerror(error));
        if (fd >= 0)
            close(fd);
        publisher->again_at = now_ns() + AGAIN_NS;
        return;
    }
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = publisher};
    epoll_ctl(publishing.epoll, EPOLL_CTL_ADD, fd, &wanted);
    publisher->fd = fd;
    publisher->idle_since = now_ns();
    publishing.idle[publishing.idle_used++] = publisher;
}

/* When the next is due, if it is paced. */
static uint64_t due(void) {
    return publishing.begun + (uint64_t)((double)publishing.sent * 1e9 / publishing.rate);
}

/*
 * In the order of their answers: a server reads requests as they come, so that its events are
 * mostly in the order of their numbers, and streams need not judge each of them.
 */
static struct publisher *take_idle(int place) {
    struct publisher *publisher = publishing.idle[place];
    memmove(publishing.idle + place, publishing.idle + place + 1,
            (size_t)(--publishing.idle_used - place) * sizeof publishing.idle[0]);
    return publisher;
}

/* Close it, to be opened again. `why` is NULL where the peer may close. */
static void lose(struct publisher *publisher, const char *why, uint64_t now) {
    if (why)
        count(&publishing.errors, why);
    if (publisher->is_busy)
        publishing.in_flight--;
    for (int i = 0; i < publishing.idle_used; i++)
        if (publishing.idle[i] == publisher)
            take_idle(i);
    close(publisher->fd);
    publisher->fd = -1;
    publisher->is_busy = publisher->waits_to_send = false;
    publisher->again_at = now;
    publishing.reopened++;
}

static void write_digits(char *at, int digits, uint64_t value) {
    for (; digits-- > 0; value /= 10)
        at[digits] = (char)('0' + value % 10);
}

static void go_on_sending(struct publisher *publisher, uint64_t now) {
    ssize_t sent = send(publisher->fd, publisher->request + publisher->sent,
                        publisher->bytes - publisher->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        lose(publisher, strerror(errno), now);
        return;
    }
    publisher->sent += sent > 0 ? (size_t)sent : 0;
    bool is_partial = publisher->sent < publisher->bytes;
    if (is_partial != publisher->waits_to_send) {
        publisher->waits_to_send = is_partial;
        struct epoll_event wanted = {.events = EPOLLIN | (is_partial ? EPOLLOUT : 0),
                                     .data.ptr = publisher};
        epoll_ctl(publishing.epoll, EPOLL_CTL_MOD, publisher->fd, &wanted);
    }
}

/*
 * The time that latency counts from: of sending the request, or that at which it was due if all
 * connections were waiting for answers then. A server that answers late would else have its events
 * published later, and be judged by those that never had to wait ("coordinated omission").
 */
static uint64_t stamp_of_next(const struct publisher *publisher) {
    uint64_t stamp = now_ns();
    if (publishing.rate && publisher->idle_since > due())
        stamp = due();
    /* Marks are looked up by their stamps, which have to grow. */
    if (stamp <= publishing.last_stamp)
        stamp = publishing.last_stamp + 1;
    publishing.last_stamp = stamp;
    return stamp % STAMPS;
}

static void publish(struct publisher *publisher) {
    publisher->stamp = stamp_of_next(publisher);
    size_t turn = publishing.sent++ % publishing.templates.used;
    struct blob *template = &publishing.templates.of[turn];
    memcpy(publisher->request, template->data, template->bytes);
    publisher->bytes = template->bytes;
    publisher->sent = 0;
    char *mark = publisher->request + publishing.mark_at[turn];
    write_digits(mark + 2, 12, ++template->number);
    write_digits(mark + 15, 16, publisher->stamp);
    publisher->sequence = sequences++;
    uint64_t now = now_ns();
    remembered[publisher->sequence % REMEMBERED] =
        (struct published){.stamp = publisher->stamp, .sent_at = now % STAMPS};
    publisher->is_busy = true;
    publishing.in_flight++;
    begin_response(&publisher->response);
    go_on_sending(publisher, now);
}

static void answered(struct publisher *publisher) {
    struct response *response = &publisher->response;
    uint64_t now = now_ns(), stamp = now % STAMPS;
    remembered[publisher->sequence % REMEMBERED].answered_at = stamp;
    record(&publishing.latency, stamp - publisher->stamp);
    if (response->status >= 200 && response->status < 300) {
        publishing.answered++;
    } else {
        char status[16];
        snprintf(status, sizeof status, "%d", response->status);
        count(&publishing.errors, status);
    }
    publishing.in_flight--;
    publisher->is_busy = false;
    publisher->idle_since = now;
    if (response->closes)
        lose(publisher, NULL, now);
    else
        publishing.idle[publishing.idle_used++] = publisher;
}

static void read_answer(struct publisher *publisher) {
    static char buffer[65536];
    ssize_t got = recv(publisher->fd, buffer, sizeof buffer, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        if (publisher->is_busy && got == 0 && publisher->response.state == UNTIL_CLOSED)
            answered(publisher);
        else if (publisher->is_busy)
            lose(publisher, got ? strerror(errno) : "closed before its answer", now_ns());
        else
            lose(publisher, NULL, now_ns());
    } else if (!publisher->is_busy) {
        lose(publisher, "answer without a request", now_ns());
    } else if (!feed_response(&publisher->response, buffer, (size_t)got)) {
        lose(publisher, "no HTTP/1", now_ns());
    } else if (publisher->response.state == COMPLETE) {
        answered(publisher);
    }
}

void poll_publishers(void) {
    struct epoll_event ready[64];
    if (!publishing.all)
        return;
    int n = epoll_wait(publishing.epoll, ready, 64, 0);
    for (int i = 0; i < n; i++) {
        struct publisher *publisher = ready[i].data.ptr;
        if (publisher->waits_to_send && ready[i].events & EPOLLOUT)
            go_on_sending(publisher, now_ns());
        else
            read_answer(publisher);
    }
}

void go_on_publishing(uint64_t now) {
    for (int i = 0; i < publishing.connections; i++)
        if (publishing.all[i].fd < 0 && publishing.all[i].again_at <= now)
            connect_publisher(&publishing.all[i]);
    while (publishing.idle_used && !publishing_is_done() &&
           (publishing.rate == 0 || due() <= now))
        publish(take_idle(0));
}

uint64_t publishing_is_due(void) {
    uint64_t next = UINT64_MAX;
    for (int i = 0; i < publishing.connections; i++)
        if (publishing.all[i].fd < 0 && publishing.all[i].again_at < next)
            next = publishing.all[i].again_at;
    if (publishing.rate && publishing.idle_used && !publishing_is_done() && due() < next)
        next = due();
    return next;
}

bool publishing_is_done(void) {
    return publishing.limit && publishing.sent >= publishing.limit;
}

int publishes_in_flight(void) {
    return publishing.in_flight;
}

uint64_t last_number(void) {
    bool is_only = publishing.templates.used == 1 && publishing.sent;
    return is_only ? publishing.templates.of[0].number : 0;
}

bool begin_publishing(struct blobs *templates, int connections, double rate, uint64_t limit) {
    size_t longest = 0;
    memset(&publishing, 0, sizeof publishing);
    publishing.mark_at = calloc(templates->used, sizeof *publishing.mark_at);
    for (size_t i = 0; i < templates->used; i++) {
        struct blob *template = &templates->of[i];
        char *mark = memmem(template->data, template->bytes, MARK, MARK_BYTES);
        if (!mark)
            return false;
        publishing.mark_at[i] = (size_t)(mark - template->data);
        longest = template->bytes > longest ? template->bytes : longest;
    }
    publishing.templates = *templates;
    publishing.connections = connections;
    publishing.rate = rate;
    publishing.limit = limit;
    publishing.all = calloc((size_t)connections, sizeof *publishing.all);
    publishing.idle = calloc((size_t)connections, sizeof *publishing.idle);
    publishing.epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL};
    epoll_ctl(main_epoll, EPOLL_CTL_ADD, publishing.epoll, &wanted);
    for (int i = 0; i < connections; i++) {
        publishing.all[i].request = malloc(longest);
        publishing.all[i].fd = -1;
        connect_publisher(&publishing.all[i]);
    }
    publishing.begun = now_ns();
    return true;
}

void end_publishing(void) {
    for (int i = 0; i < publishing.connections; i++) {
        if (publishing.all[i].fd >= 0)
            close(publishing.all[i].fd);
        free(publishing.all[i].request);
    }
    if (publishing.all)
        close(publishing.epoll);
    free(publishing.all);
    free(publishing.idle);
    free(publishing.mark_at);
    free_blobs(&publishing.templates);
    memset(&publishing, 0, sizeof publishing);
}

void print_publishing(void) {
    printf("\"published\": %" PRIu64 ", \"sent\": %" PRIu64 ", \"unanswered\": %d"
           ", \"reopened\": %" PRIu64 ", \"publish_latency\": ",
           publishing.answered, publishing.sent, publishing.in_flight, publishing.reopened);
    print_quantiles(&publishing.latency);
    printf(", \"publish_errors\": ");
    print_counts(&publishing.errors);
}
