#include <errno.h>
#include <openssl/err.h>
#include <poll.h>

#include "base/clock.h"
#include "base/net.h"
#include "tls/tls_internal.h"

#define END_SECONDS 10 /* that a peer may take to say that it has ended too */

/* What a failed call means to the stream: 0 end, -1 with errno. */
static ssize_t outcome(SSL *ssl, int result, short *events)
{
	int saved = errno;

	switch (SSL_get_error(ssl, result)) {
	case SSL_ERROR_WANT_READ:
		*events = POLLIN;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_WANT_WRITE:
		*events = POLLOUT;
		errno = EAGAIN;
		return -1;
	case SSL_ERROR_ZERO_RETURN:
		return 0;
	case SSL_ERROR_SYSCALL:
		errno = saved ? saved : ECONNRESET;
		return -1;
	default:
		errno = EPROTO;
		return -1;
	}
}

static ssize_t layer_read(void *ctx, void *data, size_t n, short *events)
{
	struct tls_session *t = ctx;
	size_t got = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_read_ex(t->ssl, data, n, &got);
	return result == 1 ? (ssize_t)got : outcome(t->ssl, result, events);
}

static ssize_t layer_write(void *ctx, const void *data, size_t n, short *events)
{
	struct tls_session *t = ctx;
	ssize_t failure;
	size_t put = 0;
	int result;

	ERR_clear_error();
	errno = 0;
	result = SSL_write_ex(t->ssl, data, n, &put);
	if (result == 1)
		return (ssize_t)put;
	failure = outcome(t->ssl, result, events);
	if (failure == 0)
		errno = EPIPE;
	return -1;
}

static size_t layer_pending(void *ctx)
{
	struct tls_session *t = ctx;

	return (size_t)SSL_pending(t->ssl);
}

void tls_session_free(struct tls_session *t)
{
	SSL_SESSION_free(t->fresh);
	SSL_free(t->ssl);
	pool_free(&t->pool);
	x_free(&t);
}

/* The peer's end, of which nothing depends any more. */
static void await_end(SSL *ssl)
{
	int64_t deadline = deadline_in(END_SECONDS);
	char rest[1024];
	size_t n;

	while (clock_mono() < deadline) {
		if (SSL_read_ex(ssl, rest, sizeof(rest), &n) == 1)
			continue;
		if (SSL_get_error(ssl, 0) != SSL_ERROR_WANT_READ ||
			net_wait(SSL_get_fd(ssl), POLLIN, deadline) <= 0)
			return;
	}
}

static void layer_close(void *ctx)
{
	struct tls_session *t = ctx;

	ERR_clear_error();
	if (SSL_is_init_finished(t->ssl) && SSL_shutdown(t->ssl) == 0 && t->wait_for_end)
		await_end(t->ssl);
	ERR_clear_error();
	tls_session_free(t);
}

static const struct stream_layer layer = {layer_read, layer_write, layer_pending, layer_close};

static bool system_failed(struct tls_failure *why, int error)
{
	char text[128];

	return err_set(&why->reason, "%s", strerror_r(error, text, sizeof(text)));
}

static bool handshake_failed(int error, struct tls_failure *why)
{
	if (error == SSL_ERROR_SSL) {
		tls_library_said(&why->library);
		return err_set(&why->reason, "-1");
	}
	if (error == SSL_ERROR_SYSCALL && errno)
		return system_failed(why, errno);
	return err_set(&why->reason, "lost connection");
}

static bool handshake(SSL *ssl, int fd, int64_t deadline, struct tls_failure *why)
{
	for (;;) {
		int result, error, ready;

		ERR_clear_error();
		errno = 0;
		result = SSL_do_handshake(ssl);
		if (result == 1)
			return true;
		error = SSL_get_error(ssl, result);
		if (error != SSL_ERROR_WANT_READ && error != SSL_ERROR_WANT_WRITE)
			return handshake_failed(error, why);
		ready = net_wait(fd, error == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
		if (ready == 0)
			return system_failed(why, ETIMEDOUT);
		if (ready < 0)
			return system_failed(why, errno);
	}
}

struct tls_session *tls_session_new(struct tls_context *c, const struct stream *s, struct err *err)
{
	struct tls_session *t = x_alloc(sizeof(*t));

	t->pool = pool_new(1024);
	t->info.server_name = t->info.problem = t->info.problem_of = "";
	t->wait_for_end = c->wait_for_end;
	t->ssl = SSL_new(c->ssl);
	if (t->ssl)
		SSL_set_app_data(t->ssl, t);
	if (t->ssl && net_nonblock(stream_fd(s), true) && SSL_set_fd(t->ssl, stream_fd(s)) == 1)
		return t;
	tls_error(err, "cannot start a TLS session");
	tls_session_free(t);
	return NULL;
}

bool tls_handshake(struct stream *s, struct tls_session *t, struct tls_failure *why)
{
	if (handshake(t->ssl, stream_fd(s), stream_deadline(s), why)) {
		stream_set_layer(s, &layer, t);
		return true;
	}
	if (t->name_trouble.text[0])
		why->library = t->name_trouble;
	tls_resume_failed(t);
	tls_session_free(t);
	return false;
}

/* Nothing of what was said in the clear may count as said under TLS. */
static bool ready(struct stream *s, struct tls_failure *why)
{
	if (stream_buffered(s) > 0)
		return err_set(&why->reason, "plaintext was sent ahead of the TLS handshake");
	return stream_flush(s) || err_set(&why->reason, "lost connection");
}

bool tls_accept(struct stream *s, struct tls_context *c, struct tls_failure *why)
{
	return tls_accept_by_name(s, c, NULL, why);
}

bool tls_accept_by_name(
	struct stream *s, struct tls_context *c, const struct tls_names *names, struct tls_failure *why)
{
	struct tls_session *t;

	if (!ready(s, why))
		return false;
	t = tls_session_new(c, s, &why->reason);
	if (!t)
		return false;
	SSL_set_accept_state(t->ssl);
	t->names = names;
	if (!tls_handshake(s, t, why))
		return false;
	t->names = NULL;
	tls_describe(t, c->digest, true);
	return true;
}

bool tls_connect(
	struct stream *s, struct tls_context *c, const struct tls_rules *rules, struct tls_failure *why)
{
	struct tls_session *t;

	if (!ready(s, why))
		return false;
	t = tls_session_new(c, s, &why->reason);
	if (!t)
		return false;
	SSL_set_connect_state(t->ssl);
	if (!tls_apply_rules(t->ssl, c, rules, &why->reason)) {
		tls_session_free(t);
		return false;
	}
	tls_resume_offer(t, c, rules);
	if (!tls_handshake(s, t, why))
		return false;
	tls_describe(t, c->digest, false);
	t->info.matched = tls_peer_matches(t, c, rules);
	tls_resume_settle(t, t->info.matched || !tls_demanding(rules));
	return true;
}

const struct tls_info *tls_session_info(const struct stream *s)
{
	const struct tls_session *t = stream_layer_ctx(s);

	return t ? &t->info : NULL;
}
