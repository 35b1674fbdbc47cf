#include "rewrite/resolver.h"

#include "base/mem.h"
#include "config/service_config.h"

struct list_row {
	size_t offset;
	const char *parameter, *value;
	int flags;
};

static bool open_lists(struct resolver *r, const struct list_row *rows, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct matchlist *list = matchlist_open(rows[i].parameter, rows[i].value, rows[i].flags, err);

		if (!list)
			return false;
		*(struct matchlist **)(void *)((char *)r + rows[i].offset) = list;
	}
	return true;
}

static bool open_maps(struct resolver *r, const struct list_row *rows, size_t count, struct err *err)
{
	for (size_t i = 0; i < count; i++) {
		struct maps *maps = maps_open(rows[i].parameter, rows[i].value, rows[i].flags, err);

		if (!maps)
			return false;
		*(struct maps **)(void *)((char *)r + rows[i].offset) = maps;
	}
	return true;
}

static bool local_names_open(struct local_names *names, const struct config *cfg, struct err *err)
{
	names->origin = cfg->myorigin;
	names->domains = matchlist_open("mydestination", cfg->mydestination, MATCH_EXACT, err);
	return names->domains && (names->own = own_addresses_new(cfg, err));
}

static void local_names_close(struct local_names *names)
{
	matchlist_close(&names->domains);
	own_addresses_free(&names->own);
}

#define ROW(field, parameter, flags)                                                                         \
	{                                                                                                    \
		offsetof(struct resolver, field), #parameter, cfg->parameter, flags                          \
	}
#define COUNT(rows) (sizeof(rows) / sizeof(*(rows)))

/* By the rewrite service's settings. */
static bool open_routes(struct resolver *r, struct err *err)
{
	const struct config *cfg = r->rules;
	const char *parents = cfg->parent_domain_matches_subdomains;
	const struct list_row lists[] = {
		ROW(alias_domains, virtual_alias_domains, MATCH_EXACT),
		ROW(mailbox_domains, virtual_mailbox_domains, MATCH_EXACT),
		ROW(relay_domains, relay_domains, matchlist_parent_flag(parents, "relay_domains")),
	};
	const int safe = TABLE_FOLD | TABLE_NO_SUBST;
	const struct list_row maps[] = {
		ROW(transport_maps, transport_maps, safe),
		ROW(sender_relayhost_maps, sender_dependent_relayhost_maps, safe),
		ROW(sender_transport_maps, sender_dependent_default_transport_maps, safe),
		ROW(relocated_maps, relocated_maps, TABLE_FOLD),
	};

	r->transport_parents = matchlist_parent_flag(parents, "transport_maps") != 0;
	return local_names_open(&r->local_class, cfg, err) && open_lists(r, lists, COUNT(lists), err) &&
	       open_maps(r, maps, COUNT(maps), err);
}

