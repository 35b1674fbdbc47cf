#include "smtp/smtp_client.h"

#include "base/log.h"
#include "smtp/smtp_checks.h"
#include "smtp/smtp_destination.h"
#include "smtp/smtp_dialogue.h"
#include "smtp/smtp_features.h"
#include "smtp/smtp_generic.h"
#include "smtp/smtp_notify.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_tls.h"
#include "table/cache_file.h"
#include "tls/tls_cache.h"

static bool set_protocols(struct smtp_client *c, struct err *err)
{
	struct str rest = str_c(c->cfg->inet_protocols), word;

	while (str_word(&rest, " \t\r\n,", &word)) {
		if (!str_is(word, "all") && !str_is(word, "ipv4") && !str_is(word, "ipv6"))
			return err_set(err, "inet_protocols: unknown protocol " STR_FMT, STR_ARG(word));
		c->want_v4 = c->want_v4 || !str_is(word, "ipv6");
		c->want_v6 = c->want_v6 || !str_is(word, "ipv4");
	}
	return c->want_v4 || c->want_v6 || err_set(err, "inet_protocols: no protocol");
}

static void set_resolver(struct smtp_client *c)
{
	const char *options = c->cfg->smtp_dns_resolver_options;

	if (str_lists(options, "res_defnames"))
		c->short_names |= DNS_APPEND_DOMAIN;
	if (str_lists(options, "res_dnsrch"))
		c->short_names |= DNS_SEARCH_PARENTS;
}

static bool set_lookups(struct smtp_client *c, struct err *err)
{
	set_resolver(c);
	c->lookup_dns = str_lists(c->cfg->smtp_host_lookup, "dns");
	c->lookup_native = str_lists(c->cfg->smtp_host_lookup, "native");
	c->lookup_mx =
		!c->cfg->disable_dns_lookups && strcmp(c->cfg->smtp_dns_support_level, "disabled") != 0;
	if (!c->lookup_mx) {
		c->lookup_dns = false;
		c->lookup_native = true;
	}
	return c->lookup_dns || c->lookup_native || err_set(err, "smtp_host_lookup: no method");
}

/* An address may stand in brackets. */
static struct str without_brackets(struct str s)
{
	if (s.n > 2 && s.p[0] == '[' && s.p[s.n - 1] == ']')
		return str_first(str_from(s, 1), s.n - 2);
	return s;
}

static bool set_source(
	const char *parameter, const char *value, int family, struct net_addr *out, struct err *err)
{
	if (!value[0])
		return true;
	if (!net_parse_ip(without_brackets(str_c(value)), 0, out) || out->ss.ss_family != family)
		return err_set(err, "%s: bad address: %s", parameter, value);
	return true;
}

/* inet_interfaces with one address of a family makes that the source, unless it is loopback. */
static void source_by_interfaces(struct smtp_client *c)
{
	struct str rest = str_c(c->cfg->inet_interfaces), word;
	struct net_addr found[2] = {{.len = 0}, {.len = 0}}, a;
	int count[2] = {0, 0};

	while (str_word(&rest, " \t\r\n,", &word)) {
		if (!net_parse_ip(without_brackets(word), 0, &a))
			return;
		found[a.ss.ss_family == AF_INET6] = a;
		count[a.ss.ss_family == AF_INET6]++;
	}
	if (count[0] == 1 && c->source4.len == 0 && !net_is_loopback(&found[0]))
		c->source4 = found[0];
	if (count[1] == 1 && c->source6.len == 0 && !net_is_loopback(&found[1]))
		c->source6 = found[1];
}

static bool set_sources(struct smtp_client *c, struct err *err)
{
	if (!set_source("smtp_bind_address", c->cfg->smtp_bind_address, AF_INET, &c->source4, err) ||
		!set_source("smtp_bind_address6", c->cfg->smtp_bind_address6, AF_INET6, &c->source6, err))
		return false;
	source_by_interfaces(c);
	return true;
}

static void say_filtered(bool warning, const char *text)
{
	if (warning)
		log_warning("%s", text);
	else
		log_info("%s", text);
}

