#include "smtp/smtp.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "smtp/smtp_cache.h"
#include "smtp/smtp_hosts.h"
#include "smtp/smtp_outcome.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_transaction.h"

#define SEPARATORS " \t\r\n,"

/* What is tried in turn: the next hops of the request, then smtp_fallback_relay. */
struct route {
	struct str rest, fallback;
};

static bool route_next(struct route *r, struct str *out)
{
	if (str_word(&r->rest, SEPARATORS, out))
		return true;
	r->rest = r->fallback;
	r->fallback = (struct str){"", 0};
	return str_word(&r->rest, SEPARATORS, out);
}

static bool route_ends(const struct route *r)
{
	struct route copy = *r;
	struct str word;

	return !route_next(&copy, &word);
}

/* The path of a UNIX socket may hold separators. */
static struct route route_of(const struct smtp_delivery *d)
{
	const char *nexthop = d->request->nexthop;
	struct route r = {str_c(nexthop), str_c(d->client->cfg->smtp_fallback_relay)};

	return r;
}

static const char *nexthop_key(const struct smtp_delivery *d)
{
	return d->request->nexthop;
}

static bool listed_for_reuse(const struct smtp_delivery *d)
{
	struct smtp_destination to;
	struct err err = {""};

	if (!d->client->cache_destinations)
		return false;
	if (matchlist_name(d->client->cache_destinations, str_c(d->request->nexthop), &err) == TABLE_FOUND)
		return true;
	if (!smtp_destination_parse(d->pool, str_c(d->request->nexthop), d->client->lmtp, 0, &to, &err) ||
		!to.host)
		return false;
	return matchlist_name(d->client->cache_destinations, str_c(to.host), &err) == TABLE_FOUND;
}

static bool may_keep(const struct smtp_delivery *d, const struct smtp_session *s)
{
	const struct config *cfg = d->client->cfg;
	int64_t age = clock_mono() - s->made;

	if (cfg->smtp_connection_cache_time_limit == 0 || service_retiring(d->client->service))
		return false;
	if (age >= cfg->smtp_connection_reuse_time_limit * NS_PER_SEC)
		return false;
	if (cfg->smtp_connection_reuse_count_limit > 0 &&
		s->uses + 1 >= cfg->smtp_connection_reuse_count_limit)
		return false;
	return (d->request->busy_destination && cfg->smtp_connection_cache_on_demand) || listed_for_reuse(d);
}

static void keep(struct smtp_delivery *d, struct smtp_session *s)
{
	const struct config *cfg = d->client->cfg;
	int64_t idle = clock_mono() + cfg->smtp_connection_cache_time_limit * NS_PER_SEC;
	int64_t oldest = s->made + cfg->smtp_connection_reuse_time_limit * NS_PER_SEC;

	if (!s->nexthop_key)
		s->nexthop_key = pool_strdup(s->pool, nexthop_key(d));
	smtp_cache_keep(d->client->cache, s, idle < oldest ? idle : oldest);
}

/* Runs the transaction and gives the session back or ends it. false: the session was stale. */
static bool use_session(struct smtp_delivery *d, struct smtp_session *s)
{
	bool keeping = may_keep(d, s);
	enum transaction_end end;

	d->agent->setup_us = clock_real() - d->agent->start_us;
	end = smtp_transaction(d, s, keeping);
	if (end == TRANSACTION_STALE) {
		smtp_session_free(&s);
		return false;
	}
	if (keeping && !s->failed && end == TRANSACTION_DONE)
		keep(d, s);
	else
		smtp_session_end(&s, end == TRANSACTION_QUIT);
	return true;
}

/* Greets on a new connection and uses it. */
static void use_new_session(struct smtp_delivery *d, struct smtp_session *s)
{
	int limit = d->client->cfg->smtp_mx_session_limit;
	struct dsn *why;

	if (!smtp_greet(s, d->pool, &why)) {
		smtp_fail_site(d, why, s);
		smtp_session_end(&s, false);
		return;
	}
	d->sessions++;
	if (limit > 0 && d->sessions >= limit)
		d->last_host = true;
	use_session(d, s);
}

static bool use_cached(struct smtp_delivery *d, struct smtp_session *s)
{
	int limit = d->client->cfg->smtp_mx_session_limit;
	bool was_last = d->last_host;

	if (!s)
		return false;
	d->last_host = was_last || (limit > 0 && d->sessions + 1 >= limit);
	if (use_session(d, s)) {
		d->sessions++;
		return true;
	}
	d->last_host = was_last;
	return false;
}

static void try_host(struct smtp_delivery *d, const struct smtp_host *host, bool detect_loop)
{
	struct smtp_client *c = d->client;
	struct smtp_session *s;
	struct dsn *why;

	if (use_cached(d, smtp_cache_by_address(c->cache, smtp_address_key(c, d->pool, host))))
		return;
	s = smtp_connect_host(c, d->pool, host, detect_loop, &why);
	if (s)
		use_new_session(d, s);
	else
		smtp_fail_site(d, why, NULL);
}

