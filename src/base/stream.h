/*
 * A buffered byte stream over one descriptor, with a sticky error, a deadline and a least data rate. Blocking
 * calls for linear code, until the deadline. A socket may be blocking or not: a blocking one waits by itself
 * where that saves a poll(), everything else is asked first.
 * Used by one thread at a time. A TLS session is a layer between the buffers and the descriptor; it is put in
 * place by tls/.
 */
#ifndef BASE_STREAM_H
#define BASE_STREAM_H

#include "base/buf.h"
#include <sys/types.h>

enum stream_status {
	STREAM_OK,
	STREAM_EOF,	/* orderly end */
	STREAM_TIMEOUT, /* the deadline passed, or the peer was slower than the least rate allows */
	STREAM_ERROR	/* reset, TLS failure, ...: stream_errno() */
};

enum line_end {
	LINE_CRLF,
	LINE_LF,     /* bare LF */
	LINE_PARTIAL /* max bytes without LF so far; the rest of the line follows in the next read */
};

/* Like read()/write() on a non-blocking descriptor: -1 with errno EAGAIN and *events set to what to poll for.
 */
struct stream_layer {
	ssize_t (*read)(void *ctx, void *data, size_t n, short *events); /* 0: end */
	ssize_t (*write)(void *ctx, const void *data, size_t n, short *events);
	size_t (*pending)(void *ctx); /* bytes decoded and not yet read */
	void (*close)(void *ctx);     /* sends what a polite end needs, frees ctx */
};

struct stream;

struct stream *stream_new(int fd);   /* takes the descriptor over */
void stream_free(struct stream **s); /* closes layer and descriptor without flushing; NULL allowed */
int stream_fd(const struct stream *s);
void stream_set_layer(struct stream *s, const struct stream_layer *layer, void *ctx);
void *stream_layer_ctx(const struct stream *s); /* NULL: plain */

/*
 * Each wait for the peer may take `seconds`; with whole_request all waits since stream_start_request()
 * together (time that we spend on other things is not counted). 0: for ever.
 */
void stream_set_timeout(struct stream *s, int seconds, bool whole_request);
void stream_start_request(struct stream *s);
int64_t stream_deadline(const struct stream *s); /* of a call made now; for layers that wait themselves */
/* For who mostly reads what takes a moment to come: the kernel is left to wait, up to so long (ms > 0),
 * before anything else is done about it. Time limits hold as ever. Not under a layer. */
void stream_set_patience(struct stream *s, int ms);
/* With whole_request: the time left grows by one second for every `bytes_per_second` bytes moved, up to
 * `seconds` (0: does not grow). */
void stream_set_min_rate(struct stream *s, size_t bytes_per_second);

/*
 * Sticky; STREAM_OK until something failed. After an end or a time-out of reading the peer can still be told
 * something; after an error, or a time-out of writing, nothing works any more.
 */
enum stream_status stream_status(const struct stream *s);
int stream_errno(const struct stream *s);

/*
 * Whenever input must be waited for, buffered output is flushed first.
 *
 * Reads one line of at most max bytes (without its end). The slice lives until the next read call. Bytes
 * after a last LF at end of stream are dropped with STREAM_EOF.
 */
enum stream_status stream_line(struct stream *s, size_t max, struct str *line, enum line_end *end);
enum stream_status stream_read(
	struct stream *s, size_t max, struct str *data); /* 1..max bytes, whatever is there */
enum stream_status stream_read_exact(struct stream *s, void *data, size_t n);
size_t stream_buffered(
	const struct stream *s); /* bytes that can be read without waiting, TLS layer included */
struct str stream_peek(const struct stream *s); /* the bytes in the read buffer */
/* Waits for input: 1 there is some (or end/error), 0 not within ms. Output is flushed first. */
int stream_wait(struct stream *s, int ms);
/* As stream_wait, for more input than is buffered already. */
int stream_fill(struct stream *s, int ms);

bool stream_write(struct stream *s, const void *data, size_t n); /* buffered; false once an error is sticky */
bool stream_puts(struct stream *s, const char *text);
bool stream_printf(struct stream *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool stream_flush(struct stream *s);
void stream_relax(struct stream *s); /* releases empty buffers; for parking */

#endif
