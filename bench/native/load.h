/*
 * The load generator: streams that are read, publishes that are sent, and what came of both.
 *
 * One thread, one epoll. `load.c` reads commands and turns the loop, `streams.c` opens and reads,
 * `order.c` judges the numbers of events, `publishers.c` sends, `response.c` frames the answers.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

#include "latency.h"

/* "~n" 12 digits "t" 16 digits "~": the number of an event, and when it was published. */
#define MARK_BYTES 32
#define MARK "~n000000000000t0000000000000000~"
/* Sixteen digits of nanoseconds are 115 days: a machine that is up for longer starts again. */
#define STAMPS 10000000000000000u
#define SECOND 1000000000u
#define GROUPS 16

static inline uint64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

/* How often something happened, by name: refusals, errors. */
struct counts {
    int used;
    struct {
        char name[48];
        uint64_t count;
    } of[32];
};

void count(struct counts *counts, const char *name);
void print_counts(const struct counts *counts);
void print_quantiles(const struct latency *latency);

/* Byte strings of a file: before each its length and a number, 8 bytes in the machine's order. */
struct blobs {
    size_t used;
    struct blob {
        uint64_t bytes;
        uint64_t number;
        const char *data;
    } *of;
    char *file;
};

bool read_blobs(struct blobs *blobs, const char *path);
void free_blobs(struct blobs *blobs);

/* Where all connect to. */
extern struct sockaddr_storage peer;
extern socklen_t peer_bytes;
extern int main_epoll;

/* What the run in progress, or the last one, came to. */
struct run {
    enum { RESTING, PUBLISHING, SETTLING } phase;
    uint32_t serial;
    bool checked;
    bool unfinished;
    uint64_t begun, ends, settle, published_until, last_delivery; /* ns */
    uint64_t deliveries, reads, bytes, holes, repeats, disorders, closed;
    double cpu_at_begin, cpu;
};
extern struct run run;

/* Numbers that a stream has not had, though later ones. */
#define GAPS 64
struct gaps {
    int used;
    struct {
        uint64_t from, to;
    } of[GAPS];
    /* What did not fit any more: more gaps than publishes can be on their way. */
    uint64_t lost;
};

struct stream {
    int fd;
    uint8_t group;
    uint8_t tail_bytes;
    bool is_open;
    bool awaited; /* the opening waits until it has caught up */
    uint32_t run; /* the last one in which it got an event */
    uint32_t place;
    uint64_t first, high, high_stamp; /* 0: has had none yet */
    struct gaps *gaps;
    struct opening_part *part; /* what only a stream that is being opened needs */
    char tail[MARK_BYTES];     /* the beginning of a mark, at the end of the last read */
};

/* order.c */
void judge_out_of_turn(struct stream *stream, uint64_t number, uint64_t stamp);
uint64_t gap_numbers(const struct stream *stream);

/* streams.c */
struct opening_orders {
    char group[16];
    size_t streams, at_once;
    uint64_t until;
    bool has_after;
    uint64_t after;
    uint64_t seconds_ns;
    struct blobs requests;
};

struct group {
    char name[16];
    struct stream *first; /* whose ids are noted */
    char line[256], last_id[256];
    size_t line_bytes;
    uint64_t deliveries;
    struct latency latency;
};
extern struct group groups[GROUPS];
extern int groups_used;
extern struct stream **streams;
extern size_t streams_used;

void stream_is_ready(struct stream *stream);
bool begin_opening(struct opening_orders orders);
void go_on_opening(uint64_t now);
/* When there is something to do even if no stream is ready. */
uint64_t opening_is_due(void);
void close_streams(const char *group, bool reset);

/* publishers.c */
bool begin_publishing(struct blobs *templates, int connections, double rate, uint64_t limit);
void poll_publishers(void);
void go_on_publishing(uint64_t now);
uint64_t publishing_is_due(void);
bool publishing_is_done(void);
int publishes_in_flight(void);
void end_publishing(void);
void print_publishing(void);
/* The last number of the only channel, 0 if there are several or none. */
uint64_t last_number(void);
/* Whether the event with this stamp was not answered yet when another was sent. */
bool was_in_flight(uint64_t stamp, uint64_t later_stamp);

/* response.c */
struct response {
    enum { HEAD, LENGTH, SIZE, CHUNK, CHUNK_END, TRAILER, UNTIL_CLOSED, COMPLETE } state;
    int status;
    bool closes;
    uint64_t left;
    size_t head_bytes;
    char head[8192];
};

void begin_response(struct response *response);
/* Takes bytes up to the response's end: false if they are no HTTP. */
bool feed_response(struct response *response, const char *data, size_t bytes);

#endif
