/*
 * The load generator's loop: commands come as lines on stdin, answers go as JSON lines to stdout.
 * "to" says which command an answer is for: "error" has one reason for all.
 *
 *     load HOST PORT
 *     open GROUP STREAMS AT_ONCE UNTIL AFTER SECONDS FILE     (AFTER -1: whatever comes first)
 *     run SECONDS CONNECTIONS RATE COUNT SETTLE CHECKED FILE  (FILE -: only listen)
 *     stop                                                    (end the run now)
 *     last GROUP
 *     close GROUP|* RESET
 *
 * A run is answered twice, by "run" when it has begun and by "end" with what came of it, an
 * opening once, when all is open or time is over. Both may go on at the same time. Streams are
 * read between commands, too.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "load.h"

/* Reads between two looks at the publishers. */
#define BATCH 64
/* How long a run may go on to read what the server still has. */
#define LONGEST_SETTLING (10ull * SECOND)

struct sockaddr_storage peer;
socklen_t peer_bytes;
int main_epoll;
struct run run = {.checked = true};
static char commands_tag;

void count(struct counts *counts, const char *name) {
    int i = 0;
    while (i < counts->used && strncmp(counts->of[i].name, name, sizeof counts->of[i].name - 1))
        i++;
    if (i == (int)(sizeof counts->of / sizeof counts->of[0]))
        i--;
    else if (i == counts->used)
        snprintf(counts->of[counts->used++].name, sizeof counts->of[i].name, "%s", name);
    counts->of[i].count++;
}

void print_counts(const struct counts *counts) {
    printf("{");
    for (int i = 0; i < counts->used; i++)
        printf("%s\"%s\": %" PRIu64, i ? ", " : "", counts->of[i].name, counts->of[i].count);
    printf("}");
}

/* In milliseconds. */
void print_quantiles(const struct latency *latency) {
    printf("{\"count\": %" PRIu64
           ", \"p50\": %.4f, \"p90\": %.4f, \"p99\": %.4f, \"max\": %.4f}",
           latency->count, quantile(latency, .5), quantile(latency, .9), quantile(latency, .99),
           (double)latency->max / 1e6);
}

bool read_blobs(struct blobs *blobs, const char *path) {
    memset(blobs, 0, sizeof *blobs);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat about;
    if (fd < 0 || fstat(fd, &about))
        return false;
    size_t bytes = (size_t)about.st_size, at = 0, room = 0;
    blobs->file = malloc(bytes + 1);
    for (ssize_t got; at < bytes && (got = read(fd, blobs->file + at, bytes - at)) > 0;)
        at += (size_t)got;
    close(fd);
    for (at = 0; at + 16 <= bytes; at += blobs->of[blobs->used++].bytes) {
        if (blobs->used == room) {
            room = room ? room * 2 : 16;
            blobs->of = realloc(blobs->of, room * sizeof *blobs->of);
        }
        memcpy(&blobs->of[blobs->used], blobs->file + at, 16);
        at += 16;
        blobs->of[blobs->used].data = blobs->file + at;
        if (blobs->of[blobs->used].bytes > bytes - at)
            return false;
    }
    return blobs->used > 0;
}

void free_blobs(struct blobs *blobs) {
    free(blobs->file);
    free(blobs->of);
    memset(blobs, 0, sizeof *blobs);
}

static double cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static void fail(const char *why) {
    printf("{\"to\": \"error\", \"error\": \"%s\"}\n", why);
    fflush(stdout);
}