static bool open_filters(struct smtp_client *c, struct err *err)
{
	const struct config *cfg = c->cfg;
	const char *dns = c->lmtp ? "lmtp_dns_reply_filter" : "smtp_dns_reply_filter";

	c->dns_filter = (struct dns_filter){.parameter = dns,
		.maps = maps_open(dns, cfg->smtp_dns_reply_filter, 0, err),
		.say = say_filtered};
	if (!c->dns_filter.maps)
		return false;
	maps_warnings(c->dns_filter.maps, log_warn, NULL);

	c->status_filter = maps_open(c->lmtp ? "lmtp_delivery_status_filter" : "smtp_delivery_status_filter",
		cfg->smtp_delivery_status_filter, 0, err);
	c->pix_maps = maps_open(c->lmtp ? "lmtp_pix_workaround_maps" : "smtp_pix_workaround_maps",
		cfg->smtp_pix_workaround_maps, 0, err);
	if (!c->status_filter || !c->pix_maps)
		return false;
	maps_warnings(c->status_filter, log_warn, NULL);
	maps_warnings(c->pix_maps, log_warn, NULL);
	if (!cfg->smtp_reply_filter[0])
		return true;
	c->reply_filter = table_open(cfg->smtp_reply_filter, 0, err);
	if (c->reply_filter)
		table_warnings(c->reply_filter, log_warn, NULL);
	return c->reply_filter;
}

static bool open_tables(struct smtp_client *c, struct err *err)
{
	const struct config *cfg = c->cfg;

	if (!open_filters(c, err))
		return false;

	c->discard = smtp_features_mask(str_c(cfg->smtp_discard_ehlo_keywords));
	c->discard_maps = maps_open("smtp_discard_ehlo_keyword_address_maps",
		cfg->smtp_discard_ehlo_keyword_address_maps, 0, err);
	if (!c->discard_maps)
		return false;
	if (cfg->smtp_connection_cache_destinations[0])
		c->cache_destinations = matchlist_open("smtp_connection_cache_destinations",
			cfg->smtp_connection_cache_destinations, 0, err);
	return c->cache_destinations || !cfg->smtp_connection_cache_destinations[0];
}

struct smtp_client *smtp_client_new(struct service *s, const struct config *cfg, bool lmtp, struct err *err)
{
	struct smtp_client *c = x_alloc(sizeof(*c));

	c->service = s;
	c->cfg = cfg;
	c->lmtp = lmtp;
	if (!smtp_port(str_c(cfg->smtp_tcp_port), &c->port))
		err_set(err, "smtp_tcp_port: unknown port: %s", cfg->smtp_tcp_port);
	else if (set_protocols(c, err) && set_lookups(c, err) && set_sources(c, err) && open_tables(c, err) &&
		 smtp_tls_open(c, err) && smtp_sasl_open(c, err) && smtp_generic_open(c, err) &&
		 smtp_notices_open(c, err) && smtp_dialogue_open(c, err) &&
		 smtp_checks_open(c, &c->checks, err) && (c->dns = dns_new(err)) &&
		 (c->own = own_addresses_new(cfg, err)))
		return c;
	smtp_client_free(&c);
	return NULL;
}

void smtp_client_free(struct smtp_client **c)
{
	if (!*c)
		return;
	smtp_notices_close(*c);
	dns_free(&(*c)->dns);
	own_addresses_free(&(*c)->own);
	tls_context_free(&(*c)->tls);
	tls_cache_free(&(*c)->tls_cache);
	maps_close(&(*c)->tls_policies);
	maps_close(&(*c)->tls_sites);
	maps_close(&(*c)->passwords);
	cache_file_free(&(*c)->login_cache);
	matchlist_close(&(*c)->mechanism_filter);
	matchlist_close(&(*c)->debug_peers);
	maps_close(&(*c)->generic);
	resolver_free(&(*c)->resolver);
	smtp_checks_free(&(*c)->checks);
	maps_close(&(*c)->discard_maps);
	maps_close(&(*c)->dns_filter.maps);
	maps_close(&(*c)->status_filter);
	maps_close(&(*c)->pix_maps);
	table_close(&(*c)->reply_filter);
	matchlist_close(&(*c)->cache_destinations);
	x_free(c);
}
