#include "smtpd/server.h"
#include "smtpd/access.h"

#include "base/log.h"
#include "bounce/notice.h"
#include "smtpd/ehlo.h"
#include "smtpd/proxy.h"
#include "smtpd/server_tls.h"
#include "tls/tls_cache.h"

static bool open_list(
	struct server *v, struct named_list *l, const char *parameter, const char *list, bool domains)
{
	int flags = matchlist_parent_flag(v->cfg->parent_domain_matches_subdomains, parameter);
	struct err err = {0};

	*l = (struct named_list){.parameter = parameter};
	if (!*list)
		return true;
	l->list = matchlist_open(parameter, list, domains ? flags : 0, &err);
	if (!l->list)
		l->error = pool_strdup(v->pool, err.text);
	else
		matchlist_warnings(l->list, log_warn, NULL);
	return l->list != NULL;
}

static void open_lists(struct server *v)
{
	const struct config *cfg = v->cfg;

	open_list(v, &v->mynetworks, "mynetworks", cfg->mynetworks, true);
	open_list(v, &v->xclient_hosts, "smtpd_authorized_xclient_hosts", cfg->smtpd_authorized_xclient_hosts,
		true);
	open_list(v, &v->xforward_hosts, "smtpd_authorized_xforward_hosts",
		cfg->smtpd_authorized_xforward_hosts, true);
	open_list(v, &v->verp_clients, "smtpd_authorized_verp_clients", cfg->smtpd_authorized_verp_clients,
		true);
	open_list(v, &v->sasl_exceptions, "smtpd_sasl_exceptions_networks",
		cfg->smtpd_sasl_exceptions_networks, true);
	open_list(v, &v->sasl_mechanisms, "smtpd_sasl_mechanism_filter", cfg->smtpd_sasl_mechanism_filter,
		false);
	open_list(v, &v->log_permits, "smtpd_log_access_permit_actions", cfg->smtpd_log_access_permit_actions,
		false);
	open_list(v, &v->debug_peers, "debug_peer_list", cfg->debug_peer_list, true);
	open_list(v, &v->bare_exclusions, "smtpd_forbid_bare_newline_exclusions",
		cfg->smtpd_forbid_bare_newline_exclusions, true);
	open_list(
		v, &v->forbidden_commands, "smtpd_forbidden_commands", cfg->smtpd_forbidden_commands, false);
	open_list(v, &v->noop_commands, "smtpd_noop_commands", cfg->smtpd_noop_commands, false);
	open_list(v, &v->limit_exceptions, "smtpd_client_event_limit_exceptions",
		cfg->smtpd_client_event_limit_exceptions, true);
	open_list(v, &v->fast_flush_domains, "fast_flush_domains", cfg->fast_flush_domains, true);
	open_list(
		v, &v->mx_backup_networks, "permit_mx_backup_networks", cfg->permit_mx_backup_networks, true);
}

static void close_lists(struct server *v)
{
	struct named_list *lists[] = {&v->mynetworks, &v->xclient_hosts, &v->xforward_hosts,
		&v->sasl_exceptions, &v->sasl_mechanisms, &v->log_permits, &v->debug_peers,
		&v->bare_exclusions, &v->forbidden_commands, &v->noop_commands, &v->fast_flush_domains,
		&v->mx_backup_networks, &v->limit_exceptions, &v->verp_clients};

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		matchlist_close(&lists[i]->list);
}

enum table_status named_list_host(
	const struct named_list *l, const char *name, const char *address, struct err *err)
{
	if (l->error) {
		err_set(err, "%s", l->error);
		return TABLE_MISCONFIGURED;
	}
	return l->list ? matchlist_host(l->list, str_c(name), str_c(address), err) : TABLE_NOT_FOUND;
}

enum table_status named_list_name(const struct named_list *l, struct str name, struct err *err)
{
	if (l->error) {
		err_set(err, "%s", l->error);
		return TABLE_MISCONFIGURED;
	}
	return l->list ? matchlist_name(l->list, name, err) : TABLE_NOT_FOUND;
}

bool named_list_has(const struct named_list *l, struct str name)
{
	struct err err = {0};
	enum table_status status = named_list_name(l, name, &err);

	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED)
		log_warning("%s: %s", l->parameter, err.text);
	return status == TABLE_FOUND;
}

static void warn_rules(const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		if (list->rules[i].error)
			log_warning("%s: %s", list->parameter, list->rules[i].error);
}

/* In local_header_rewrite_clients a table has addresses, and what it says about them does not matter. */
static void bare_tables_match_addresses(struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		if (list->rules[i].row == access_table_check(STAGE_CLIENT))
			list->rules[i].row = access_find(STR("check_address_map"));
	}
}

