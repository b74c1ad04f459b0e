/*
 * Opening streams, so many at once, and reading them.
 *
 * All reads go into one buffer. A stream keeps of them only the beginning of a mark, if the read
 * ended within one; of an event nothing but its mark is looked at. Chunks are not taken apart:
 * servers put whole events into them, so that no frame stands within a mark.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "load.h"

#define READ_BYTES (128 * 1024)
#define HEAD_BYTES (16 * 1024)
/* Streams that are begun in one turn of the loop: a connection takes tens of microseconds, and
 * what other streams get meanwhile would seem late. */
#define BEGUN_AT_ONCE 16

struct opening_part {
    const struct blob *request;
    size_t sent;
    size_t head_bytes;
    char head[HEAD_BYTES];
};

static struct {
    bool is_going_on;
    struct opening_orders orders;
    uint64_t begun, deadline, last_open, last_caught_up;
    size_t started, in_progress, opened, refused, caught_up;
    size_t thousands;
    uint64_t *thousand_at;
    struct counts refusals;
} opening;

struct group groups[GROUPS];
int groups_used;
struct stream **streams;
size_t streams_used;
static size_t streams_room;
static char buffer[MARK_BYTES + READ_BYTES];

static int group_named(const char *name) {
    for (int i = 0; i < groups_used; i++)
        if (strcmp(groups[i].name, name) == 0)
            return i;
    if (groups_used == GROUPS)
        return -1;
    snprintf(groups[groups_used].name, sizeof groups[0].name, "%s", name);
    return groups_used++;
}

/* Close it and forget it. With `reset` the peer learns of it by a RST, and no port is kept. */
static void drop(struct stream *stream, bool reset) {
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (stream->fd >= 0)
        close(stream->fd);
    struct group *group = &groups[stream->group];
    if (group->first == stream)
        group->first = NULL;
    streams[stream->place] = streams[--streams_used];
    streams[stream->place]->place = stream->place;
    free(stream->gaps);
    free(stream->part);
    free(stream);
}

static void refuse(struct stream *stream, const char *why) {
    count(&opening.refusals, why);
    opening.refused++;
    opening.in_progress--;
    drop(stream, false);
}

/* The ids of a group's first stream, line by line. */
static void note_ids(struct group *group, const char *data, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        if (data[i] != '\n' && data[i] != '\r') {
            if (group->line_bytes < sizeof group->line - 1)
                group->line[group->line_bytes++] = data[i];
            continue;
        }
        group->line[group->line_bytes] = 0;
        if (strncmp(group->line, "id:", 3) == 0)
            strcpy(group->last_id, group->line + 3 + (group->line[3] == ' '));
        group->line_bytes = 0;
    }
}

/* Eight digits at once: neighbours are added in pairs, then in fours, then in eights. */
static inline uint64_t eight_digits(const char *digits) {
    uint64_t v;
    memcpy(&v, digits, 8);
    v = (v & 0x0f0f0f0f0f0f0f0full) * 2561 >> 8;
    v = (v & 0x00ff00ff00ff00ffull) * 6553601 >> 16;
    return (v & 0x0000ffff0000ffffull) * 42949672960001ull >> 32;
}

static inline void take_event(struct stream *stream, struct group *group, const char *mark,
                              uint64_t now) {
    /* Twelve digits are eight and, of the eight up to the "t", the last four. */
    uint64_t number =
        eight_digits(mark + 2) * 10000 + eight_digits(mark + 6) % 10000;
    uint64_t stamp = eight_digits(mark + 15) * 100000000 + eight_digits(mark + 23);
    uint64_t latency = now >= stamp ? now - stamp : now + STAMPS - stamp;
    /* Stamped on another core a moment "later": their clocks differ by some nanoseconds. */
    record(&group->latency, latency < STAMPS / 2 ? latency : 0);
    if (number == stream->high + 1 || !run.checked) {
        stream->high = number;
        stream->high_stamp = stamp;
    } else {
        judge_out_of_turn(stream, number, stamp);
    }
}

static void see_whether_caught_up(struct stream *stream) {
    if (stream->high < opening.orders.until)
        return;
    stream->awaited = false;
    opening.caught_up++;
    opening.last_caught_up = now_ns();
}

