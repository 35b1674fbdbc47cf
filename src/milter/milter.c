/* A session: events go to one filter after the other. */
#include "milter/milter_private.h"

#include <arpa/inet.h>

#define PAYLOAD_MAX 65536

static const struct milter_verdict go_on = {MILTER_GO_ON, NULL};

struct milters *milters_new(const struct milter_set *set, const struct milter_host *host)
{
	struct milters *m = x_alloc(sizeof(*m));

	m->set = set;
	m->host = *host;
	buf_init(&m->connect, PAYLOAD_MAX);
	buf_init(&m->helo, PAYLOAD_MAX);
	m->count = set->count;
	m->filters = x_alloc((set->count + 1) * sizeof(*m->filters));
	for (size_t i = 0; i < m->count; i++) {
		m->filters[i] = (struct filter){.session = m, .spec = &set->specs[i]};
		buf_init(&m->filters[i].packet, WIRE_PACKET_MAX);
	}
	return m;
}

void milters_free(struct milters **mp)
{
	struct milters *m = *mp;

	if (!m)
		return;
	for (size_t i = 0; i < m->count; i++) {
		filter_close(&m->filters[i], true);
		buf_free(&m->filters[i].packet);
		x_free(&m->filters[i].reply);
	}
	buf_free(&m->connect);
	buf_free(&m->helo);
	x_free(&m->filters);
	x_free(mp);
}

/* e NULL: only what the filter has not been told yet of connection and name. */
static struct milter_verdict tell(struct filter *f, const struct filter_event *e)
{
	struct milter_verdict verdict;

	if (f->standing.action != MILTER_GO_ON)
		return f->standing;
	if (filter_asleep(f))
		return go_on;
	verdict = filter_catch_up(f);
	if (!e || verdict.action != MILTER_GO_ON || filter_asleep(f) || f->version < e->version)
		return verdict;
	f->told_mail = true;
	return filter_send(f, e);
}

static struct milter_verdict tell_all(struct milters *m, const struct filter_event *e)
{
	struct milter_verdict verdict = go_on;

	for (size_t i = 0; i < m->count && verdict.action == MILTER_GO_ON; i++)
		verdict = tell(&m->filters[i], e);
	return verdict;
}

static void put_port(struct buf *b, uint16_t port)
{
	port = htons(port);
	buf_add(b, &port, sizeof(port));
}

struct milter_verdict milters_connect(struct milters *m, const struct milter_peer *peer)
{
	char host[NET_HOST_MAX];

	wire_string(&m->connect, str_c(peer->name));
	if (peer->addr) {
		buf_putc(&m->connect, peer->addr->ss.ss_family == AF_INET6 ? '6' : '4');
		put_port(&m->connect, net_port(peer->addr));
		wire_string(&m->connect, str_c(net_host(peer->addr, host)));
	} else {
		buf_putc(&m->connect, 'U');
	}
	return tell_all(m, NULL);
}

struct milter_verdict milters_helo(struct milters *m, const char *name)
{
	buf_clear(&m->helo);
	wire_string(&m->helo, str_c(name));
	for (size_t i = 0; i < m->count; i++)
		m->filters[i].told_helo = false;
	return tell_all(m, NULL);
}

static void put_words(struct buf *payload, const char *const *words, size_t count)
{
	for (size_t i = 0; i < count; i++)
		wire_string(payload, str_c(words[i]));
}

/* What stood for the last message does not for this one: filters that were lost get a new chance. */
static void forget_passing(struct milters *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct filter *f = &m->filters[i];

		f->accepts_message = f->accepts_session;
		f->skip_body = false;
		if (f->passing)
			f->standing = go_on;
		f->passing = false;
	}
}

struct milter_verdict milters_mail(struct milters *m, const char *const *words, size_t count)
{
	struct buf payload = BUF(PAYLOAD_MAX);
	struct filter_event e = {
		.letter = CMD_MAIL, .macros = MACROS_MAIL, .unwanted = NO_MAIL, .mute = MUTE_MAIL};
	struct milter_verdict verdict;

	forget_passing(m);
	put_words(&payload, words, count);
	e.payload = buf_slice(&payload);
	verdict = tell_all(m, &e);
	buf_free(&payload);
	return verdict;
}

/* Nothing is decided about a recipient that we refused ourselves. */
static struct milter_verdict tell_refused(struct milters *m, const struct filter_event *e)
{
	for (size_t i = 0; i < m->count; i++) {
		struct filter *f = &m->filters[i];

		if (f->io && f->protocol & WANTS_REFUSED_RCPT)
			tell(f, e);
	}
	return go_on;
}

struct milter_verdict milters_rcpt(struct milters *m, const char *const *words, size_t count, bool refused)
{
	struct buf payload = BUF(PAYLOAD_MAX);
	struct filter_event e = {
		.letter = CMD_RCPT, .macros = MACROS_RCPT, .unwanted = NO_RCPT, .mute = MUTE_RCPT};
	struct milter_verdict verdict;

	put_words(&payload, words, count);
	e.payload = buf_slice(&payload);
	verdict = refused ? tell_refused(m, &e) : tell_all(m, &e);
	buf_free(&payload);
	return verdict;
}

struct milter_verdict milters_data(struct milters *m)
{
	const struct filter_event e = {.letter = CMD_DATA,
		.macros = MACROS_DATA,
		.unwanted = NO_DATA,
		.mute = MUTE_DATA,
		.version = 4,
		.payload = STR("")};

	return tell_all(m, &e);
}

struct milter_verdict milters_unknown(struct milters *m, const char *line)
{
	struct buf payload = BUF(PAYLOAD_MAX);
	struct filter_event e = {.letter = CMD_UNKNOWN,
		.macros = MACROS_UNKNOWN,
		.unwanted = NO_UNKNOWN,
		.mute = MUTE_UNKNOWN,
		.version = 3};
	struct milter_verdict verdict;

	wire_string(&payload, str_c(line));
	e.payload = buf_slice(&payload);
	verdict = tell_all(m, &e);
	buf_free(&payload);
	return verdict;
}

void milters_abort(struct milters *m)
{
	for (size_t i = 0; i < m->count; i++) {
		struct filter *f = &m->filters[i];

		if (f->io && f->told_mail) {
			wire_packet(f, CMD_ABORT, STR(""));
			stream_flush(f->io);
		}
		f->told_mail = false;
		if (!f->accepts_session)
			f->accepts_message = false;
	}
}

struct milter_verdict milters_message(struct milters *m, const struct milter_message *message)
{
	struct milter_verdict verdict = go_on, held = go_on;

	for (size_t i = 0; i < m->count; i++) {
		struct filter *f = &m->filters[i];

		if (f->standing.action != MILTER_GO_ON)
			verdict = f->standing;
		else if (!filter_asleep(f) && f->io)
			verdict = filter_message(f, message);
		if (verdict.action == MILTER_HOLD)
			held = verdict;
		else if (verdict.action != MILTER_GO_ON)
			return verdict;
	}
	return held;
}
