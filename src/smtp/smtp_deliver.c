#include "smtp/smtp.h"

#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "smtp/smtp_cache.h"
#include "smtp/smtp_dialogue.h"
#include "smtp/smtp_hosts.h"
#include "smtp/smtp_notify.h"
#include "smtp/smtp_outcome.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_tls.h"
#include "smtp/smtp_transaction.h"

#define SEPARATORS " \t\r\n,"

/* What is tried in turn: the next hops of the request, then smtp_fallback_relay. */
struct route {
	struct str rest, fallback;
	bool fell_back; /* the last one was of smtp_fallback_relay */
};

static bool route_next(struct route *r, struct str *out)
{
	if (str_word(&r->rest, SEPARATORS, out))
		return true;
	r->fell_back = true;
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
	struct route r = {str_c(nexthop), str_c(d->client->cfg->smtp_fallback_relay), false};

	return r;
}

/* A destination under trial: what it is, what is demanded of its servers, and what its connections are found
 * by. */
struct trial {
	struct smtp_destination to;
	struct smtp_tls_policy policy;
	const char *text; /* as written */
	const char *key;
	const char *login;    /* of the host under trial, for its key */
	struct net_addr used; /* the host that a connection found by the key led to; len 0: none did */
	bool last;	      /* no other destination will be tried */
};

static bool listed_for_reuse(const struct smtp_delivery *d, const struct trial *t)
{
	struct matchlist *list = d->client->cache_destinations;
	struct err err = {""};

	return list && (matchlist_name(list, str_c(t->text), &err) == TABLE_FOUND ||
			       (t->to.host && matchlist_name(list, str_c(t->to.host), &err) == TABLE_FOUND));
}

static bool may_keep(const struct smtp_delivery *d, const struct smtp_session *s, const struct trial *t)
{
	const struct config *cfg = d->client->cfg;
	int64_t age = clock_mono() - s->made;

	if (cfg->smtp_connection_cache_time_limit == 0 || service_retiring(d->client->service))
		return false;
	if (age >= cfg->smtp_connection_reuse_time_limit * NS_PER_SEC)
		return false;
	if (cfg->smtp_connection_reuse_count_limit > 0 &&
		s->uses + 1 > cfg->smtp_connection_reuse_count_limit)
		return false;
	return (d->request->busy_destination && cfg->smtp_connection_cache_on_demand) ||
	       listed_for_reuse(d, t);
}

static void keep(struct smtp_delivery *d, struct smtp_session *s, const struct trial *t)
{
	const struct config *cfg = d->client->cfg;
	int64_t idle = clock_mono() + cfg->smtp_connection_cache_time_limit * NS_PER_SEC;
	int64_t oldest = s->made + cfg->smtp_connection_reuse_time_limit * NS_PER_SEC;

	if (!s->nexthop_key)
		s->nexthop_key = pool_strdup(s->pool, t->key);
	s->qid = "";
	smtp_cache_keep(d->client->cache, s, idle < oldest ? idle : oldest);
}

/* A server without a feature that this message needs. */
static bool lacks(const struct smtp_delivery *d, const struct smtp_session *s)
{
	return d->utf8 && !(s->features & FEATURE_SMTPUTF8);
}

/* Runs the transaction and gives the session back or ends it. false: the session was stale. */
static bool use_session(struct smtp_delivery *d, struct smtp_session *s, const struct trial *t)
{
	bool keeping = may_keep(d, s, t) && !lacks(d, s);
	enum transaction_end end;

	d->agent->setup_us = clock_real() - d->agent->start_us;
	end = smtp_transaction(d, s, keeping);
	if (end == TRANSACTION_STALE) {
		smtp_session_free(&s);
		return false;
	}
	smtp_notify(d, s);
	if (keeping && !s->failed && !s->leaving && !s->out_of_protocol && end == TRANSACTION_DONE)
		keep(d, s, t);
	else
		smtp_session_end(&s, end == TRANSACTION_QUIT);
	return true;
}

static bool use_cached(struct smtp_delivery *d, struct smtp_session *s, const struct trial *t)
{
	int limit = d->client->cfg->smtp_mx_session_limit;
	bool was_last = d->last_host;

	if (!s)
		return false;
	s->qid = d->request->qid.text;
	if (lacks(d, s)) {
		keep(d, s, t);
		return false;
	}
	d->last_host = was_last || (t->last && limit > 0 && d->sessions + 1 >= limit);
	if (use_session(d, s, t)) {
		d->sessions++;
		return true;
	}
	d->last_host = was_last;
	return false;
}

/* Where TLS is a wish only, mail that waited for a while goes without it; a probe carries nothing. */
static bool may_go_plain(const struct smtp_delivery *d, const struct trial *t)
{
	int64_t age = clock_real() - d->request->arrival_us;

	return t->policy.level == SMTP_TLS_MAY &&
	       (d->request->flags & ENVELOPE_PROBE ||
		       age >= d->client->cfg->minimal_backoff_time * US_PER_SEC);
}