static void begin_run(double seconds, int connections, double rate, uint64_t limit,
                      double settle, bool checked, const char *path) {
    struct blobs templates = {0};
    bool publishes = strcmp(path, "-") != 0;
    if (run.phase != RESTING) {
        fail("a run is going on");
        return;
    }
    if (publishes && (!read_blobs(&templates, path) ||
                      !begin_publishing(&templates, connections, rate, limit))) {
        fail("no templates, or one without a mark");
        end_publishing();
        free_blobs(&templates);
        return;
    }
    run = (struct run){.phase = PUBLISHING, .serial = run.serial + 1, .checked = checked};
    for (size_t i = 0; i < streams_used; i++) {
        free(streams[i]->gaps);
        streams[i]->gaps = NULL;
    }
    for (int i = 0; i < groups_used; i++)
        memset(&groups[i].latency, 0, sizeof groups[i].latency);
    run.begun = now_ns();
    run.ends = run.begun + (uint64_t)(seconds * 1e9);
    run.settle = publishes ? (uint64_t)(settle * 1e9) : 0;
    run.cpu_at_begin = cpu_seconds();
    printf("{\"to\": \"run\"}\n");
    fflush(stdout);
}

/* Count what is missing: numbers that were jumped over, and those behind the last that came. */
static size_t count_holes(void) {
    size_t silent = 0;
    uint64_t last = last_number();
    for (size_t i = 0; i < streams_used; i++) {
        struct stream *stream = streams[i];
        if (!stream->is_open)
            continue;
        if (stream->run != run.serial)
            silent++;
        else if (run.checked && !run.unfinished && stream->high < last)
            run.holes += last - stream->high;
        if (run.checked)
            run.holes += gap_numbers(stream);
        else
            stream->first = stream->high = 0;
    }
    return silent;
}

static void report_run(void) {
    uint64_t until = run.published_until;
    if (run.settle && run.last_delivery > until)
        until = run.last_delivery;
    size_t silent = count_holes();
    printf("{\"to\": \"end\", \"seconds\": %.6f, \"publishing_seconds\": %.6f, ",
           (double)(until - run.begun) / 1e9, (double)(run.published_until - run.begun) / 1e9);
    printf("\"deliveries\": %" PRIu64 ", \"reads\": %" PRIu64 ", \"bytes\": %" PRIu64 ", ",
           run.deliveries, run.reads, run.bytes);
    printf("\"holes\": %" PRIu64 ", \"repeats\": %" PRIu64 ", \"disorders\": %" PRIu64 ", ",
           run.holes, run.repeats, run.disorders);
    printf("\"closed\": %" PRIu64 ", \"silent\": %zu, \"unfinished\": %s, \"load_cpu\": %.4f, ",
           run.closed, silent, run.unfinished ? "true" : "false", run.cpu);
    print_publishing();
    printf(", \"latency\": {");
    const char *separator = "";
    for (int i = 0; i < groups_used; i++) {
        struct latency *latency = &groups[i].latency;
        if (!latency->count)
            continue;
        printf("%s\"%s\": ", separator, groups[i].name);
        print_quantiles(latency);
        separator = ", ";
    }
    printf("}}\n");
    fflush(stdout);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* Since when nothing has come, once publishing is over. */
static uint64_t quiet_since(void) {
    return run.last_delivery > run.published_until ? run.last_delivery : run.published_until;
}

static void go_on_running(uint64_t now) {
    if (run.phase == PUBLISHING) {
        if (now < run.ends && !publishing_is_done()) {
            go_on_publishing(now);
            return;
        }
        run.phase = SETTLING;
        run.published_until = now;
        run.cpu = (cpu_seconds() - run.cpu_at_begin) / ((double)(now - run.begun) / 1e9);
    }
    if (run.phase == SETTLING) {
        run.unfinished = now > run.published_until + LONGEST_SETTLING;
        bool is_quiet = now >= quiet_since() + run.settle && !publishes_in_flight();
        if (!is_quiet && !run.unfinished)
            return;
        report_run();
        end_publishing();
        run.phase = RESTING;
        run.checked = true;
    }
}

static void obey(char *line) {
    struct opening_orders orders = {0};
    char path[4096], name[16];
    double seconds, rate, settle;
    uint64_t limit;
    int64_t after;
    int connections, flag;

    if (sscanf(line, "open %15s %zu %zu %" SCNu64 " %" SCNd64 " %lf %4095s", orders.group,
               &orders.streams, &orders.at_once, &orders.until, &after, &seconds, path) == 7) {
        orders.has_after = after >= 0;
        orders.after = after >= 0 ? (uint64_t)after : 0;
        orders.seconds_ns = (uint64_t)(seconds * 1e9);
        if (!read_blobs(&orders.requests, path) || !begin_opening(orders)) {
            fail("no requests, too many groups, or streams are being opened");
            free_blobs(&orders.requests);
        }
    } else if (sscanf(line, "run %lf %d %lf %" SCNu64 " %lf %d %4095s", &seconds, &connections,
                      &rate, &limit, &settle, &flag, path) == 7) {
        begin_run(seconds, connections, rate, limit, settle, flag, path);
    } else if (strcmp(line, "stop") == 0) {
        run.ends = 0;
    } else if (sscanf(line, "last %15s", name) == 1) {
        const char *id = "";
        for (int i = 0; i < groups_used; i++)
            if (strcmp(groups[i].name, name) == 0)
                id = groups[i].last_id;
        printf("{\"to\": \"last\", \"id\": \"");
        for (; *id; id++)
            printf("%02x", (unsigned char)*id);
        printf("\"}\n");
        fflush(stdout);
    } else if (sscanf(line, "close %15s %d", name, &flag) == 2) {
        close_streams(name, flag);
        printf("{\"to\": \"close\"}\n");
        fflush(stdout);
    } else {
        fail("no such command");
    }
}

static void read_commands(void) {
    static char text[8192];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, text + used, sizeof text - 1 - used);
    if (got <= 0)
        exit(0);
    used += (size_t)got;
    for (char *end; (end = memchr(text, '\n', used));) {
        *end = 0;
        obey(text);
        used -= (size_t)(end + 1 - text);
        memmove(text, end + 1, used);
    }
}

