/* Where the mail for an address goes: the class's transport, then transport_maps, then relocated_maps. */
#include "mail/address.h"
#include "rewrite/resolver.h"

#define RESULT_MAX 2000 /* bytes of "transport:nexthop" */

struct route {
	struct resolver *r;
	const struct resolve_trace *trace; /* or NULL */
	const char *sender;
	struct str domain;
	struct pool *pool;
	struct err *err;
	struct str transport, nexthop;
};

static void route_set(struct route *t, struct str spec)
{
	ptrdiff_t colon = str_find(spec, ':');

	t->transport = colon < 0 ? spec : str_first(spec, (size_t)colon);
	t->nexthop = colon < 0 ? STR("") : str_from(spec, (size_t)colon + 1);
}

static void note(struct route *t, const char *step, const char *parameter, struct str key, struct str value)
{
	resolve_record(t->trace, step, parameter, key, value);
}

static struct str keep(struct route *t, const struct buf *value)
{
	return str_c(pool_strdup(t->pool, buf_cstr(value)));
}

/* A sender's own setting: its address, then @domain. DUNNO counts as not found. */
static enum table_status ask_sender(struct route *t, const char *step, const char *parameter,
	struct maps *maps, const char *null_key, struct str *result)
{
	struct buf value = BUF(RESULT_MAX);
	enum table_status status;

	if (maps_empty(maps))
		return TABLE_NOT_FOUND;
	if (t->sender[0])
		status = maps_lookup_address(maps, str_c(t->sender), t->r->rules->recipient_delimiter, false,
			&value, NULL, t->err);
	else
		status = maps_lookup(maps, str_c(null_key), &value, t->err);
	if (status == TABLE_FOUND && str_case_is(buf_slice(&value), "DUNNO"))
		status = TABLE_NOT_FOUND;
	note(t, step, parameter, str_c(t->sender[0] ? t->sender : null_key),
		status == TABLE_FOUND ? buf_slice(&value) : STR(""));
	if (status == TABLE_FOUND)
		*result = keep(t, &value);
	buf_free(&value);
	return status;
}

static bool is_trouble(enum table_status status)
{
	return status != TABLE_FOUND && status != TABLE_NOT_FOUND;
}

/* A next hop that the transport did not name: the sender's relay host, the relay host, the domain. */
static enum table_status choose_relayhost(struct route *t)
{
	const struct config *cfg = t->r->rules;
	enum table_status status;

	if (t->nexthop.n)
		return TABLE_FOUND;
	status = ask_sender(t, "next hop", "sender_dependent_relayhost_maps", t->r->sender_relayhost_maps,
		cfg->empty_address_relayhost_maps_lookup_key, &t->nexthop);
	if (is_trouble(status))
		return status;
	if (status == TABLE_NOT_FOUND) {
		t->nexthop = str_c(cfg->relayhost);
		note(t, "next hop", "relayhost", STR(""), t->nexthop);
	}
	return TABLE_FOUND;
}

static enum table_status choose_default(struct route *t)
{
	const struct config *cfg = t->r->rules;
	struct str spec = str_c(cfg->default_transport);
	enum table_status status = ask_sender(t, "transport", "sender_dependent_default_transport_maps",
		t->r->sender_transport_maps, cfg->empty_address_default_transport_maps_lookup_key, &spec);

	if (is_trouble(status))
		return status;
	if (status == TABLE_NOT_FOUND)
		note(t, "transport", "default_transport", STR(""), spec);
	route_set(t, spec);
	if (t->transport.n == 0) {
		err_set(t->err, "sender_dependent_default_transport_maps: null transport is not allowed");
		return TABLE_MISCONFIGURED;
	}
	return choose_relayhost(t);
}

static void route_by_parameter(struct route *t, const char *parameter, const char *spec)
{
	note(t, "transport", parameter, STR(""), str_c(spec));
	route_set(t, str_c(spec));
}

const char *route_unknown_alias(const struct config *rules)
{
	return rules->show_user_unknown_table_name ? "5.1.1 User unknown in virtual alias table"
						   : "5.1.1 User unknown";
}

static enum table_status choose_by_class(struct route *t, enum address_class class)
{
	const struct config *cfg = t->r->rules;

	switch (class) {
	case CLASS_LOCAL:
		route_by_parameter(t, "local_transport", cfg->local_transport);
		return TABLE_FOUND;
	case CLASS_VIRTUAL_ALIAS:
		t->transport = str_c(cfg->error_service_name);
		t->nexthop = str_c(route_unknown_alias(cfg));
		note(t, "transport", "virtual_alias_domains", t->domain, t->transport);
		return TABLE_FOUND;
	case CLASS_VIRTUAL_MAILBOX:
		route_by_parameter(t, "virtual_transport", cfg->virtual_transport);
		return TABLE_FOUND;
	case CLASS_RELAY:
		route_by_parameter(t, "relay_transport", cfg->relay_transport);
		return choose_relayhost(t);
	case CLASS_DEFAULT:
		break;
	}
	return choose_default(t);
}