static void parse_rules(struct server *v)
{
	const struct config *cfg = v->cfg;
	const struct {
		enum access_stage stage;
		const char *parameter, *text;
	} lists[] = {
		{STAGE_CLIENT, "smtpd_client_restrictions", cfg->smtpd_client_restrictions},
		{STAGE_HELO, "smtpd_helo_restrictions", cfg->smtpd_helo_restrictions},
		{STAGE_MAIL, "smtpd_sender_restrictions", cfg->smtpd_sender_restrictions},
		{STAGE_RCPT, "smtpd_recipient_restrictions", cfg->smtpd_recipient_restrictions},
		{STAGE_DATA, "smtpd_data_restrictions", cfg->smtpd_data_restrictions},
		{STAGE_END_OF_DATA, "smtpd_end_of_data_restrictions", cfg->smtpd_end_of_data_restrictions},
		{STAGE_ETRN, "smtpd_etrn_restrictions", cfg->smtpd_etrn_restrictions},
	};

	rules_env_init(&v->rules, cfg, v->pool);
	rules_parse_classes(&v->rules);
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		rules_parse(&v->rules, v->pool, lists[i].parameter, lists[i].text, lists[i].stage,
			&v->restrictions[lists[i].stage]);
		warn_rules(&v->restrictions[lists[i].stage]);
	}
	rules_parse(&v->rules, v->pool, "smtpd_relay_restrictions", cfg->smtpd_relay_restrictions, STAGE_RCPT,
		&v->relay_restrictions);
	warn_rules(&v->relay_restrictions);
	rules_parse(&v->rules, v->pool, "local_header_rewrite_clients", cfg->local_header_rewrite_clients,
		STAGE_CLIENT, &v->local_rewrite_clients);
	bare_tables_match_addresses(&v->local_rewrite_clients);
	warn_rules(&v->local_rewrite_clients);
	v->rules.sealed = true;
}

/* No open relay by omission: something in the lists must refuse strangers' mail for strangers. */
static bool refuses_relaying(const struct server *v, struct err *err)
{
	if (rules_refuse_relaying(&v->relay_restrictions) ||
		rules_refuse_relaying(&v->restrictions[STAGE_RCPT]))
		return true;
	return err_set(err,
		"in parameter smtpd_relay_restrictions or smtpd_recipient_restrictions, specify at least "
		"one working instance of: reject_unauth_destination, defer_unauth_destination, reject, "
		"defer, defer_if_permit or check_relay_domains");
}

static enum bare_newline bare_newline_mode(const char *value)
{
	if (strcmp(value, "normalize") == 0 || strcmp(value, "yes") == 0)
		return BARE_NORMALIZED;
	return strcmp(value, "reject") == 0 ? BARE_REJECTED : BARE_ALLOWED;
}

static void unknown_keyword(struct str word)
{
	log_warning("smtpd_discard_ehlo_keywords: unknown EHLO keyword " STR_FMT, STR_ARG(word));
}

static bool open_maps(struct maps **maps, const char *parameter, const char *list, struct err *err)
{
	if (!*list)
		return true;
	*maps = maps_open(parameter, list, TABLE_FOLD, err);
	if (*maps)
		maps_warnings(*maps, log_warn, NULL);
	return *maps != NULL;
}

static void say_filtered(bool warning, const char *text)
{
	if (warning)
		log_warning("%s", text);
	else
		log_info("%s", text);
}