static void try_path(struct smtp_delivery *d, const char *path)
{
	struct smtp_client *c = d->client;
	struct smtp_session *s;
	struct dsn *why;

	if (use_cached(d, smtp_cache_by_address(c->cache, smtp_path_key(c, d->pool, path))))
		return;
	s = smtp_connect_path(c, d->pool, path, &why);
	if (s)
		use_new_session(d, s);
	else
		smtp_fail_site(d, why, NULL);
}

static bool sessions_used_up(const struct smtp_delivery *d)
{
	int limit = d->client->cfg->smtp_mx_session_limit;

	return limit > 0 && d->sessions >= limit;
}

static void try_hosts(struct smtp_delivery *d, const struct smtp_hosts *hosts, bool last)
{
	d->sessions = 0;
	for (size_t i = 0; i < hosts->count && !smtp_all_decided(d) && !sessions_used_up(d); i++) {
		d->last_host = last && i + 1 == hosts->count;
		try_host(d, &hosts->list[i], hosts->detect_loop);
		if (!last)
			d->last_host = false;
	}
}

/* false: no other destination may be tried. */
static bool try_destination(struct smtp_delivery *d, struct str text, bool last)
{
	struct smtp_destination to;
	struct smtp_hosts hosts;
	struct err err = {""};
	struct dsn *why;
	bool final = false;

	d->last_host = last;
	if (!smtp_destination_parse(d->pool, text, d->client->lmtp, d->client->port, &to, &err)) {
		log_warning("%s: %s", d->request->qid.text, err.text);
		smtp_fail_site(d, dsn_make(d->pool, DSN_DELAYED, "4.3.5", "%s", err.text), NULL);
	} else if (to.path) {
		try_path(d, to.path);
	} else if (smtp_hosts_find(d, &to, &hosts, &why, &final)) {
		try_hosts(d, &hosts, last || final);
	} else {
		d->why = why;
		d->why_relay = "none";
		d->why_trouble = why->action == DSN_DELAYED;
	}
	return !final;
}

/* Whether the message can only be sent with SMTPUTF8: an address or the header has bytes beyond ASCII. */
static bool header_has_8bit(struct smtp_delivery *d)
{
	const struct delivery_request *r = d->request;
	struct spool_reader *reader;
	struct err err;
	struct str piece;
	bool found = false;

	if (spool_open_content(service_spool(d->client->service), r->queue, &r->qid, &reader, &err) !=
		SPOOL_OK)
		return false;
	if (spool_read_content(reader, &piece, &err) == SPOOL_OK && piece.n > 0) {
		const char *end = memmem(piece.p, piece.n, "\r\n\r\n", 4);

		found = address_has_8bit(str_first(piece, end ? (size_t)(end - piece.p) : piece.n));
	}
	spool_reader_free(&reader);
	return found;
}

static bool needs_utf8(struct smtp_delivery *d)
{
	const struct delivery_request *r = d->request;

	if (!(r->flags & ENVELOPE_SMTPUTF8))
		return false;
	if (address_has_8bit(str_c(r->sender)))
		return true;
	for (size_t i = 0; i < r->recipient_count; i++)
		if (address_has_8bit(str_c(r->recipients[i].address)))
			return true;
	return r->flags & ENVELOPE_8BIT && header_has_8bit(d);
}

static bool has_control(const char *address)
{
	for (; *address; address++)
		if ((unsigned char)*address < ' ' || *address == 0x7f)
			return true;
	return false;
}

/* Line breaks in an address would be commands. */
static void refuse_controls(struct smtp_delivery *d)
{
	const struct delivery_request *r = d->request;
	struct dsn *why = dsn_make(d->pool, DSN_FAILED, "5.1.3", "bad address syntax: control character");

	if (has_control(r->sender))
		agent_outcome_rest(d->agent, why, "none", false);
	for (size_t i = 0; i < r->recipient_count; i++)
		if (has_control(r->recipients[i].address))
			agent_outcome(d->agent, i, why, "none", 0);
}

static void try_route(struct smtp_delivery *d)
{
	struct route route = route_of(d);
	struct str text;

	if (d->client->lmtp && str_starts(route.rest, STR("unix:"))) {
		try_destination(d, route.rest, true);
		return;
	}
	while (!smtp_all_decided(d) && route_next(&route, &text))
		if (!try_destination(d, text, route_ends(&route)))
			break;
}

void smtp_deliver(struct agent_delivery *agent)
{
	struct smtp_client *c = service_data(agent->service);
	struct smtp_delivery d = {.client = c,
		.agent = agent,
		.request = agent->request,
		.pool = agent->pool,
		.dns = agent->cache};

	d.progress = pool_alloc(d.pool, d.request->recipient_count * sizeof(*d.progress) + 1);
	refuse_controls(&d);
	if (smtp_all_decided(&d))
		return;
	d.utf8 = needs_utf8(&d);
	use_cached(&d, smtp_cache_by_nexthop(c->cache, nexthop_key(&d)));
	if (!agent->result.corrupt)
		try_route(&d);
	if (!agent->result.corrupt)
		smtp_fail_rest(&d);
}
