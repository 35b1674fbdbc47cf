/* Handshakes over a socket pair, with the library's own client in a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "make_keys.h"
#include "tls/tls.h"

struct client {
	int fd;
	const struct made *made; /* certificate to show; NULL: none */
	const unsigned char *alpn;
	size_t alpn_size;
	int version; /* 0: any */
	bool plaintext_first;
	bool cut;     /* leave without a TLS end */
	bool garbage; /* say what is no TLS record after the handshake, and wait for the end */
	bool connected;
	char got[64];
};

static void talk(struct client *c, SSL *ssl)
{
	char data[20];
	int n;

	c->connected = SSL_connect(ssl) == 1;
	if (!c->connected)
		return;
	if (c->garbage) {
		assert_int_equal(write(c->fd, "this is no TLS record, is it?", 29), 29);
		while (read(c->fd, data, sizeof(data)) > 0)
			continue;
		return;
	}
	SSL_write(ssl, "hello\r\n", 7);
	n = SSL_read(ssl, data, sizeof(data) - 1);
	snprintf(c->got, sizeof(c->got), "%.*s", n > 0 ? n : 0, data);
	if (!c->cut)
		SSL_shutdown(ssl);
}

static void *run_client(void *arg)
{
	struct client *c = arg;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	char go;
	SSL *ssl;

	if (c->made) {
		SSL_CTX_use_certificate(ctx, c->made->cert);
		SSL_CTX_use_PrivateKey(ctx, c->made->key);
	}
	if (c->version)
		SSL_CTX_set_max_proto_version(ctx, c->version);
	ssl = SSL_new(ctx);
	SSL_set_fd(ssl, c->fd);
	if (c->alpn)
		SSL_set_alpn_protos(ssl, c->alpn, (unsigned)c->alpn_size);
	if (c->plaintext_first)
		assert_int_equal(write(c->fd, "STARTTLS\r\nRSET\r\n", 16), 16);
	else
		assert_int_equal(write(c->fd, "STARTTLS\r\n", 10), 10);
	assert_int_equal(read(c->fd, &go, 1), 1);
	talk(c, ssl);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(c->fd);
	return NULL;
}

struct fixture {
	char dir[64], pem[128];
	struct made server, client;
};