static bool open_all_maps(struct server *v, struct err *err)
{
	const struct config *cfg = v->cfg;
	const struct {
		struct maps **maps;
		const char *parameter, *list;
	} all[] = {
		{&v->ehlo_discard_maps, "smtpd_discard_ehlo_keyword_address_maps",
			cfg->smtpd_discard_ehlo_keyword_address_maps},
		{&v->command_filter, "smtpd_command_filter", cfg->smtpd_command_filter},
		{&v->dns_filter.maps, "smtpd_dns_reply_filter", cfg->smtpd_dns_reply_filter},
		{&v->milter_maps, "smtpd_milter_maps", cfg->smtpd_milter_maps},
		{&v->reject_filter, "smtpd_reject_filter_maps", cfg->smtpd_reject_filter_maps},
		{&v->reject_footers, "smtpd_reject_footer_maps", cfg->smtpd_reject_footer_maps},
		{&v->rbl_replies, "rbl_reply_maps", cfg->rbl_reply_maps},
		{&v->sender_logins, "smtpd_sender_login_maps", cfg->smtpd_sender_login_maps},
		{&v->relay_clientcerts, "relay_clientcerts", cfg->relay_clientcerts},
		{&v->sender_canonical, "sender_canonical_maps", cfg->sender_canonical_maps},
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (!open_maps(all[i].maps, all[i].parameter, all[i].list, err))
			return false;
	v->dns_filter.parameter = "smtpd_dns_reply_filter";
	v->dns_filter.say = say_filtered;
	return true;
}

const char *server_banner(struct server *v, const struct config *cfg)
{
	char *expanded = config_expand(cfg, cfg->smtpd_banner, NULL, NULL);
	const char *banner = pool_strdup(v->pool, expanded);

	x_free(&expanded);
	return banner;
}

/* A server that cannot ask the DNS still serves; names are unknown, for now. */
static void open_dns(struct server *v)
{
	struct err err = {0};

	v->dns = dns_new(&err);
	if (!v->dns)
		log_warning("DNS resolver: %s", err.text);
}

static void set_milters(struct server *v)
{
	if (str_case_lists(v->cfg->receive_override_options, "no_milters"))
		return;
	v->milters = milter_set_new(v->cfg, v->cfg->smtpd_milters);
	if (milter_set_problem(v->milters))
		log_warning("smtpd_milters: %s", milter_set_problem(v->milters));
}

struct server *server_new(const struct config *cfg, struct spool *spool, struct err *err)
{
	struct pool *pool = pool_new(4096);
	struct server *v = pool_alloc(pool, sizeof(*v));

	v->pool = pool;
	v->cfg = cfg;
	v->spool = spool;
	v->sasl = cfg->smtpd_sasl_auth_enable;
	v->bare_newline = bare_newline_mode(cfg->smtpd_forbid_bare_newline);
	v->notices = notice_classes(cfg->notify_classes);
	expansion_filter_parse(&v->expansion_filter, cfg->smtpd_expansion_filter);
	v->ehlo_discard = ehlo_parse_keywords(cfg->smtpd_discard_ehlo_keywords, unknown_keyword);
	v->banner = v->stress_banner = server_banner(v, cfg);
	set_milters(v);
	open_lists(v);
	parse_rules(v);
	open_dns(v);
	if (!proxy_options(cfg->smtpd_proxy_options, &(bool){false}))
		log_warning("smtpd_proxy_options: only speed_adjust is known: %s", cfg->smtpd_proxy_options);
	v->resolver = resolver_new(cfg, err);
	v->notifier = queue_notifier_new(cfg->queue_service_name);
	if (v->resolver) {
		resolver_warnings(v->resolver, log_warn, NULL);
		v->cleanup = cleanup_env_new(cfg, spool, v->resolver, v->notifier, err);
	}
	if (v->cleanup)
		cleanup_env_warnings(v->cleanup, log_warn, NULL);
	if (v->cleanup)
		v->verify = verify_open(cfg, spool ? spool_since(spool) : 0, err);
	if (!v->verify || !open_all_maps(v, err) || !refuses_relaying(v, err))
		server_free(&v);
	else
		server_tls_open(v);
	return v;
}

struct server *server_standalone(const struct config *cfg)
{
	struct pool *pool = pool_new(4096);
	struct server *v = pool_alloc(pool, sizeof(*v));

	v->pool = pool;
	v->cfg = cfg;
	v->standalone = true;
	v->bare_newline = BARE_ALLOWED;
	v->ehlo_discard = ehlo_parse_keywords(cfg->smtpd_discard_ehlo_keywords, unknown_keyword) |
			  EHLO_SILENT_DISCARD | EHLO_XCLIENT | EHLO_XFORWARD;
	v->banner = v->stress_banner = server_banner(v, cfg);
	open_list(
		v, &v->forbidden_commands, "smtpd_forbidden_commands", cfg->smtpd_forbidden_commands, false);
	open_list(v, &v->noop_commands, "smtpd_noop_commands", cfg->smtpd_noop_commands, false);
	open_list(v, &v->fast_flush_domains, "fast_flush_domains", cfg->fast_flush_domains, true);
	return v;
}

void server_free(struct server **server)
{
	struct server *v = *server;
	struct pool *pool;

	if (!v)
		return;
	pool = v->pool;
	verify_close(&v->verify);
	cleanup_env_free(&v->cleanup);
	queue_notifier_free(&v->notifier);
	resolver_free(&v->resolver);
	tls_context_free(&v->tls);
	tls_cache_free(&v->tls_cache);
	maps_close(&v->tls_names);
	maps_close(&v->ehlo_discard_maps);
	maps_close(&v->command_filter);
	maps_close(&v->dns_filter.maps);
	maps_close(&v->milter_maps);
	milter_set_free(&v->milters);
	maps_close(&v->reject_filter);
	maps_close(&v->reject_footers);
	maps_close(&v->rbl_replies);
	maps_close(&v->sender_logins);
	maps_close(&v->relay_clientcerts);
	maps_close(&v->sender_canonical);
	rules_env_free(&v->rules);
	close_lists(v);
	dns_free(&v->dns);
	pool_free(&pool);
	*server = NULL;
}

struct dns *smtpd_slot_dns(struct smtpd_slot *slot)
{
	struct err err = {0};

	if (!slot->dns && slot->server->dns) {
		slot->dns = dns_clone(slot->server->dns, &err);
		if (!slot->dns)
			log_warning("DNS resolver: %s", err.text);
	}
	return slot->dns;
}