/* Greets on a new connection and uses it. false: TLS failed, and the caller may try without it. */
static bool use_new_session(struct smtp_delivery *d, struct smtp_session *s, const struct trial *t)
{
	int limit = d->client->cfg->smtp_mx_session_limit;
	enum smtp_greeted end;
	struct dsn *why;

	end = smtp_greet(s, d->pool, d->request, &t->policy, &why);
	if (end == SMTP_GREETED && !smtp_sasl_login(d, s, t->text, &why))
		end = SMTP_NOT_GREETED;
	if (end == SMTP_GREETED) {
		d->sessions++;
		if (t->last && limit > 0 && d->sessions >= limit)
			d->last_host = true;
		use_session(d, s, t);
		return true;
	}
	if (end == SMTP_NO_TLS && may_go_plain(d, t)) {
		smtp_session_free(&s);
		return false;
	}
	if (end == SMTP_NO_TLS && t->policy.level == SMTP_TLS_MAY)
		smtp_fail_message(d, why, s);
	else
		smtp_fail_site(d, why, s);
	smtp_notify(d, s);
	smtp_session_end(&s, false);
	return true;
}

static void look_closer(struct smtp_session *s, const struct smtp_host *host, const char *nexthop)
{
	char address[NET_HOST_MAX];

	smtp_dialogue_begin(s, host ? net_host(&host->address, address) : NULL, nexthop);
}

static struct smtp_session *connect_host(
	struct smtp_delivery *d, const struct smtp_host *host, bool detect_loop, const struct trial *t)
{
	struct smtp_session *s;
	struct dsn *why;

	s = host ? smtp_connect_host(d->client, d->pool, host, detect_loop, &why)
		 : smtp_connect_path(d->client, d->pool, t->to.path, &why);
	if (s)
		s->qid = d->request->qid.text;
	if (s)
		look_closer(s, host, t->to.host);
	if (s)
		s->address_key = host ? smtp_address_key(s->pool, host, &t->policy, t->login)
				      : smtp_path_key(s->pool, t->to.path, &t->policy, t->login);
	else
		smtp_fail_site(d, why, NULL);
	return s;
}

/* A session from the cache, else a new one, if need be without TLS. */
static void try_under(
	struct smtp_delivery *d, const struct smtp_host *host, bool detect_loop, const struct trial *t)
{
	const char *key = host ? smtp_address_key(d->pool, host, &t->policy, t->login)
			       : smtp_path_key(d->pool, t->to.path, &t->policy, t->login);
	struct smtp_session *s;
	struct trial plain = *t;

	if (use_cached(d, smtp_cache_by_address(d->client->cache, key), t))
		return;
	s = connect_host(d, host, detect_loop, t);
	if (!s || use_new_session(d, s, t))
		return;
	plain.policy.level = SMTP_TLS_NONE;
	s = connect_host(d, host, detect_loop, &plain);
	if (s)
		use_new_session(d, s, &plain);
}

/* host NULL: the destination's UNIX socket. */
static void try_host(struct smtp_delivery *d, const struct smtp_host *host, const struct smtp_hosts *of,
	const struct trial *t)
{
	struct trial here = *t;
	struct dsn *why;

	if ((!host || smtp_tls_site(d, host->name, &here.policy, &why)) &&
		smtp_dane(d, host, of && of->secure, &here.policy, &why) &&
		smtp_sasl_key(d, host ? host->name : d->client->cfg->myhostname, t->text, &here.login, &why))
		try_under(d, host, of && of->detect_loop, &here);
	else
		smtp_fail_site(d, why, NULL);
}

static bool sessions_used_up(const struct smtp_delivery *d)
{
	int limit = d->client->cfg->smtp_mx_session_limit;

	return limit > 0 && d->sessions >= limit;
}

/* One that a connection of the cache led to has said what it had to say. */
static void drop_used(struct smtp_hosts *hosts, const struct net_addr *used)
{
	size_t n = 0;

	for (size_t i = 0; i < hosts->count; i++)
		if (used->len == 0 || !net_same_host(&hosts->list[i].address, used))
			hosts->list[n++] = hosts->list[i];
	hosts->count = n;
}

static void try_hosts(struct smtp_delivery *d, struct smtp_hosts *hosts, const struct trial *t)
{
	drop_used(hosts, &t->used);
	for (size_t i = 0; i < hosts->count && !smtp_all_decided(d) && !sessions_used_up(d); i++) {
		d->last_host = t->last && i + 1 == hosts->count;
		try_host(d, &hosts->list[i], hosts, t);
	}
}

/* No host of this destination was tried. */
static void not_tried(struct smtp_delivery *d, const struct dsn *why)
{
	d->why = why;
	d->why_relay = "none";
	d->why_trouble = why->action == DSN_DELAYED;
}

