/* Reading a message into the active queue and finding out where its recipients' mail goes; on a worker. */
#include "base/clock.h"
#include "base/log.h"
#include "mail/address.h"
#include "mail/event.h"
#include "qmgr/qmgr.h"

static void own_decision(struct message *m, uint32_t index, const struct dsn *dsn, enum recipient_state state)
{
	m->decisions[m->decided++] = (struct decision){index, dsn, state, true};
	m->env->recipients[index].last = dsn;
	m->env->recipients[index].state = state;
}

/* "transport:nexthop" of a content filter; the next hop may be left out: default_filter_nexthop, else the
 * recipient's domain. */
static void filter_route(struct message *m, struct route *r, const char *filter)
{
	struct str rest = str_c(filter);
	ptrdiff_t colon = str_find(rest, ':');
	struct str transport = colon < 0 ? rest : str_first(rest, (size_t)colon);
	struct str nexthop = colon < 0 ? STR("") : str_from(rest, (size_t)colon + 1);

	if (nexthop.n == 0)
		nexthop = str_c(m->qmgr->cfg->default_filter_nexthop);
	if (nexthop.n == 0)
		nexthop = address_domain(str_c(r->address));
	r->transport = pool_strndup(m->pool, transport.p, transport.n);
	r->nexthop = pool_strndup(m->pool, nexthop.p, nexthop.n);
}

/* A sender of probes that changes with the time is nobody's address. */
static bool answers_probe(const struct message *m, const char *address)
{
	const struct config *cfg = m->qmgr->cfg;

	return cfg->address_verify_sender_ttl > 0 && verify_is_sender(cfg, address, clock_real());
}

/* Notices to the postmaster that nobody takes end here, where their sender is an address of this host. */
static bool ends_notice(const struct message *m, const struct resolved *to)
{
	return to->class == CLASS_LOCAL &&
	       str_case_is(address_local(str_c(to->recipient)), m->qmgr->cfg->double_bounce_sender);
}

static void discard(struct message *m, uint32_t index)
{
	own_decision(m, index,
		dsn_make(m->pool, DSN_DELIVERED, "2.0.0", "undeliverable postmaster notification discarded"),
		RECIPIENT_DONE);
}

/* postsuper -e: no more attempts. Its return tells why it was delayed, if it was. */
static bool expired_by_operator(struct message *m, uint32_t index)
{
	const struct dsn *last = m->env->recipients[index].last;

	if (!(m->env->flags & ENVELOPE_EXPIRED))
		return false;
	if (last == NULL)
		last = dsn_make(m->pool, DSN_DELAYED, "4.7.0", "message is administratively expired");
	own_decision(m, index, last, RECIPIENT_PENDING);
	return true;
}

/* The address as the sender gave it, for logs and reports, when resolving changes it. */
static void keep_original(struct spool_recipient *rcpt, const char *resolved)
{
	if (!rcpt->original && strcmp(rcpt->address, resolved) != 0)
		rcpt->original = rcpt->address;
}

static struct resolver *resolver_for(const struct message *m)
{
	return message_is_probe(m) ? m->qmgr->probe_resolver : m->qmgr->resolver;
}

static bool probe_refused(struct message *m, uint32_t index)
{
	if (m->unproved)
		own_decision(m, index,
			dsn_make(m->pool, DSN_DELAYED, "4.3.2", "too many address verification requests"),
			RECIPIENT_PENDING);
	return m->unproved;
}

