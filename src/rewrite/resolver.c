#include "rewrite/resolver.h"

#include "base/mem.h"

struct list_row {
	size_t offset;
	const char *parameter, *value;
	int flags;
};

static bool open_lists(struct resolver *r, struct err *err)
{
	const struct config *cfg = r->cfg;
	const char *parents = cfg->parent_domain_matches_subdomains;
	const struct list_row rows[] = {
		{offsetof(struct resolver, local_domains), "mydestination", cfg->mydestination, MATCH_EXACT},
		{offsetof(struct resolver, alias_domains), "virtual_alias_domains",
			cfg->virtual_alias_domains, MATCH_EXACT},
		{offsetof(struct resolver, mailbox_domains), "virtual_mailbox_domains",
			cfg->virtual_mailbox_domains, MATCH_EXACT},
		{offsetof(struct resolver, relay_domains), "relay_domains", cfg->relay_domains,
			matchlist_parent_flag(parents, "relay_domains")},
	};

	r->transport_parents = matchlist_parent_flag(parents, "transport_maps") != 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct matchlist *list = matchlist_open(rows[i].parameter, rows[i].value, rows[i].flags, err);

		if (!list)
			return false;
		*(struct matchlist **)(void *)((char *)r + rows[i].offset) = list;
	}
	return true;
}

static bool open_maps(struct resolver *r, struct err *err)
{
	const struct config *cfg = r->cfg;
	const int safe = TABLE_FOLD | TABLE_NO_SUBST;
	const struct list_row rows[] = {
		{offsetof(struct resolver, transport_maps), "transport_maps", cfg->transport_maps, safe},
		{offsetof(struct resolver, sender_relayhost_maps), "sender_dependent_relayhost_maps",
			cfg->sender_dependent_relayhost_maps, safe},
		{offsetof(struct resolver, sender_transport_maps), "sender_dependent_default_transport_maps",
			cfg->sender_dependent_default_transport_maps, safe},
		{offsetof(struct resolver, relocated_maps), "relocated_maps", cfg->relocated_maps,
			TABLE_FOLD},
		{offsetof(struct resolver, local_recipients), "local_recipient_maps",
			cfg->local_recipient_maps, TABLE_FOLD},
		{offsetof(struct resolver, relay_recipients), "relay_recipient_maps",
			cfg->relay_recipient_maps, TABLE_FOLD},
		{offsetof(struct resolver, mailbox_maps), "virtual_mailbox_maps", cfg->virtual_mailbox_maps,
			TABLE_FOLD},
		{offsetof(struct resolver, alias_maps), "virtual_alias_maps", cfg->virtual_alias_maps,
			TABLE_FOLD},
		{offsetof(struct resolver, canonical_maps), "canonical_maps", cfg->canonical_maps,
			TABLE_FOLD},
		{offsetof(struct resolver, recipient_canonical_maps), "recipient_canonical_maps",
			cfg->recipient_canonical_maps, TABLE_FOLD},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct maps *maps = maps_open(rows[i].parameter, rows[i].value, rows[i].flags, err);

		if (!maps)
			return false;
		*(struct maps **)(void *)((char *)r + rows[i].offset) = maps;
	}
	return true;
}

static bool check_transports(const struct config *cfg, struct err *err)
{
	const struct {
		const char *parameter, *value;
	} rows[] = {
		{"local_transport", cfg->local_transport},
		{"virtual_transport", cfg->virtual_transport},
		{"relay_transport", cfg->relay_transport},
		{"default_transport", cfg->default_transport},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].value[0] == '\0' || rows[i].value[0] == ':')
			return err_set(err, "parameter %s: null transport is not allowed", rows[i].parameter);
	}
	return true;
}

struct resolver *resolver_new(const struct config *cfg, struct err *err)
{
	struct resolver *r = x_alloc(sizeof(*r));

	r->cfg = cfg;
	if (!check_transports(cfg, err) || !open_lists(r, err) || !open_maps(r, err) ||
		!(r->own = own_addresses_new(cfg, err)))
		resolver_free(&r);
	return r;
}

void resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (!r)
		return;
	matchlist_close(&r->local_domains);
	matchlist_close(&r->alias_domains);
	matchlist_close(&r->mailbox_domains);
	matchlist_close(&r->relay_domains);
	maps_close(&r->transport_maps);
	maps_close(&r->sender_relayhost_maps);
	maps_close(&r->sender_transport_maps);
	maps_close(&r->relocated_maps);
	maps_close(&r->local_recipients);
	maps_close(&r->relay_recipients);
	maps_close(&r->mailbox_maps);
	maps_close(&r->alias_maps);
	maps_close(&r->canonical_maps);
	maps_close(&r->recipient_canonical_maps);
	own_addresses_free(&r->own);
	x_free(rp);
}

void resolver_warnings(const struct resolver *r, table_warn_fn warn, void *arg)
{
	const struct matchlist *lists[] = {
		r->local_domains, r->alias_domains, r->mailbox_domains, r->relay_domains};
	const struct maps *maps[] = {r->transport_maps, r->sender_relayhost_maps, r->sender_transport_maps,
		r->relocated_maps, r->local_recipients, r->relay_recipients, r->mailbox_maps, r->alias_maps,
		r->canonical_maps, r->recipient_canonical_maps};

	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		matchlist_warnings(lists[i], warn, arg);
	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++)
		maps_warnings(maps[i], warn, arg);
}

const char *address_class_name(enum address_class c)
{
	static const char *const names[] = {
		[CLASS_LOCAL] = "local",
		[CLASS_VIRTUAL_ALIAS] = "virtual alias",
		[CLASS_VIRTUAL_MAILBOX] = "virtual mailbox",
		[CLASS_RELAY] = "relay",
		[CLASS_DEFAULT] = "default",
	};

	return names[c];
}

/* "[192.0.2.1]" and "[IPv6:2001:db8::1]": the address inside; empty: not a literal. */
static struct str literal_address(struct str domain)
{
	struct str inside;

	if (domain.n < 2 || domain.p[0] != '[' || domain.p[domain.n - 1] != ']')
		return STR("");
	inside = str_first(str_from(domain, 1), domain.n - 2);
	return str_case_starts(inside, STR("ipv6:")) ? str_from(inside, 5) : inside;
}

static bool is_own(const struct resolver *r, struct str printed)
{
	struct net_addr addr;

	return net_parse_ip(printed, 0, &addr) && own_addresses_have(r->own, &addr);
}

bool resolve_is_own_address(struct resolver *r, const char *printed_address)
{
	return is_own(r, str_c(printed_address));
}

enum table_status resolve_is_local_domain(struct resolver *r, struct str domain, struct err *err)
{
	struct str literal = literal_address(domain);

	if (literal.n && is_own(r, literal))
		return TABLE_FOUND;
	return matchlist_name(r->local_domains, domain, err);
}

enum table_status resolve_is_bare_domain(struct resolver *r, struct str domain, struct err *err)
{
	if (str_case_is(domain, r->cfg->myorigin))
		return TABLE_FOUND;
	return resolve_is_local_domain(r, domain, err);
}

struct maps *resolver_alias_maps(const struct resolver *r)
{
	return r->alias_maps;
}

struct maps *resolver_canonical_maps(const struct resolver *r)
{
	return r->canonical_maps;
}

struct maps *resolver_recipient_canonical_maps(const struct resolver *r)
{
	return r->recipient_canonical_maps;
}
