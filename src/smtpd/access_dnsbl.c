/* DNS block and allow lists: reject_rbl_client, reject_rhsbl_*, permit_dnswl_client, permit_rhswl_client. */
#include "base/log.h"
#include "mail/address.h"
#include "mail/dsn.h"
#include "smtpd/access.h"
#include "smtpd/access_dns.h"
#include "smtpd/dnsbl.h"
#include "smtpd/session.h"

/* The answer of one list about one name or address. */
struct listing {
	const char *code;   /* address that the list answered, printed */
	const char *reason; /* its TXT record, "" without */
};

static bool split_filter(struct access *a, const char *argument, const char **domain, const char **filter)
{
	const char *equals = strchr(argument, '=');

	*filter = equals ? equals + 1 : NULL;
	*domain = equals ? pool_strndup(a->pool, argument, (size_t)(equals - argument)) : argument;
	return **domain != '\0';
}

static const char *list_reason(struct access *a, struct dns *dns, const char *query)
{
	struct dns_answer text = {.status = DNS_RETRY};

	access_dns_lookup(a, dns, query, DNS_TXT, &text);
	return text.status == DNS_OK && text.count > 0 ? text.records[0].text : "";
}

/* false: not listed, or the list does not answer (which is logged and lets the client pass). */
static bool is_listed(struct access *a, const char *query, const char *filter, struct listing *out)
{
	struct dns *dns = smtpd_slot_dns(a->session->slot);
	struct dns_answer answer = {.status = DNS_RETRY};
	char text[NET_HOST_MAX];

	if (!dns)
		return false;
	access_dns_lookup(a, dns, query, DNS_A, &answer);
	if (answer.status != DNS_OK) {
		if (answer.status == DNS_RETRY)
			log_warning("%s: RBL lookup error: %s", query, answer.reason);
		return false;
	}
	for (size_t i = 0; i < answer.count; i++) {
		net_host(&answer.records[i].address, text);
		if (dnsbl_answer_counts(text, filter)) {
			out->code = pool_strdup(a->pool, text);
			out->reason = list_reason(a, dns, query);
			return true;
		}
	}
	return false;
}

/* ---- the reply */

struct reply_names {
	struct access *a;
	const char *domain, *what, *what_class;
	const struct listing *listing;
	char code[8];
};

static const char *local_name(struct access *a, const char *address)
{
	struct str local = address_local(str_c(address));

	return pool_strndup(a->pool, local.p, local.n);
}

static const char *domain_name(struct access *a, const char *address)
{
	struct str domain = address_domain(str_c(address));

	return pool_strndup(a->pool, domain.p, domain.n);
}

static const char *filtered(const struct reply_names *r, const char *value)
{
	char *text = pool_strdup(r->a->pool, value);

	expansion_filter_apply(&r->a->session->server->expansion_filter, text);
	return text;
}

static const char *reply_name(void *arg, const char *name)
{
	struct reply_names *r = arg;
	const struct session *s = r->a->session;
	const char *sender = r->a->sender, *recipient = r->a->recipient, *value;
	const struct {
		const char *name, *value;
	} known[] = {
		{"client", s->client.text},
		{"client_address", s->client.address},
		{"client_name", s->client.name},
		{"reverse_client_name", s->client.reverse_name},
		{"helo_name", s->helo},
		{"sender", sender ? (*sender ? sender : "<>") : NULL},
		{"sender_name", sender ? local_name(r->a, sender) : NULL},
		{"sender_domain", sender ? domain_name(r->a, sender) : NULL},
		{"recipient", recipient},
		{"recipient_name", recipient ? local_name(r->a, recipient) : NULL},
		{"recipient_domain", recipient ? domain_name(r->a, recipient) : NULL},
		{"rbl_code", r->code},
		{"rbl_domain", r->domain},
		{"rbl_reason", r->listing->reason},
		{"rbl_txt", r->listing->reason},
		{"rbl_what", r->what},
		{"rbl_class", r->what_class},
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].value ? filtered(r, known[i].value) : "";
	value = config_text(s->cfg, name);
	return value ? filtered(r, value) : NULL;
}

/* The template for a list as it was written in main.cf, or for the list without its filter, or the default.
 */
static char *reply_template(struct access *a, const char *argument, const char *domain)
{
	struct maps *maps = a->session->server->rbl_replies;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	char *template;

	if (maps && (maps_lookup(maps, str_c(argument), &value, &err) == TABLE_FOUND ||
			    maps_lookup(maps, str_c(domain), &value, &err) == TABLE_FOUND))
		template = pool_strdup(a->pool, buf_cstr(&value));
	else
		template = pool_strdup(a->pool, a->session->cfg->default_rbl_reply);
	buf_free(&value);
	return template;
}