typedef enum table_status ask_fn(struct maps *m, struct str key, struct buf *value, struct err *err);

static enum table_status ask_key(struct route *t, ask_fn *ask, struct str key, struct buf *value)
{
	enum table_status status = ask(t->r->transport_maps, key, value, t->err);

	note(t, "transport", "transport_maps", key, buf_slice(value));
	return status;
}

/* The domain and its parents in transport_maps, and what stands for every domain. */
static enum table_status ask_domains(struct route *t, struct buf *value)
{
	bool dotted = !t->r->transport_parents;
	enum table_status status = ask_key(t, maps_lookup_part, t->domain, value);
	struct str name = t->domain;

	while (status == TABLE_NOT_FOUND && name.n && name.p[0] != '[') {
		ptrdiff_t dot = str_find(str_from(name, 1), '.');

		if (dot < 0)
			break;
		name = str_from(name, (size_t)dot + 1 + !dotted);
		status = ask_key(t, maps_lookup_part, name, value);
	}
	if (status == TABLE_NOT_FOUND)
		status = ask_key(t, maps_lookup, STR("*"), value);
	return status;
}

bool route_is_refusal(const struct config *rules, struct str transport)
{
	return str_is(transport, rules->error_service_name) || str_eq(transport, STR("retry"));
}

static void apply_transport(struct route *t, struct str spec)
{
	struct route found = {0};

	route_set(&found, spec);
	if (found.transport.n) {
		t->transport = found.transport;
		t->nexthop = found.nexthop;
		if (str_trim(t->nexthop).n == 0 && route_is_refusal(t->r->rules, t->transport))
			t->nexthop = STR("Address is undeliverable");
	} else if (found.nexthop.n) {
		t->nexthop = found.nexthop;
	}
}

static enum table_status consult_transport_maps(struct route *t, const char *recipient)
{
	struct buf value = BUF(RESULT_MAX);
	enum table_status status;

	if (maps_empty(t->r->transport_maps))
		return TABLE_NOT_FOUND;
	status = maps_lookup_user(t->r->transport_maps, str_c(recipient), t->r->rules->recipient_delimiter,
		&value, NULL, t->err);
	note(t, "transport", "transport_maps", str_c(recipient), buf_slice(&value));
	if (status == TABLE_NOT_FOUND)
		status = ask_domains(t, &value);
	if (status == TABLE_FOUND)
		apply_transport(t, keep(t, &value));
	buf_free(&value);
	return status;
}

static enum table_status consult_relocated_maps(struct route *t, const char *recipient)
{
	struct buf value = BUF(RESULT_MAX);
	enum table_status bare, status;

	if (maps_empty(t->r->relocated_maps))
		return TABLE_NOT_FOUND;
	bare = local_names_are_bare(&t->r->local_class, t->domain, t->err);
	if (is_trouble(bare))
		return bare;
	status = maps_lookup_address(t->r->relocated_maps, str_c(recipient), t->r->rules->recipient_delimiter,
		bare == TABLE_FOUND, &value, NULL, t->err);
	note(t, "relocated", "relocated_maps", str_c(recipient), buf_slice(&value));
	if (status == TABLE_FOUND) {
		t->transport = str_c(t->r->rules->error_service_name);
		t->nexthop = str_c(pool_printf(t->pool, "5.1.6 User has moved to %s", buf_cstr(&value)));
	}
	buf_free(&value);
	return status;
}

enum table_status route_choose(struct resolver *r, const struct resolve_trace *trace, const char *sender,
	struct str domain, struct pool *pool, struct resolved *out, struct err *err)
{
	struct route t = {
		.r = r, .trace = trace, .sender = sender, .domain = domain, .pool = pool, .err = err};
	enum table_status status = choose_by_class(&t, out->class);

	if (status != TABLE_FOUND)
		return status;
	if (out->class != CLASS_VIRTUAL_ALIAS)
		status = consult_transport_maps(&t, out->recipient);
	if (!is_trouble(status))
		status = consult_relocated_maps(&t, out->recipient);
	if (is_trouble(status))
		return status;
	if (t.nexthop.n == 0) {
		t.nexthop = domain;
		note(&t, "next hop", NULL, STR(""), domain);
	}
	out->transport = pool_strndup(pool, t.transport.p, t.transport.n);
	out->nexthop = pool_strndup(pool, t.nexthop.p, t.nexthop.n);
	return TABLE_FOUND;
}