/* The buffer's first bytes are the stream's tail, `fresh` follow. */
static void take(struct stream *stream, size_t fresh) {
    struct group *group = &groups[stream->group];
    const char *at = buffer, *end = buffer + stream->tail_bytes + fresh;
    uint64_t now = now_ns(), events = 0;

    run.bytes += fresh;
    if (group->first == stream)
        note_ids(group, buffer + stream->tail_bytes, fresh);
    stream->tail_bytes = 0;
    uint64_t stamp_now = now % STAMPS;
    while ((at = memchr(at, '~', (size_t)(end - at)))) {
        if (end - at < MARK_BYTES) {
            if (end - at == 1 || at[1] == 'n') {
                stream->tail_bytes = (uint8_t)(end - at);
                memcpy(stream->tail, at, stream->tail_bytes);
                break;
            }
        } else if (at[1] == 'n' && at[14] == 't' && at[MARK_BYTES - 1] == '~') {
            take_event(stream, group, at, stamp_now);
            events++;
            at += MARK_BYTES;
            continue;
        }
        at++;
    }
    if (events) {
        run.deliveries += events;
        run.reads++;
        run.last_delivery = now;
        stream->run = run.serial;
        if (stream->awaited)
            see_whether_caught_up(stream);
    }
}

static void become_open(struct stream *stream, const char *body, size_t bytes) {
    stream->is_open = true;
    opening.in_progress--;
    opening.opened++;
    opening.last_open = now_ns();
    if (opening.opened % 1000 == 0)
        opening.thousand_at[opening.thousands++] = opening.last_open;
    if (!groups[stream->group].first)
        groups[stream->group].first = stream;
    memmove(buffer, body, bytes);
    free(stream->part);
    stream->part = NULL;
    take(stream, bytes);
}

static void read_head(struct stream *stream) {
    struct opening_part *part = stream->part;
    ssize_t got = recv(stream->fd, part->head + part->head_bytes,
                       HEAD_BYTES - 1 - part->head_bytes, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        refuse(stream, got < 0 ? strerror(errno) : "closed before its head");
        return;
    }
    part->head_bytes += (size_t)got;
    part->head[part->head_bytes] = 0;
    char *end = memmem(part->head, part->head_bytes, "\r\n\r\n", 4);
    if (!end) {
        if (part->head_bytes == HEAD_BYTES - 1)
            refuse(stream, "head too long");
    } else if (strncmp(part->head, "HTTP/1.", 7) != 0) {
        refuse(stream, "no HTTP/1");
    } else if (strncmp(part->head + 8, " 200", 4) != 0) {
        char status[4] = {0};
        memcpy(status, part->head + 9, 3);
        refuse(stream, status);
    } else {
        become_open(stream, end + 4, (size_t)(part->head + part->head_bytes - end - 4));
    }
}

/* Send what it can of the request: false if the stream is gone. */
static bool send_request(struct stream *stream, int epoll_operation) {
    struct opening_part *part = stream->part;
    ssize_t sent = send(stream->fd, part->request->data + part->sent,
                        part->request->bytes - part->sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != ENOTCONN && errno != EINTR) {
        refuse(stream, strerror(errno));
        return false;
    }
    part->sent += sent > 0 ? (size_t)sent : 0;
    struct epoll_event wanted = {
        .events = part->sent == part->request->bytes ? EPOLLIN : EPOLLOUT, .data.ptr = stream};
    epoll_ctl(main_epoll, epoll_operation, stream->fd, &wanted);
    return true;
}

