/*
 * The least that a hub in one process has to do: the bytes of each event to each stream.
 *
 *     floor PORT       (0: a free one, which it prints)
 *
 * `GET` of any path is a stream, `POST` of any path an event whose data is the body, one line.
 * The publishes of a round of epoll are joined, so that a stream costs one `send` a round, and are
 * answered when they have been sent. What a socket does not take waits in a buffer of its stream.
 * There are no channels, no history, no limits: it shows what the kernel's part is.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROUND 1024

struct bytes {
    char *data;
    size_t used, room;
};

struct connection {
    int fd;
    bool is_stream, is_gone;
    bool owes; /* an answer to a publish */
    size_t place;
    struct bytes in;  /* a request that is not complete */
    struct bytes out; /* what the socket did not take */
};

static int poll_fd;
static struct connection **streams, *owing[ROUND], *gone[ROUND];
static size_t streams_used, streams_room, owing_used, gone_used;
static struct bytes joined; /* the events of this round */
static unsigned long events;

static const char STREAM[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                             "Cache-Control: no-store\r\nConnection: close\r\n\r\n:\n\n";
static const char DONE[] = "HTTP/1.1 204 No Content\r\n\r\n";

static void append(struct bytes *bytes, const char *data, size_t n) {
    if (bytes->used + n > bytes->room) {
        bytes->room = (bytes->used + n) * 2;
        bytes->data = realloc(bytes->data, bytes->room);
        if (!bytes->data)
            abort();
    }
    memcpy(bytes->data + bytes->used, data, n);
    bytes->used += n;
}

static void remove_front(struct bytes *bytes, size_t n) {
    bytes->used -= n;
    if (bytes->used)
        memmove(bytes->data, bytes->data + n, bytes->used);
}

static void watch(struct connection *connection, int operation, unsigned wanted) {
    struct epoll_event event = {.events = wanted, .data.ptr = connection};
    epoll_ctl(poll_fd, operation, connection->fd, &event);
}

/* It is freed at the end of the round: until then it may stand among the ready ones. */
static void lose(struct connection *connection) {
    if (connection->is_gone)
        return;
    connection->is_gone = true;
    if (connection->is_stream) {
        streams[connection->place] = streams[--streams_used];
        streams[connection->place]->place = connection->place;
    }
    close(connection->fd);
}

/* Send, and keep what is not taken. A failure is seen when the socket is read. */
static void deliver(struct connection *connection, const char *data, size_t n) {
    size_t taken = 0;
    if (connection->out.used == 0) {
        ssize_t sent = send(connection->fd, data, n, MSG_NOSIGNAL);
        taken = sent > 0 ? (size_t)sent : 0;
        if (taken == n)
            return;
        watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
    append(&connection->out, data + taken, n - taken);
}

static void deliver_rest(struct connection *connection) {
    ssize_t sent = send(connection->fd, connection->out.data, connection->out.used, MSG_NOSIGNAL);
    if (sent > 0)
        remove_front(&connection->out, (size_t)sent);
    if (connection->out.used == 0)
        watch(connection, EPOLL_CTL_MOD, EPOLLIN);
}

static void add_event(const char *data, size_t n) {
    char id[48];
    int id_bytes = snprintf(id, sizeof id, "id: %lu\ndata: ", ++events);
    append(&joined, id, (size_t)id_bytes);
    append(&joined, data, n);
    append(&joined, "\n\n", 2);
}

/* Take one request from what has been read: false if it is not complete. */
static bool take_request(struct connection *connection) {
    struct bytes *in = &connection->in;
    char *end = memmem(in->data, in->used, "\r\n\r\n", 4);
    if (!end)
        return false;
    size_t head = (size_t)(end + 4 - in->data), body = 0;
    *end = 0;
    char *length = strcasestr(in->data, "\r\ncontent-length:");
    if (length)
        body = strtoul(length + 17, NULL, 10);
    *end = '\r';
    if (in->used < head + body)
        return false;
    if (strncmp(in->data, "POST ", 5) == 0) {
        add_event(in->data + head, body);
        connection->owes = true;
        owing[owing_used++] = connection;
    } else {
        if (streams_used == streams_room) {
            streams_room = streams_room * 2 + 1024;
            streams = realloc(streams, streams_room * sizeof *streams);
            if (!streams)
                abort();
        }
        connection->is_stream = true;
        connection->place = streams_used;
        streams[streams_used++] = connection;
        deliver(connection, STREAM, sizeof STREAM - 1);
    }
    remove_front(in, head + body);
    return true;
}

static void read_requests(struct connection *connection) {
    static char buffer[256 * 1024];
    ssize_t got = recv(connection->fd, buffer, sizeof buffer, 0);
    if (got > 0) {
        append(&connection->in, buffer, (size_t)got);
        /* A client waits for its answer before it sends the next request. */
        if (!connection->is_stream && !connection->owes)
            take_request(connection);
    } else if (got == 0 || errno != EAGAIN) {
        lose(connection);
        gone[gone_used++] = connection;
    }
}

static void accept_all(int listener) {
    int fd, on = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection)
            abort();
        connection->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void end_round(void) {
    if (joined.used)
        for (size_t i = 0; i < streams_used; i++)
            deliver(streams[i], joined.data, joined.used);
    joined.used = 0;
    for (size_t i = 0; i < owing_used; i++) {
        owing[i]->owes = false;
        if (!owing[i]->is_gone)
            deliver(owing[i], DONE, sizeof DONE - 1);
    }
    owing_used = 0;
    for (size_t i = 0; i < gone_used; i++) {
        free(gone[i]->in.data);
        free(gone[i]->out.data);
        free(gone[i]);
    }
    gone_used = 0;
}

static int listen_at(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, bytes) || listen(listener, 4096)) {
        perror("floor");
        exit(1);
    }
    getsockname(listener, (struct sockaddr *)&address, &bytes);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    signal(SIGPIPE, SIG_IGN);

    poll_fd = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_at(argc > 1 ? atoi(argv[1]) : 0);
    struct epoll_event wanted = {.events = EPOLLIN, .data.ptr = NULL}, ready[ROUND];
    epoll_ctl(poll_fd, EPOLL_CTL_ADD, listener, &wanted);
    for (;;) {
        int n = epoll_wait(poll_fd, ready, ROUND, -1);
        for (int i = 0; i < n; i++) {
            struct connection *connection = ready[i].data.ptr;
            if (!connection) {
                accept_all(listener);
                continue;
            }
            if (ready[i].events & EPOLLOUT)
                deliver_rest(connection);
            if (ready[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                read_requests(connection);
        }
        end_round();
    }
}
