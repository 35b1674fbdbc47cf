/* The client of Dovecot's protocol against a scripted server in a thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/net.h"
#include "base/stream.h"
#include "sasl/sasl_server.h"

#define GREETING                                                                                             \
	"VERSION\t1\t2\nMECH\tPLAIN\tplaintext\nMECH\tCRAM-"                                                 \
	"MD5\tdictionary\tactive\nMECH\tANONYMOUS\nSPID\t1\nCUID\t2\nCOOKIE\tab\nDONE\n"
#define PLAIN "AHVzZXIAcGFzcw=="

/* One connection: what is said at its begin, then an answer for each line that is not part of the client's
 * greeting. %s: the id. */
struct script {
	const char *greeting;
	size_t greeting_size;	/* 0: strlen */
	const char *answers[4]; /* NULL: close */
};

struct server {
	char dir[64], path[96];
	int fd;
	const struct script *scripts;
	size_t count;
	pthread_t thread;
	bool ended;	/* thread is joined */
	char last[512]; /* line of the client */
};

static void answer(struct stream *s, const char *text, struct str line)
{
	struct str rest = line, word, id = {"", 0};
	const char *at = strstr(text, "%s");

	str_word(&rest, "\t", &word);
	str_word(&rest, "\t", &id);
	if (at) {
		stream_write(s, text, (size_t)(at - text));
		stream_write(s, id.p, id.n);
		text = at + 2;
	}
	stream_puts(s, text);
	stream_flush(s);
}

static void converse(struct server *v, int fd, const struct script *script)
{
	struct stream *s = stream_new(fd);
	enum line_end end;
	struct str line;
	bool greeted = false;
	size_t n = 0;

	stream_set_timeout(s, 5, false);
	stream_write(s, script->greeting,
		script->greeting_size ? script->greeting_size : strlen(script->greeting));
	stream_flush(s);
	/* Closing before the client's greeting was read would take ours away from it. */
	while ((script->answers[n] || !greeted) && stream_line(s, 60000, &line, &end) == STREAM_OK) {
		greeted = greeted || str_starts(line, STR("CPID"));
		if (str_starts(line, STR("VERSION")) || str_starts(line, STR("CPID")))
			continue;
		if (!script->answers[n])
			break;
		snprintf(v->last, sizeof(v->last), STR_FMT, STR_ARG(line));
		answer(s, script->answers[n++], line);
	}
	stream_free(&s);
}

static void *serve(void *arg)
{
	struct server *v = arg;

	for (size_t i = 0; i < v->count; i++) {
		struct net_addr client;
		int fd;

		if (net_wait(v->fd, 1, deadline_in(5)) <= 0)
			break;
		fd = net_accept(v->fd, &client);
		if (fd >= 0)
			converse(v, fd, &v->scripts[i]);
	}
	return NULL;
}

static struct server *start(const struct script *scripts, size_t count)
{
	struct server *v = x_alloc(sizeof(*v));
	struct err err = {""};

	snprintf(v->dir, sizeof(v->dir), "/tmp/test_sasl.XXXXXX");
	assert_non_null(mkdtemp(v->dir));
	snprintf(v->path, sizeof(v->path), "%s/auth", v->dir);
	v->fd = net_listen_unix(v->path, 0600, 5, &err);
	assert_true(v->fd >= 0);
	v->scripts = scripts;
	v->count = count;
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
	return v;
}

static void wait_end(struct server *v)
{
	if (!v->ended)
		pthread_join(v->thread, NULL);
	v->ended = true;
}

static void stop(struct server *v)
{
	wait_end(v);
	close(v->fd);
	unlink(v->path);
	rmdir(v->dir);
	x_free(&v);
}

static const struct sasl_peer peer = {"smtp", "192.0.2.1", "192.0.2.2", 40000, 25, true};

static struct sasl_server *open_server(const struct server *v, const char *options, struct err *err)
{
	return sasl_server_new("dovecot", v->path, &peer, options, 5, err);
}