static int wait_for_events(struct epoll_event *ready) {
    uint64_t now = now_ns(), next = opening_is_due();
    if (run.phase == PUBLISHING) {
        next = earlier(next, earlier(run.ends, publishing_is_due()));
    } else if (run.phase == SETTLING) {
        /* Past that it waits for answers, which are looked for now and then. */
        uint64_t quiet = quiet_since() + run.settle;
        next = earlier(next, quiet > now ? quiet : now + SECOND / 100);
    }
    uint64_t pause = next > now ? earlier(next - now, SECOND) : 0;
    struct timespec timeout = {.tv_sec = (time_t)(pause / SECOND),
                               .tv_nsec = (long)(pause % SECOND)};
    return epoll_pwait2(main_epoll, ready, BATCH, &timeout, NULL);
}

int main(int argc, char **argv) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST}, *found;
    if (argc != 3 || getaddrinfo(argv[1], argv[2], &hints, &found)) {
        fprintf(stderr, "load HOST PORT\n");
        return 2;
    }
    memcpy(&peer, found->ai_addr, found->ai_addrlen);
    peer_bytes = found->ai_addrlen;
    freeaddrinfo(found);

    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);

    main_epoll = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = &commands_tag}, ready[BATCH];
    epoll_ctl(main_epoll, EPOLL_CTL_ADD, STDIN_FILENO, &wanted);
    for (;;) {
        int n = wait_for_events(ready);
        bool has_commands = false;
        for (int i = 0; i < n; i++) {
            if (ready[i].data.ptr == &commands_tag)
                has_commands = true;
            else if (ready[i].data.ptr) /* NULL: the publishers' epoll */
                stream_is_ready(ready[i].data.ptr);
        }
        /* Behind the reads: a command may close streams that are in the batch. */
        if (has_commands)
            read_commands();
        poll_publishers();
        uint64_t now = now_ns();
        go_on_opening(now);
        go_on_running(now);
    }
}