static void refuse_listed(struct access *a, const char *argument, const char *domain, const char *what,
	const char *what_class, const struct listing *listing, struct answer *out)
{
	struct reply_names names = {
		.a = a, .domain = domain, .what = what, .what_class = what_class, .listing = listing};
	int code = a->session->cfg->maps_rbl_reject_code;
	char *text, status[12] = "5.7.1";
	struct str rest;
	uint64_t said;
	size_t n;

	snprintf(names.code, sizeof(names.code), "%d", code);
	text = config_expand(a->session->cfg, reply_template(a, argument, domain), reply_name, &names);
	rest = str_trim(str_c(text));
	if (str_to_u64(str_first(rest, 3), 599, &said) && said >= 400) {
		code = (int)said;
		rest = str_trim(str_from(rest, 3));
	}
	n = dsn_status_length(rest);
	if (n > 0 && n < sizeof(status)) {
		memcpy(status, rest.p, n);
		status[n] = '\0';
		rest = str_trim(str_from(rest, n));
	}
	answer_refuse(a, out, VERDICT_REFUSE, code, status, STR_FMT, STR_ARG(rest));
	x_free(&text);
}

/* ---- the checks */

static void check_list(struct access *a, const char *argument, const char *query_name, const char *what,
	const char *what_class, struct answer *out)
{
	struct listing listing = {0};
	const char *domain, *filter;

	if (split_filter(a, argument, &domain, &filter) &&
		is_listed(a, pool_printf(a->pool, "%s.%s", query_name, domain), filter, &listing))
		refuse_listed(a, argument, domain, what, what_class, &listing, out);
}

void check_rbl_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct client *c = &a->session->client;
	char reversed[DNSBL_REVERSED_MAX];

	if (c->has_addr && dnsbl_reverse(&c->addr, reversed))
		check_list(a, rule->argument, reversed, c->address, "Client host", out);
}

void check_maps_rbl(const struct rule *rule, struct access *a, struct answer *out)
{
	struct str rest = str_c(a->session->cfg->maps_rbl_domains), word;
	const struct client *c = &a->session->client;
	char reversed[DNSBL_REVERSED_MAX];

	if (!c->has_addr || !dnsbl_reverse(&c->addr, reversed))
		return;
	while (out->verdict == VERDICT_DUNNO && str_word(&rest, ", \t\r\n", &word))
		check_list(
			a, pool_strndup(a->pool, word.p, word.n), reversed, c->address, "Client host", out);
}

static void check_rhsbl(const struct rule *rule, struct access *a, const char *name, const char *what,
	const char *what_class, struct answer *out)
{
	if (name && address_valid_hostname(str_c(name)) && strcmp(name, "unknown") != 0)
		check_list(a, rule->argument, name, what, what_class, out);
}

void check_rhsbl_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const char *name = a->session->client.name;

	check_rhsbl(rule, a, name, name, "Client host", out);
}

void check_rhsbl_reverse_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const char *name = a->session->client.reverse_name;

	check_rhsbl(rule, a, name, name, "Unverified Client host", out);
}

void check_rhsbl_helo(const struct rule *rule, struct access *a, struct answer *out)
{
	check_rhsbl(rule, a, a->session->helo, a->session->helo, "Helo command", out);
}

void check_rhsbl_sender(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->sender && *a->sender)
		check_rhsbl(rule, a, domain_name(a, a->sender), a->sender, "Sender address", out);
}

void check_rhsbl_recipient(const struct rule *rule, struct access *a, struct answer *out)
{
	if (a->recipient)
		check_rhsbl(rule, a, domain_name(a, a->recipient), a->recipient, "Recipient address", out);
}

/* An allow list never permits relaying: of recipients, only those that are ours anyway. */
static void permit_listed(struct access *a, const char *argument, const char *query_name, struct answer *out)
{
	struct listing listing = {0};
	const char *domain, *filter;
	struct answer destination = {.verdict = VERDICT_DUNNO};

	if (!split_filter(a, argument, &domain, &filter) ||
		!is_listed(a, pool_printf(a->pool, "%s.%s", query_name, domain), filter, &listing))
		return;
	if (a->recipient) {
		check_auth_destination(NULL, a, &destination);
		if (destination.verdict != VERDICT_PERMIT)
			return;
	}
	out->verdict = VERDICT_PERMIT;
}

void check_dnswl_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const struct client *c = &a->session->client;
	char reversed[DNSBL_REVERSED_MAX];

	if (c->has_addr && dnsbl_reverse(&c->addr, reversed))
		permit_listed(a, rule->argument, reversed, out);
}

void check_rhswl_client(const struct rule *rule, struct access *a, struct answer *out)
{
	const char *name = a->session->client.name;

	if (strcmp(name, "unknown") != 0)
		permit_listed(a, rule->argument, name, out);
}
