//go:build cgo

#include "card.h"

#include <stdlib.h>
#include <string.h>

#define MASK (RING_SIZE - 1)

uint32_t ring_fill(ring *r) {
	return atomic_load_explicit(&r->written, memory_order_acquire) -
	       atomic_load_explicit(&r->taken, memory_order_acquire);
}

uint32_t ring_write(ring *r, const int16_t *pcm, uint32_t n) {
	uint32_t room = RING_SIZE - ring_fill(r);
	uint32_t at = atomic_load_explicit(&r->written, memory_order_relaxed);
	if (n > room) n = room;
	for (uint32_t i = 0; i < n; i++) r->buf[(at + i) & MASK] = pcm[i];
	atomic_store_explicit(&r->written, at + n, memory_order_release);
	return n;
}

uint32_t ring_read(ring *r, int16_t *pcm, uint32_t n) {
	uint32_t fill = ring_fill(r);
	uint32_t at = atomic_load_explicit(&r->taken, memory_order_relaxed);
	if (n > fill) n = fill;
	for (uint32_t i = 0; i < n; i++) pcm[i] = r->buf[(at + i) & MASK];
	atomic_store_explicit(&r->taken, at + n, memory_order_release);
	return n;
}

void ring_skip(ring *r, uint32_t n) {
	atomic_fetch_add_explicit(&r->taken, n, memory_order_release);
}

// captured is the microphone's callback. A full ring means that nobody reads:
// what does not fit is lost.
static int captured(const void *in, void *out, unsigned long n, const PaStreamCallbackTimeInfo *time,
                    PaStreamCallbackFlags flags, void *user) {
	(void)out, (void)time, (void)flags;
	half *h = user;
	if (in != NULL) ring_write(&h->ring, in, (uint32_t)n);
	return paContinue;
}

void half_play(half *h, int16_t *out, uint32_t n) {
	int32_t left = (int32_t)ring_fill(&h->ring) - (int32_t)n;
	uint32_t got = ring_read(&h->ring, out, n);
	memset(out + got, 0, (n - got) * sizeof *out);
	if (got < n) atomic_fetch_add(&h->shortages, 1);
	int32_t low = atomic_load(&h->low);
	while (left < low && !atomic_compare_exchange_weak(&h->low, &low, left)) {
	}
}

// playing is the loudspeaker's callback.
static int playing(const void *in, void *out, unsigned long n, const PaStreamCallbackTimeInfo *time,
                   PaStreamCallbackFlags flags, void *user) {
	(void)in, (void)time, (void)flags;
	half_play(user, out, (uint32_t)n);
	return paContinue;
}

half *half_new(void) {
	half *h = calloc(1, sizeof *h);
	if (h != NULL) atomic_store(&h->low, NO_CALLBACK);
	return h;
}

int half_open(half *h, int device, int input, double rate, unsigned long block, double latency) {
	PaStreamParameters p = {.device = device, .channelCount = 1, .sampleFormat = paInt16, .suggestedLatency = latency};
	PaError err = Pa_OpenStream(&h->stream, input ? &p : NULL, input ? NULL : &p, rate, block, paNoFlag,
	                            input ? captured : playing, h);
	if (err != paNoError) {
		h->stream = NULL;
		return err;
	}
	return Pa_StartStream(h->stream);
}

int half_close(half *h) {
	PaError err = paNoError;
	if (h->stream != NULL) {
		Pa_AbortStream(h->stream); // an error here is told by the next call
		err = Pa_CloseStream(h->stream);
	}
	free(h);
	return err;
}

int32_t half_take_low(half *h) { return atomic_exchange(&h->low, NO_CALLBACK); }

uint32_t half_shortages(half *h) { return atomic_load(&h->shortages); }
