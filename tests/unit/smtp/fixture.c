#include "fixture.h"

#include <ctype.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/sys.h"
#include "smtp/smtp_cache.h"
#include "smtp/smtp_client.h"

/* ---- the service and the agent */

void *service_data(const struct service *s)
{
	return s->client;
}

struct spool *service_spool(struct service *s)
{
	return s->spool;
}

bool service_retiring(const struct service *s)
{
	return false;
}

static struct fixture *of(const struct agent_delivery *d)
{
	return container_of(d->service, struct fixture, service);
}

void agent_outcome(struct agent_delivery *d, size_t i, const struct dsn *dsn, const char *relay, int conn_use)
{
	struct outcome *o = &of(d)->outcomes[i];

	if (o->decided)
		return;
	o->decided = true;
	o->action = dsn->action;
	snprintf(o->status, sizeof(o->status), "%s", dsn->status);
	snprintf(o->reason, sizeof(o->reason), "%s", dsn->reason);
	snprintf(o->relay, sizeof(o->relay), "%s", relay);
	o->conn_use = conn_use;
}

void agent_pass(struct agent_delivery *d, size_t i, const char *transport, const char *nexthop)
{
	struct dsn passed = {.action = DSN_EXPANDED, .status = "2.0.0", .reason = transport};

	agent_outcome(d, i, &passed, nexthop, 0);
}

void agent_outcome_rest(struct agent_delivery *d, const struct dsn *dsn, const char *relay, bool trouble)
{
	for (size_t i = 0; i < d->request->recipient_count; i++)
		agent_outcome(d, i, dsn, relay, 0);
	if (trouble)
		d->result.trouble = dsn;
}

bool agent_decided(const struct agent_delivery *d, size_t i)
{
	return of(d)->outcomes[i].decided;
}

/* ---- the client */

static struct spool *open_spool(const char *dir)
{
	struct spool_options options = {
		.queue_directory = dir, .hash_queue_names = "", .owner = geteuid(), .group = getegid()};
	struct spool *spool;

	assert_true(spool_make_directories(&options, NULL));
	spool = spool_open(&options, NULL);
	assert_non_null(spool);
	return spool;
}

static const struct config *load(const char *dir, const char *main_cf, bool lmtp)
{
	struct buf text = BUF(10000);
	struct err err = {""};
	struct config_source source = {.directory = dir, .program = "smtp", .lmtp = lmtp};
	const struct config *cfg;

	buf_printf(&text,
		"myhostname = client.example\nmydestination =\nlocal_recipient_maps =\nalias_maps "
		"=\nqueue_directory = %s\n"
		"smtp_helo_timeout = 1s\nsmtp_mail_timeout = 1s\nsmtp_rcpt_timeout = "
		"1s\nsmtp_data_init_timeout = 1s\n"
		"smtp_data_done_timeout = 1s\nlmtp_data_done_timeout = 1s\n%s\n",
		dir, main_cf);
	source.main_text = buf_cstr(&text);
	cfg = config_load(&source, NULL, NULL, &err);
	assert_string_equal(err.text, "");
	assert_non_null(cfg);
	buf_free(&text);
	return cfg;
}

struct fixture *fixture_new(const char *main_cf, bool lmtp)
{
	struct slots_options slots = {.max_slots = 2, .idle_ns = NS_PER_SEC, .name = "test"};
	struct fixture *f = x_alloc(sizeof(*f));
	struct err err = {""};