static int set_up(void **state)
{
	struct fixture *f = x_alloc(sizeof(*f));

	signal(SIGPIPE, SIG_IGN);
	snprintf(f->dir, sizeof(f->dir), "/tmp/test_tls.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->server = make_keys("server.example");
	f->client = make_keys("client\n.example");
	write_pem(f->dir, "server.pem", &f->server, WRITE_KEY | WRITE_CERT, f->pem);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	made_free(&f->server);
	made_free(&f->client);
	unlink(f->pem);
	rmdir(f->dir);
	x_free(&f);
	return 0;
}

struct session {
	struct stream *stream;
	struct tls_context *context;
	pthread_t thread;
	bool ok;
	struct err err;
	struct tls_failure why;
};

/* The server reads the STARTTLS line, then does the handshake. */
static struct session begin(struct tls_server_options o, struct fixture *f, struct client *c)
{
	struct session s = {0};
	enum line_end end;
	struct str line;
	int fds[2];

	o.chain_files = f->pem;
	s.context = tls_server_context(&o, &s.err);
	assert_non_null(s.context);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	c->fd = fds[1];
	s.stream = stream_new(fds[0]);
	stream_set_timeout(s.stream, 5, false);
	assert_int_equal(pthread_create(&s.thread, NULL, run_client, c), 0);
	assert_int_equal(stream_line(s.stream, 100, &line, &end), STREAM_OK);
	stream_puts(s.stream, "2");
	stream_flush(s.stream);
	s.ok = tls_accept(s.stream, s.context, &s.why);
	return s;
}

static void finish(struct session *s)
{
	stream_free(&s->stream);
	pthread_join(s->thread, NULL);
	tls_context_free(&s->context);
}

static void expect_hello(struct session *s)
{
	enum line_end end;
	struct str line;

	assert_int_equal(stream_line(s->stream, 100, &line, &end), STREAM_OK);
	assert_true(str_is(line, "hello"));
	assert_true(stream_puts(s->stream, "bye"));
	assert_true(stream_flush(s->stream));
}

static void test_plain_handshake(void **state)
{
	struct client c = {0};
	struct session s = begin((struct tls_server_options){.protocols = ">=TLSv1.2"}, *state, &c);
	const struct tls_info *info;
	enum line_end end;
	struct str line;

	assert_true(s.ok);
	info = tls_session_info(s.stream);
	assert_string_equal(info->protocol, "TLSv1.3");
	assert_string_equal(info->summary, "TLSv1.3 with cipher TLS_AES_256_GCM_SHA384 (256/256 bits)");
	assert_string_equal(info->details,
		"key-exchange X25519 server-signature ECDSA (prime256v1) server-digest SHA256");
	assert_false(info->peer_certificate || info->trusted || info->reused);
	assert_string_equal(info->peer_name, "");
	expect_hello(&s);
	assert_int_equal(stream_line(s.stream, 100, &line, &end), STREAM_EOF);
	finish(&s);
	assert_string_equal(c.got, "bye");
}

static void test_cut_is_an_end(void **state)
{
	struct client c = {.cut = true, .version = TLS1_2_VERSION};
	struct session s = begin((struct tls_server_options){.protocols = ""}, *state, &c);
	enum line_end end;
	struct str line;

	assert_true(s.ok);
	assert_string_equal(tls_session_info(s.stream)->details, "");
	expect_hello(&s);
	assert_int_equal(stream_line(s.stream, 100, &line, &end), STREAM_EOF);
	finish(&s);
}

static void test_client_certificate(void **state)
{
	struct fixture *f = *state;
	struct client c = {.made = &f->client};
	struct session s = begin((struct tls_server_options){.ask_certificate = true}, f, &c);
	const struct tls_info *info = tls_session_info(s.stream);

	assert_true(s.ok);
	assert_true(info->peer_certificate);
	assert_false(info->trusted);
	assert_string_equal(info->peer_name, "client?.example");
	assert_int_equal(strlen(info->peer_fingerprint), 32 * 3 - 1);
	assert_non_null(strstr(info->details, "client-signature ECDSA (prime256v1)"));
	expect_hello(&s);
	finish(&s);
}

static void test_refusals(void **state)
{
	static const struct {
		struct tls_server_options o;
		struct client c;
	} rows[] = {
		{{.protocols = ">=TLSv1.3"}, {.version = TLS1_2_VERSION}},
		{{.protocols = ""}, {.alpn = (const unsigned char *)"\2h2\10http/1.1", .alpn_size = 12}},
		{{.protocols = ""}, {.plaintext_first = true}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client c = rows[i].c;
		struct session s;

		s = begin(rows[i].o, *state, &c);
		assert_false(s.ok);
		assert_true(s.why.reason.text[0] != '\0');
		assert_null(tls_session_info(s.stream));
		finish(&s);
	}
}

static void test_alpn(void **state)
{
	struct client c = {.alpn = (const unsigned char *)"\2h2\4smtp", .alpn_size = 8};
	struct session s = begin((struct tls_server_options){0}, *state, &c);

	assert_true(s.ok);
	expect_hello(&s);
	finish(&s);
}

/* Somebody else's TLS, in this thread, leaves an error in the library's queue. */
static void leave_error(void)
{
	ERR_raise(ERR_LIB_SSL, SSL_R_BAD_RECORD_TYPE);
	errno = EIO;
}

static void test_errors_of_others(void **state)
{
	struct fixture *f = *state;
	struct client c = {.version = TLS1_2_VERSION};
	enum line_end end;
	struct session s;
	struct str line;

	leave_error();
	s = begin((struct tls_server_options){.protocols = ""}, f, &c);
	assert_true(s.ok);
	leave_error();
	assert_int_equal(stream_line(s.stream, 100, &line, &end), STREAM_OK);
	assert_true(str_is(line, "hello"));
	leave_error();
	assert_true(stream_puts(s.stream, "bye"));
	assert_true(stream_flush(s.stream));
	leave_error();
	assert_int_equal(stream_line(s.stream, 100, &line, &end), STREAM_EOF);
	finish(&s);
	assert_string_equal(c.got, "bye");
	assert_int_equal(ERR_peek_error(), 0);
}

/* After the library gave up on a session, each side is told once and for all. */
static void test_fatal_error_is_final(void **state)
{
	struct fixture *f = *state;
	struct client c = {.garbage = true};
	struct session s = begin((struct tls_server_options){.protocols = ""}, f, &c);
	enum stream_status status;
	enum line_end end;
	struct str line;

	assert_true(s.ok);
	status = stream_line(s.stream, 100, &line, &end);
	assert_true(status != STREAM_OK && status != STREAM_TIMEOUT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(stream_line(s.stream, 100, &line, &end), status);
	stream_puts(s.stream, "nobody hears this");
	assert_false(stream_flush(s.stream));
	finish(&s);
}

static void *silent(void *arg)
{
	char data[100];

	while (read(*(int *)arg, data, sizeof(data)) > 0)
		continue;
	return NULL;
}

static void test_timeout(void **state)
{
	struct fixture *f = *state;
	struct tls_server_options o = {.chain_files = f->pem};
	struct err err = {""};
	struct tls_context *context = tls_server_context(&o, &err);
	struct tls_failure why = {0};
	struct stream *s;
	pthread_t thread;
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	s = stream_new(fds[0]);
	stream_set_timeout(s, 1, false);
	assert_int_equal(pthread_create(&thread, NULL, silent, &fds[1]), 0);
	assert_false(tls_accept(s, context, &why));
	assert_string_equal(why.reason.text, "Connection timed out");
	stream_free(&s);
	pthread_join(thread, NULL);
	close(fds[1]);
	tls_context_free(&context);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain_handshake),
		cmocka_unit_test(test_cut_is_an_end),
		cmocka_unit_test(test_client_certificate),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_alpn),
		cmocka_unit_test(test_errors_of_others),
		cmocka_unit_test(test_fatal_error_is_final),
		cmocka_unit_test(test_timeout),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
