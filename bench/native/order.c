/*
 * Whether each stream gets each event once, in an order that its publishers allow.
 *
 * The common case, the next number, is a comparison in `streams.c`. The rest comes here: a number
 * that was jumped over is a gap until it comes after all. It may come late if it was published at
 * the same time as the later one, by another connection; if the earlier publish had already been
 * answered when the later one was sent, the order is wrong.
 */
#include <stdlib.h>

#include "load.h"

static void add_gap(struct stream *stream, uint64_t from, uint64_t to) {
    struct gaps *gaps = stream->gaps;
    if (!gaps)
        gaps = stream->gaps = calloc(1, sizeof *gaps);
    if (!gaps)
        abort();
    if (gaps->used == GAPS) {
        gaps->lost += gaps->of[0].to - gaps->of[0].from + 1;
        memmove(gaps->of, gaps->of + 1, (GAPS - 1) * sizeof gaps->of[0]);
        gaps->used--;
    }
    gaps->of[gaps->used].from = from;
    gaps->of[gaps->used++].to = to;
}

static bool fill_gap(struct gaps *gaps, uint64_t number) {
    for (int i = gaps ? gaps->used - 1 : -1; i >= 0; i--) {
        uint64_t from = gaps->of[i].from, to = gaps->of[i].to;
        if (number < from || number > to)
            continue;
        if (from == to) {
            gaps->used--;
            memmove(gaps->of + i, gaps->of + i + 1,
                    (size_t)(gaps->used - i) * sizeof gaps->of[0]);
        } else if (number == from) {
            gaps->of[i].from++;
        } else {
            /* What is behind it in the gap goes first: a gap that is split is rare. */
            gaps->of[i].to = number - 1;
            if (number < to) {
                if (gaps->used == GAPS) {
                    gaps->lost += to - number;
                } else {
                    gaps->of[gaps->used].from = number + 1;
                    gaps->of[gaps->used++].to = to;
                }
            }
        }
        return true;
    }
    return false;
}

void judge_out_of_turn(struct stream *stream, uint64_t number, uint64_t stamp) {
    if (!stream->high && !stream->first) {
        stream->first = stream->high = number;
        stream->high_stamp = stamp;
    } else if (number > stream->high) {
        add_gap(stream, stream->high + 1, number - 1);
        stream->high = number;
        stream->high_stamp = stamp;
    } else if (number < stream->first) {
        /* Published at the same time as the first that it got. */
    } else if (!fill_gap(stream->gaps, number)) {
        run.repeats++;
    } else if (!was_in_flight(stamp, stream->high_stamp)) {
        run.disorders++;
    }
}

uint64_t gap_numbers(const struct stream *stream) {
    uint64_t numbers = stream->gaps ? stream->gaps->lost : 0;
    for (int i = 0; stream->gaps && i < stream->gaps->used; i++)
        numbers += stream->gaps->of[i].to - stream->gaps->of[i].from + 1;
    return numbers;
}