static void test_mechanisms(void **state)
{
	static const struct {
		const char *options, *wanted;
	} rows[] = {
		{"", "PLAIN CRAM-MD5 ANONYMOUS"},
		{"noanonymous", "PLAIN CRAM-MD5"},
		{"noanonymous, noplaintext", "CRAM-MD5"},
		{"nodictionary", "PLAIN ANONYMOUS"},
		{"mutual_auth", NULL},
		{"nonsense", NULL},
	};
	static const struct script script = {GREETING, 0, {NULL}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool connects = strcmp(rows[i].options, "nonsense") != 0;
		struct server *v = start(&script, connects ? 1 : 0);
		struct err err = {""};
		struct sasl_server *s = open_server(v, rows[i].options, &err);

		if (rows[i].wanted)
			assert_string_equal(sasl_mechanisms(s), rows[i].wanted);
		else
			assert_true(!s && err.text[0]);
		sasl_server_free(&s);
		stop(v);
	}
}

static void test_verdicts(void **state)
{
	static const struct {
		const char *answer;
		enum sasl_status wanted;
		const char *username, *reply;
	} rows[] = {
		{"OK\t%s\tuser=user@example.com\tx=y\n", SASL_OK, "user@example.com", ""},
		{"FAIL\t%s\tuser=user\treason=no\n", SASL_FAIL, "user", "no"},
		{"FAIL\t%s\n", SASL_FAIL, NULL, ""},
		{"FAIL\t%s\tuser=u\ttemp\n", SASL_TEMPFAIL, "u", ""},
		{"FAIL\t%s\tuser=u\tcode=temp_fail\treason=a\001tb\n", SASL_TEMPFAIL, "u", "a?b"},
		{"OK\t%s\n", SASL_TEMPFAIL, NULL, "Authentication server gave no usable user name"},
		{"OK\t%s\tuser=\n", SASL_TEMPFAIL, NULL, "Authentication server gave no usable user name"},
		{"OK\t%s\tuser=a\001nb\n", SASL_TEMPFAIL, NULL,
			"Authentication server gave no usable user name"},
		{"OK\t%s\tuser=a\001\n", SASL_TEMPFAIL, NULL,
			"Authentication server gave no usable user name"},
		{"OK\t99\tuser=other\nFAIL\t%s\n", SASL_FAIL, NULL, ""},
		{"\nOK\nWHAT\t%s\nFAIL\t1\n", SASL_FAIL, NULL, ""},
		{"CONT\t%s\tMTIz\n", SASL_CONTINUE, NULL, "MTIz"},
		{"CONT\t%s\t\n", SASL_CONTINUE, NULL, ""},
		{"CONT\t%s\n", SASL_CONTINUE, NULL, ""},
		{"CONT\t%s\ta b\r\n", SASL_TEMPFAIL, NULL, "Connection lost to authentication server"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct script script = {GREETING, 0, {rows[i].answer, NULL}};
		struct server *v = start(&script, 1);
		struct err err = {""};
		struct sasl_server *s = open_server(v, "noanonymous", &err);
		struct buf reply = BUF(1000);

		assert_int_equal(sasl_start(s, "plain", str_c(PLAIN), &reply), rows[i].wanted);
		assert_string_equal(buf_cstr(&reply), rows[i].reply);
		if (rows[i].username)
			assert_string_equal(sasl_username(s), rows[i].username);
		else
			assert_null(sasl_username(s));
		sasl_server_free(&s);
		wait_end(v);
		assert_string_equal(v->last, "AUTH\t1\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.2\trip=192."
					     "0.2.1\tlport=25\trport=40000"
					     "\tsecured\tresp=" PLAIN);
		buf_free(&reply);
		stop(v);
	}
}

static void test_invalid(void **state)
{
	static const struct script script = {GREETING, 0, {NULL}};
	struct server *v = start(&script, 1);
	struct err err = {""};
	struct sasl_server *s = open_server(v, "noanonymous", &err);
	struct buf reply = BUF(1000);

	wait_end(v);
	assert_int_equal(sasl_start(s, "ANONYMOUS", (struct str){NULL, 0}, &reply), SASL_INVALID);
	assert_int_equal(sasl_start(s, "PLAIN CRAM-MD5", (struct str){NULL, 0}, &reply), SASL_INVALID);
	assert_int_equal(sasl_start(s, "PLAIN", STR("ab=c"), &reply), SASL_INVALID);
	assert_int_equal(sasl_start(s, "PLAIN", STR("ab\tc"), &reply), SASL_INVALID);
	assert_int_equal(sasl_start(s, "PLAIN", STR(PLAIN), &reply), SASL_TEMPFAIL);
	assert_int_equal(sasl_step(s, STR(PLAIN), &reply), SASL_TEMPFAIL);
	buf_free(&reply);
	sasl_server_free(&s);
	stop(v);
}

/* Lost after a challenge: that exchange fails for now, the next one has a new connection. */
static void test_lost(void **state)
{
	static const struct script scripts[] = {
		{GREETING, 0, {"CONT\t%s\tMTIz\n", NULL}},
		{GREETING, 0, {"CONT\t%s\tMTIz\n", "OK\t%s\tuser=me\n", "FAIL\t%s\n", NULL}},
	};
	struct server *v = start(scripts, 2);
	struct err err = {""};
	struct sasl_server *s = open_server(v, "noanonymous", &err);
	struct buf reply = BUF(1000);

	assert_int_equal(sasl_start(s, "CRAM-MD5", (struct str){NULL, 0}, &reply), SASL_CONTINUE);
	assert_int_equal(sasl_step(s, STR("MTIz"), &reply), SASL_TEMPFAIL);
	assert_int_equal(sasl_start(s, "CRAM-MD5", (struct str){NULL, 0}, &reply), SASL_CONTINUE);
	assert_int_equal(sasl_step(s, STR("MTIz"), &reply), SASL_OK);
	assert_string_equal(sasl_username(s), "me");
	assert_true(sasl_server_serve(s, &peer, "noanonymous", &err));
	assert_int_equal(sasl_start(s, "PLAIN", STR("="), &reply), SASL_FAIL);
	assert_null(sasl_username(s));
	buf_free(&reply);
	sasl_server_free(&s);
	stop(v);
}

static void test_hostile_greetings(void **state)
{
	static char huge[70000];
	static const struct script scripts[] = {
		{"VERSION\n", 0, {NULL}},
		{"VERSION\t\nMECH\tPLAIN\nDONE\n", 0, {NULL}},
		{"VERSION\t2\t0\nMECH\tPLAIN\nDONE\n", 0, {NULL}},
		{"VERSION\t1\nVERSION\t2\nMECH\tPLAIN\nDONE\n", 0, {NULL}},
		{"VERSION\t1\t1\nMECH\nMECH\t\nMECH\tpl in\nDONE\n", 0, {NULL}},
		{"VERSION\t1\t1\nMECH\tABCDEFGHIJKLMNOPQRSTUVWXYZ\nDONE\n", 0, {NULL}},
		{"MECH\tPLAIN\nDONE\n", 0, {NULL}},
		{"VERSION\t1\t1\nMECH\tPLAIN\nSPID", 0, {NULL}},
		{"VERSION\t1\t1\nMECH\tPLAIN\n\0\nDONE\n", 31, {NULL}},
		{"\n\n\nCUID\nCOOKIE\n", 0, {NULL}},
		{huge, sizeof(huge), {NULL}},
	};
	size_t n = sizeof(scripts) / sizeof(scripts[0]);
	struct server *v;

	memset(huge, 'x', sizeof(huge));
	v = start(scripts, n);
	for (size_t i = 0; i < n; i++) {
		struct err err = {""};
		struct sasl_server *s = open_server(v, "noanonymous", &err);

		assert_null(s);
		assert_true(err.text[0] != '\0');
	}
	stop(v);
}

static void test_absent(void **state)
{
	struct err err = {""};

	assert_null(sasl_server_new("dovecot", "/nonexistent/auth", &peer, "", 5, &err));
	assert_null(sasl_server_new("dovecot", "inet:127.0.0.1:1", &peer, "", 5, &err));
	assert_null(sasl_server_new("dovecot", "inet:nonsense", &peer, "", 5, &err));
	assert_null(sasl_server_new("cyrusx", "smtpd", &peer, "", 5, &err));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mechanisms),
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_invalid),
		cmocka_unit_test(test_lost),
		cmocka_unit_test(test_hostile_greetings),
		cmocka_unit_test(test_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
