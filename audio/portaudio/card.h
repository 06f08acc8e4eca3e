//go:build cgo

// One half of a sound card: a PortAudio stream in one direction and the ring
// buffer between its callback and us. The callbacks never enter Go: they take no
// lock, wait for nothing, and are not stopped by a garbage collection.
#ifndef PEERD_CARD_H
#define PEERD_CARD_H

#include <portaudio.h>
#include <stdatomic.h>
#include <stdint.h>

#define RING_SIZE 32768 // samples, 0.68 s at 48 kHz; a power of two

// A ring has one writer and one reader, each a thread of its own. Both counters
// only grow and wrap around at 2^32 together with the index into buf.
typedef struct {
	int16_t buf[RING_SIZE];
	_Atomic uint32_t written; // by the writer
	_Atomic uint32_t taken;   // by the reader
} ring;

typedef struct {
	ring ring;
	PaStream *stream;
	_Atomic int32_t low;       // playing: least left after a callback since asked
	_Atomic uint32_t shortages; // playing: callbacks that found too little
} half;

#define NO_CALLBACK INT32_MAX // value of low while there was no callback

uint32_t ring_fill(ring *r);
uint32_t ring_write(ring *r, const int16_t *pcm, uint32_t n); // returns how many found room
uint32_t ring_read(ring *r, int16_t *pcm, uint32_t n);        // returns how many there were
void ring_skip(ring *r, uint32_t n);                          // by the reader; n must be there

half *half_new(void);
int half_open(half *h, int device, int input, double rate, unsigned long block, double latency);
int half_close(half *h); // stops at once, frees h
int32_t half_take_low(half *h);
uint32_t half_shortages(half *h);
void half_play(half *h, int16_t *out, uint32_t n); // what the loudspeaker's callback does

#endif
