/*
 * A histogram of nanoseconds. Buckets are 1/64 of their values wide: quantiles are right to 1 %.
 */
#ifndef LATENCY_H
#define LATENCY_H

#include <stdint.h>
#include <string.h>

#define STEPS_BITS 6
#define STEPS (1u << STEPS_BITS)
/* Up to 2^42 ns, more than an hour. */
#define OCTAVES (42 - STEPS_BITS)

struct latency {
    uint64_t count, max;
    uint64_t buckets[(OCTAVES + 1) * STEPS];
};

static inline void record(struct latency *latency, uint64_t ns) {
    unsigned bucket = (unsigned)ns;
    if (ns >= STEPS) {
        unsigned octave = 63u - (unsigned)__builtin_clzll(ns) - STEPS_BITS;
        bucket = octave >= OCTAVES ? (OCTAVES + 1) * STEPS - 1
                                   : octave * STEPS + (unsigned)(ns >> octave);
    }
    latency->buckets[bucket]++;
    latency->count++;
    if (ns > latency->max)
        latency->max = ns;
}

/* The middle of the bucket that the quantile falls into, in milliseconds. */
static inline double quantile(const struct latency *latency, double q) {
    uint64_t wanted = (uint64_t)(q * (double)latency->count), seen = 0;
    for (unsigned bucket = 0; bucket < (OCTAVES + 1) * STEPS; bucket++) {
        seen += latency->buckets[bucket];
        if (seen > wanted) {
            unsigned octave = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
            uint64_t from = (uint64_t)(bucket - octave * STEPS) << octave;
            double middle = (double)from + (double)(1ull << octave) / 2;
            return (middle < (double)latency->max ? middle : (double)latency->max) / 1e6;
        }
    }
    return (double)latency->max / 1e6;
}

#endif
