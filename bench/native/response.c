/* Where an HTTP response ends: by its length, its chunks, its status, or the connection's end. */
#define _GNU_SOURCE
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"

void begin_response(struct response *response) {
    response->state = HEAD;
    response->status = 0;
    response->closes = false;
    response->left = 0;
    response->head_bytes = 0;
}

/* The value of a field, with its name in lower case, or NULL. The head ends with a zero. */
static const char *field(char *head, const char *name) {
    size_t bytes = strlen(name);
    for (char *line = strstr(head, "\r\n"); line; line = strstr(line + 2, "\r\n")) {
        if (strncasecmp(line + 2, name, bytes) == 0 && line[2 + bytes] == ':') {
            char *value = line + 3 + bytes;
            return value + strspn(value, " \t");
        }
    }
    return NULL;
}

static bool read_head(struct response *response) {
    char *head = response->head;
    if (strncmp(head, "HTTP/1.", 7) != 0)
        return false;
    response->status = atoi(head + 9);
    const char *connection = field(head, "connection");
    response->closes = connection ? strncasecmp(connection, "close", 5) == 0 : head[7] == '0';
    const char *length = field(head, "content-length");
    const char *coding = field(head, "transfer-encoding");
    if (response->status == 204 || response->status == 304) {
        response->state = COMPLETE;
    } else if (coding && strncasecmp(coding, "chunked", 7) == 0) {
        response->state = SIZE;
    } else if (length) {
        response->left = strtoull(length, NULL, 10);
        response->state = response->left ? LENGTH : COMPLETE;
    } else {
        response->closes = true;
        response->state = UNTIL_CLOSED;
    }
    return true;
}

/* One byte of the lines between chunks. `left` counts what the line is for. */
static bool feed_line(struct response *response, char byte) {
    switch (response->state) {
    case SIZE:
        if (byte == '\n') {
            response->state = response->left ? CHUNK : TRAILER;
            response->head_bytes = 0;
        } else if (isxdigit((unsigned char)byte) && response->head_bytes == 0) {
            int digit = isdigit((unsigned char)byte) ? byte - '0' : tolower(byte) - 'a' + 10;
            response->left = response->left * 16 + (uint64_t)digit;
        } else {
            response->head_bytes = 1; /* an extension, or the end of the line */
        }
        return true;
    case CHUNK_END:
        if (byte == '\n') {
            response->state = SIZE;
            response->left = 0;
            response->head_bytes = 0;
        }
        return byte == '\r' || byte == '\n';
    default: /* TRAILER: ends at an empty line */
        if (byte == '\n') {
            if (response->head_bytes == 0)
                response->state = COMPLETE;
            response->head_bytes = 0;
        } else if (byte != '\r') {
            response->head_bytes++;
        }
        return true;
    }
}

bool feed_response(struct response *response, const char *data, size_t bytes) {
    for (size_t at = 0; at < bytes && response->state != COMPLETE;) {
        switch (response->state) {
        case HEAD:
            if (response->head_bytes == sizeof response->head - 1)
                return false;
            response->head[response->head_bytes++] = data[at++];
            response->head[response->head_bytes] = 0;
            if (data[at - 1] == '\n' && response->head_bytes >= 4 &&
                strcmp(response->head + response->head_bytes - 4, "\r\n\r\n") == 0) {
                if (!read_head(response))
                    return false;
                response->head_bytes = 0;
            }
            break;
        case LENGTH:
        case CHUNK: {
            size_t part = bytes - at < response->left ? bytes - at : (size_t)response->left;
            at += part;
            response->left -= part;
            if (response->left == 0)
                response->state = response->state == CHUNK ? CHUNK_END : COMPLETE;
            break;
        }
        case UNTIL_CLOSED:
            return true;
        default:
            if (!feed_line(response, data[at++]))
                return false;
        }
    }
    return true;
}