	snprintf(f->dir, sizeof(f->dir), "/tmp/test_smtp.XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->cfg = load(f->dir, main_cf, lmtp);
	f->service.spool = open_spool(f->dir);
	f->service.slots = slots_new(&slots, &err);
	f->service.client = smtp_client_new(&f->service, f->cfg, lmtp, &err);
	assert_string_equal(err.text, "");
	f->service.client->cache = smtp_cache_new(f->service.slots);
	return f;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void fixture_free(struct fixture *f)
{
	smtp_cache_close(f->service.client->cache);
	assert_true(slots_stop(f->service.slots, deadline_in(5)));
	slots_free(&f->service.slots);
	smtp_cache_free(&f->service.client->cache);
	smtp_client_free(&f->service.client);
	spool_close(&f->service.spool);
	config_free(&f->cfg);
	pool_free(&f->pool);
	nftw(f->dir, remove_one, 10, FTW_DEPTH | FTW_PHYS);
	x_free(&f);
}

void fixture_message(struct fixture *f, size_t recipients, const char *content, int flags)
{
	struct spool_recipient to[1] = {{.address = "u@example.com"}};
	struct envelope e = {
		.sender = "sender@client.example", .recipients = to, .recipient_count = 1, .flags = flags};
	struct spool_writer *w = spool_create(f->service.spool, QUEUE_INCOMING, NULL);
	struct delivery_request *r = &f->request;

	pool_free(&f->pool);
	f->pool = pool_new(4096);
	assert_true(spool_content(w, str_c(content)));
	assert_true(spool_commit(&w, &e, NULL));
	*r = (struct delivery_request){.qid = e.id,
		.queue = QUEUE_INCOMING,
		.sender = e.sender,
		.flags = flags,
		.content_size = strlen(content),
		.recipients = f->recipients,
		.recipient_count = recipients};
	for (size_t i = 0; i < recipients; i++)
		f->recipients[i] = (struct delivery_recipient){
			.index = (uint32_t)i, .address = pool_printf(f->pool, "u%zu@example.com", i + 1)};
}

void fixture_deliver(struct fixture *f, const char *nexthop)
{
	struct agent_delivery d = {.service = &f->service, .request = &f->request, .pool = f->pool};

	memset(f->outcomes, 0, sizeof(f->outcomes));
	f->request.nexthop = nexthop;
	d.start_us = clock_real();
	d.cache = f->service.client->dns;
	smtp_deliver(&d);
	f->trouble = d.result.trouble;
	f->corrupt = d.result.corrupt;
}

/* ---- the server */

static void note(struct server *v, const char *text)
{
	pthread_mutex_lock(&v->lock);
	if (v->count < LINES_MAX)
		snprintf(v->said[v->count++], sizeof(v->said[0]), "%s", text);
	pthread_mutex_unlock(&v->lock);
}

static bool read_command(struct server *v, struct stream *s)
{
	enum line_end end;
	struct str line;
	char text[300];

	if (stream_line(s, 2000, &line, &end) != STREAM_OK)
		return false;
	snprintf(text, sizeof(text), STR_FMT, STR_ARG(line));
	note(v, text);
	return true;
}

static bool read_content(struct server *v, struct stream *s)
{
	enum line_end end;
	struct str line;

	v->content_size = 0;
	while (stream_line(s, 5000, &line, &end) == STREAM_OK) {
		if (str_is(line, "."))
			return true;
		v->content_size +=
			(size_t)snprintf(v->content + v->content_size, sizeof(v->content) - v->content_size,
				STR_FMT "%s", STR_ARG(line), end == LINE_CRLF ? "|" : "<LF>");
	}
	return false;
}

/* The rest of the script from the next connection on; NULL: it ended. */
static const char *const *converse(struct server *v, struct stream *s, const char *const *at)
{
	bool alive = true;

	for (; *at && strcmp(*at, "*next") != 0; at++) {
		if (!alive)
			continue;
		if (isdigit((unsigned char)**at) || **at == '>') {
			stream_puts(s, **at == '>' ? *at + 1 : *at);
			alive = stream_puts(s, "\r\n") && stream_flush(s);
		} else if (strcmp(*at, "*close") == 0) {
			alive = false;
		} else if (strcmp(*at, "*sleep") == 0) {
			sleep(2);
		} else {
			alive = strcmp(*at, ".") == 0 ? read_content(v, s) : read_command(v, s);
		}
	}
	return *at ? at + 1 : NULL;
}

static void *serve(void *arg)
{
	struct server *v = arg;
	const char *const *at = v->script;

	while (at && net_wait(v->fd, 1, deadline_in(5)) == 1) {
		struct net_addr peer;
		int fd = net_accept(v->fd, &peer);
		struct stream *s;

		if (fd < 0)
			continue;
		s = stream_new(fd);
		stream_set_timeout(s, 5, false);
		at = converse(v, s, at);
		stream_free(&s);
		note(v, "<end>");
	}
	return NULL;
}

struct server *server_start(const char *const *script)
{
	struct server *v = x_alloc(sizeof(*v));
	struct net_addr a;
	struct err err;

	assert_true(net_parse_ip(STR("127.0.0.1"), 0, &a));
	v->fd = net_listen(&a, 10, &err);
	assert_true(v->fd >= 0);
	assert_true(net_local(v->fd, &a));
	v->port = net_port(&a);
	v->script = script;
	pthread_mutex_init(&v->lock, NULL);
	assert_int_equal(pthread_create(&v->thread, NULL, serve, v), 0);
	return v;
}

const char *server_wait(struct server *v, char *out, size_t size)
{
	size_t n = 0;

	pthread_join(v->thread, NULL);
	out[0] = '\0';
	for (size_t i = 0; i < v->count && n < size; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%s", i ? "|" : "", v->said[i]);
	return out;
}

size_t server_count(struct server *v)
{
	size_t count;

	pthread_mutex_lock(&v->lock);
	count = v->count;
	pthread_mutex_unlock(&v->lock);
	return count;
}

void server_free(struct server *v)
{
	close(v->fd);
	pthread_mutex_destroy(&v->lock);
	x_free(&v);
}