/* By the program's own settings. */
static bool open_recipients(struct resolver *r, struct err *err)
{
	const struct config *cfg = r->cfg;
	const struct list_row maps[] = {
		ROW(local_recipients, local_recipient_maps, TABLE_FOLD),
		ROW(relay_recipients, relay_recipient_maps, TABLE_FOLD),
		ROW(mailbox_maps, virtual_mailbox_maps, TABLE_FOLD),
		ROW(alias_maps, virtual_alias_maps, TABLE_FOLD),
		ROW(canonical_maps, canonical_maps, TABLE_FOLD),
		ROW(recipient_canonical_maps, recipient_canonical_maps, TABLE_FOLD),
	};

	r->propagate_virtual = str_case_lists(cfg->propagate_unmatched_extensions, "virtual");
	return local_names_open(&r->local, cfg, err) && open_maps(r, maps, COUNT(maps), err);
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

static struct config *rules_for_probes(const struct config *cfg)
{
	struct config *copy = x_alloc(sizeof(*copy));

	*copy = *cfg;
	copy->local_transport = cfg->address_verify_local_transport;
	copy->virtual_transport = cfg->address_verify_virtual_transport;
	copy->relay_transport = cfg->address_verify_relay_transport;
	copy->default_transport = cfg->address_verify_default_transport;
	copy->relayhost = cfg->address_verify_relayhost;
	copy->transport_maps = cfg->address_verify_transport_maps;
	copy->sender_dependent_relayhost_maps = cfg->address_verify_sender_dependent_relayhost_maps;
	copy->sender_dependent_default_transport_maps =
		cfg->address_verify_sender_dependent_default_transport_maps;
	return copy;
}

/* Opens what depends on the rewrite service's settings. */
static bool take_rules(struct resolver *r, bool probes, struct err *err)
{
	const char *service = r->cfg->rewrite_service_name;
	bool ok;

	r->rules = r->cfg;
	if (!service_config_load(r->cfg, service, "trivial-rewrite", true, &r->own_rules, err))
		return false;
	if (r->own_rules)
		r->rules = r->own_rules;
	if (probes)
		r->rules = r->probe_rules = rules_for_probes(r->rules);
	ok = check_transports(r->rules, err) && open_routes(r, err);
	if (r->own_rules)
		config_make_latest(r->cfg);
	return ok;
}

static struct resolver *resolver_make(const struct config *cfg, bool probes, struct err *err)
{
	struct resolver *r = x_alloc(sizeof(*r));

	r->cfg = cfg;
	if (!take_rules(r, probes, err) || !open_recipients(r, err))
		resolver_free(&r);
	return r;
}

struct resolver *resolver_new(const struct config *cfg, struct err *err)
{
	return resolver_make(cfg, false, err);
}

struct resolver *resolver_new_for_probes(const struct config *cfg, struct err *err)
{
	return resolver_make(cfg, true, err);
}

void resolver_free(struct resolver **rp)
{
	struct resolver *r = *rp;

	if (!r)
		return;
	local_names_close(&r->local);
	local_names_close(&r->local_class);
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
	x_free(&r->probe_rules);
	config_free(&r->own_rules);
	x_free(rp);
}

/* Every table; the last one is NULL. */
static void list_maps(const struct resolver *r, struct maps *list[11])
{
	struct maps *const maps[] = {r->transport_maps, r->sender_relayhost_maps, r->sender_transport_maps,
		r->relocated_maps, r->local_recipients, r->relay_recipients, r->mailbox_maps, r->alias_maps,
		r->canonical_maps, r->recipient_canonical_maps, NULL};

	memcpy(list, maps, sizeof(maps));
}

void resolver_warnings(const struct resolver *r, table_warn_fn warn, void *arg)
{
	const struct matchlist *lists[] = {
		r->local_class.domains, r->alias_domains, r->mailbox_domains, r->relay_domains};
	struct maps *maps[11];

	for (size_t i = 0; i < COUNT(lists); i++)
		matchlist_warnings(lists[i], warn, arg);
	list_maps(r, maps);
	for (size_t i = 0; maps[i]; i++)
		maps_warnings(maps[i], warn, arg);
}

void resolver_observe(struct resolver *r, maps_observer observe, void *arg)
{
	struct maps *maps[11];

	list_maps(r, maps);
	for (size_t i = 0; maps[i]; i++)
		maps_observe(maps[i], observe, arg);
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

static bool is_own(const struct own_addresses *own, struct str printed)
{
	struct net_addr addr;

	return net_parse_ip(printed, 0, &addr) && own_addresses_have(own, &addr);
}

bool resolve_is_own_address(struct resolver *r, const char *printed_address)
{
	return is_own(r->local.own, str_c(printed_address));
}

enum table_status local_names_have(const struct local_names *names, struct str domain, struct err *err)
{
	struct str literal = literal_address(domain);

	if (literal.n && is_own(names->own, literal))
		return TABLE_FOUND;
	return matchlist_name(names->domains, domain, err);
}

enum table_status local_names_are_bare(const struct local_names *names, struct str domain, struct err *err)
{
	if (str_case_is(domain, names->origin))
		return TABLE_FOUND;
	return local_names_have(names, domain, err);
}

enum table_status resolve_is_bare_domain(struct resolver *r, struct str domain, struct err *err)
{
	return local_names_are_bare(&r->local, domain, err);
}