/* A host of ours that cannot be found is a mistake in the configuration, and no reason to return mail. */
static void not_found(const struct smtp_delivery *d, const struct route *route, struct dsn *why)
{
	if (!route->fell_back || why->action != DSN_FAILED)
		return;
	log_warning(
		"%s configuration problem", d->client->lmtp ? "lmtp_fallback_relay" : "smtp_fallback_relay");
	why->action = DSN_DELAYED;
	snprintf(why->status, sizeof(why->status), "4.3.5");
}

static bool begin_trial(struct smtp_delivery *d, struct str text, struct trial *t)
{
	struct err err = {""};
	const char *login;
	struct dsn *why;

	t->text = pool_strndup(d->pool, text.p, text.n);
	if (!smtp_destination_parse(d->pool, text, d->client->lmtp,
		    d->client->cfg->enable_idna2003_compatibility, d->client->port, &t->to, &err)) {
		log_warning("%s: %s", d->request->qid.text, err.text);
		not_tried(d, dsn_make(d->pool, DSN_DELAYED, "4.3.5", "%s", err.text));
		return false;
	}
	if (!smtp_tls_policy(d, text, &t->to, &t->policy, &why) ||
		!smtp_sasl_key(d, NULL, t->text, &login, &why)) {
		not_tried(d, why);
		return false;
	}
	t->key = pool_printf(d->pool, "%s%s%s", t->text, smtp_tls_key(d->pool, &t->policy, NULL), login);
	return true;
}

/* A connection that was made for the same destination. */
static bool use_known(struct smtp_delivery *d, struct trial *t)
{
	struct smtp_session *s = smtp_cache_by_nexthop(d->client->cache, t->key);

	if (s && !t->to.path && !net_peer(stream_fd(s->stream), &t->used))
		t->used.len = 0;
	if (use_cached(d, s, t))
		return true;
	t->used.len = 0;
	return false;
}

/* false: no other destination may be tried. */
static bool try_destination(struct smtp_delivery *d, struct str text, const struct route *route)
{
	struct smtp_hosts hosts;
	bool final = false;
	struct dsn *why;
	struct trial t = {.last = route_ends(route)};

	d->sessions = 0;
	d->last_host = false;
	if (!begin_trial(d, text, &t))
		return true;
	if (use_known(d, &t) && (smtp_all_decided(d) || d->agent->result.corrupt || t.to.path))
		return true;
	d->last_host = t.last;
	if (t.to.path) {
		try_host(d, NULL, NULL, &t);
	} else if (smtp_hosts_find(d, &t.to, &hosts, &why, &final)) {
		t.last = t.last || final;
		try_hosts(d, &hosts, &t);
	} else {
		not_found(d, route, why);
		not_tried(d, why);
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

		found = str_has_8bit(str_first(piece, end ? (size_t)(end - piece.p) : piece.n));
	}
	spool_reader_free(&reader);
	return found;
}

static bool needs_utf8(struct smtp_delivery *d)
{
	const struct delivery_request *r = d->request;

	if (!(r->flags & ENVELOPE_SMTPUTF8))
		return false;
	if (str_has_8bit(str_c(r->sender)))
		return true;
	for (size_t i = 0; i < r->recipient_count; i++)
		if (str_has_8bit(str_c(r->recipients[i].address)))
			return true;
	return r->flags & ENVELOPE_8BIT && header_has_8bit(d);
}

/* Line breaks in an address would be commands. */
static void refuse_controls(struct smtp_delivery *d)
{
	const struct delivery_request *r = d->request;
	struct dsn *why = dsn_make(d->pool, DSN_FAILED, "5.1.3", "bad address syntax: control character");

	if (str_has_control(str_c(r->sender)))
		agent_outcome_rest(d->agent, why, "none", false);
	for (size_t i = 0; i < r->recipient_count; i++)
		if (str_has_control(str_c(r->recipients[i].address)))
			agent_outcome(d->agent, i, why, "none", 0);
}

static void try_route(struct smtp_delivery *d)
{
	struct route route = route_of(d);
	struct str text;

	if (d->client->lmtp && str_starts(route.rest, STR("unix:"))) {
		text = route.rest;
		route = (struct route){.fell_back = false};
		try_destination(d, text, &route);
		return;
	}
	while (!smtp_all_decided(d) && !d->agent->result.corrupt && route_next(&route, &text))
		if (!try_destination(d, text, &route))
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
	d.whose = pool_alloc(d.pool, d.request->recipient_count * sizeof(*d.whose) + 1);
	refuse_controls(&d);
	if (smtp_all_decided(&d))
		return;
	d.utf8 = needs_utf8(&d);
	try_route(&d);
	if (!agent->result.corrupt)
		smtp_fail_rest(&d);
}