/* false: there is nowhere to go, which is decided. */
static bool address_route(struct message *m, struct route *r)
{
	struct spool_recipient *rcpt = &m->env->recipients[r->index];
	struct resolved to;
	struct err err = {""};

	if (resolve_address(resolver_for(m), m->env->sender, rcpt->address, m->pool, &to, &err) !=
		TABLE_FOUND) {
		log_warning("%s: cannot resolve <%s>: %s", m->id.text, rcpt->address, err.text);
		own_decision(m, r->index, dsn_make(m->pool, DSN_DELAYED, "4.3.0", "address resolver failure"),
			RECIPIENT_PENDING);
		return false;
	}
	keep_original(rcpt, to.recipient);
	rcpt->address = r->address = to.recipient;
	if (ends_notice(m, &to)) {
		discard(m, r->index);
		return false;
	}
	r->transport = to.transport;
	r->nexthop = to.nexthop;
	return true;
}

static void find_route(struct message *m, uint32_t index, const char *filter)
{
	const char *address = m->env->recipients[index].address;
	struct route *r = &m->routes[m->route_count];

	if (probe_refused(m, index) || expired_by_operator(m, index))
		return;
	if (answers_probe(m, address)) {
		discard(m, index);
		return;
	}
	*r = (struct route){.index = index, .address = address};
	if (filter != NULL)
		filter_route(m, r, filter);
	else if (!address_route(m, r))
		return;
	m->route_count++;
}

static int compare_routes(const void *pa, const void *pb)
{
	const struct route *a = pa, *b = pb;
	int order = strcmp(a->transport, b->transport);

	if (order == 0)
		order = strcmp(a->nexthop, b->nexthop);
	if (order == 0)
		order = strcmp(a->address, b->address);
	return order != 0 ? order : (a->index > b->index) - (a->index < b->index);
}

static size_t pending_recipients(const struct envelope *e)
{
	size_t n = 0;

	for (size_t i = 0; i < e->recipient_count; i++)
		n += e->recipients[i].state == RECIPIENT_PENDING;
	return n;
}

static void log_active(const struct message *m, size_t pending)
{
	EVENT_LOG(ACTIVE, ev_text("qid", m->id.text), ev_address("from", m->env->sender),
		ev_int("size", (int64_t)m->env->content_size), ev_int("nrcpt", (int64_t)pending));
}

static void find_routes(struct message *m)
{
	const char *filter = envelope_attribute(m->env, "content_filter");
	size_t pending = pending_recipients(m->env);

	log_active(m, pending);
	if (filter != NULL && *filter == '\0')
		filter = NULL;
	m->routes = pool_alloc(m->pool, (pending + 1) * sizeof(*m->routes));
	m->decisions = pool_alloc(m->pool, (pending + 1) * sizeof(*m->decisions));
	m->owners = pool_alloc(m->pool, (m->env->recipient_count + 1) * sizeof(struct entry *));
	for (size_t i = 0; i < m->env->recipient_count; i++)
		if (m->env->recipients[i].state == RECIPIENT_PENDING)
			find_route(m, (uint32_t)i, filter);
	if (m->route_count > 1)
		qsort(m->routes, m->route_count, sizeof(*m->routes), compare_routes);
}

/* A damaged file is put aside for the operator, at once and for good. */
static void put_aside(struct message *m)
{
	struct err err = {""};

	log_warning("%s: queue file is damaged: %s", m->id.text, m->err.text);
	if (spool_move(m->qmgr->spool, m->queue, QUEUE_CORRUPT, &m->id, &err))
		log_warning("saving corrupt file \"%s\" from queue \"%s\" to queue \"corrupt\"", m->id.text,
			spool_queue_name(m->queue));
	else
		log_error("%s: cannot move it to the corrupt queue: %s", m->id.text, err.text);
}

void load_run(struct work *work)
{
	struct message *m = container_of(work, struct message, work);

	m->status = spool_load(m->qmgr->spool, m->queue, &m->id, m->pool, &m->env, &m->err);
	if (m->status == SPOOL_OK) {
		if (message_is_probe(m))
			probe_allowed(m);
		find_routes(m);
	} else if (m->status == SPOOL_CORRUPT)
		put_aside(m);
	else if (m->status == SPOOL_TROUBLE)
		log_warning("%s: cannot read queue file: %s", m->id.text, m->err.text);
}