void stream_is_ready(struct stream *stream) {
    if (!stream->is_open) {
        if (stream->part->sent < stream->part->request->bytes)
            send_request(stream, EPOLL_CTL_MOD);
        else
            read_head(stream);
        return;
    }
    memcpy(buffer, stream->tail, stream->tail_bytes);
    ssize_t got = recv(stream->fd, buffer + stream->tail_bytes, READ_BYTES, 0);
    if (got > 0) {
        take(stream, (size_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        run.closed++;
        run.holes += gap_numbers(stream);
        if (stream->awaited) {
            count(&opening.refusals, "closed before it had caught up");
            opening.opened--;
            opening.refused++;
        }
        drop(stream, false);
    }
}

static void start_stream(int group) {
    struct stream *stream = calloc(1, sizeof *stream);
    if (stream)
        stream->part = malloc(sizeof *stream->part);
    if (streams_used == streams_room) {
        streams_room = streams_room ? streams_room * 2 : 1024;
        streams = realloc(streams, streams_room * sizeof *streams);
    }
    if (!stream || !stream->part || !streams)
        abort();
    struct blobs *requests = &opening.orders.requests;
    stream->part->request = &requests->of[opening.started++ % requests->used];
    stream->part->sent = stream->part->head_bytes = 0;
    stream->group = (uint8_t)group;
    stream->awaited = opening.orders.until > 0;
    if (opening.orders.has_after) {
        stream->high = opening.orders.after;
        stream->first = stream->high + 1;
    }
    stream->place = (uint32_t)streams_used;
    streams[streams_used++] = stream;
    opening.in_progress++;
    stream->fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (stream->fd < 0 ||
        (connect(stream->fd, (struct sockaddr *)&peer, peer_bytes) && errno != EINPROGRESS)) {
        refuse(stream, strerror(errno));
        return;
    }
    /* On loopback it is connected by now, mostly, so that the request needs no turn of the loop. */
    send_request(stream, EPOLL_CTL_ADD);
}

bool begin_opening(struct opening_orders orders) {
    if (opening.is_going_on || group_named(orders.group) < 0 || !orders.requests.used)
        return false;
    memset(&opening, 0, sizeof opening);
    opening.is_going_on = true;
    opening.orders = orders;
    opening.thousand_at = calloc(orders.streams / 1000 + 1, sizeof *opening.thousand_at);
    opening.begun = opening.last_open = opening.last_caught_up = now_ns();
    opening.deadline = opening.begun + orders.seconds_ns;
    return true;
}

static void report_opening(void) {
    printf("{\"to\": \"open\", \"opened\": %zu, \"seconds\": %.6f, \"per_thousand\": [",
           opening.opened, (double)(opening.last_open - opening.begun) / 1e9);
    uint64_t before = opening.begun;
    for (size_t i = 0; i < opening.thousands; before = opening.thousand_at[i++])
        printf("%s%.6f", i ? ", " : "", (double)(opening.thousand_at[i] - before) / 1e9);
    printf("], \"refused\": ");
    print_counts(&opening.refusals);
    printf(", \"caught_up\": %zu, \"caught_up_seconds\": %.6f}\n", opening.caught_up,
           (double)(opening.last_caught_up - opening.begun) / 1e9);
    fflush(stdout);
}

static void give_up_the_rest(void) {
    size_t never = opening.orders.streams - opening.started;
    for (size_t i = 0; i < never; i++)
        count(&opening.refusals, "not begun in time");
    for (size_t i = streams_used; i-- > 0;) {
        if (!streams[i]->is_open)
            refuse(streams[i], "timed out");
        else
            streams[i]->awaited = false;
    }
}

static bool can_begin_more(void) {
    return opening.started < opening.orders.streams &&
           opening.in_progress < opening.orders.at_once;
}

void go_on_opening(uint64_t now) {
    if (!opening.is_going_on)
        return;
    struct opening_orders *orders = &opening.orders;
    for (int i = 0; i < BEGUN_AT_ONCE && can_begin_more(); i++)
        start_stream(group_named(orders->group));
    bool are_open = opening.opened + opening.refused >= orders->streams;
    bool have_caught_up = !orders->until || opening.caught_up >= opening.opened;
    if (now < opening.deadline && !(are_open && have_caught_up))
        return;
    give_up_the_rest();
    opening.is_going_on = false;
    report_opening();
    free(opening.thousand_at);
    free_blobs(&orders->requests);
}

uint64_t opening_is_due(void) {
    if (!opening.is_going_on)
        return UINT64_MAX;
    return can_begin_more() ? 0 : opening.deadline;
}

void close_streams(const char *group, bool reset) {
    for (size_t i = streams_used; i-- > 0;)
        if (streams[i]->is_open &&
            (strcmp(group, "*") == 0 || strcmp(groups[streams[i]->group].name, group) == 0))
            drop(streams[i], reset);
}
