#include "smtp/smtp_tls.h"

#include "base/log.h"
#include "smtp/smtp_session.h"

#define NAMES_MAX 50

struct tls_words {
	const char *items[NAMES_MAX];
	size_t count;
};

static void add(struct tls_words *l, const char *item)
{
	if (l->count < NAMES_MAX)
		l->items[l->count++] = item;
}

/* The names that the certificate must have one of. */
static void list_names(const struct smtp_session *s, struct pool *pool, const struct smtp_tls_policy *p,
	struct tls_words *out)
{
	struct str rest = str_c(p->match), word;

	while (str_word(&rest, " \t\r\n,:", &word)) {
		if (str_case_is(word, "nexthop"))
			add(out, p->nexthop);
		else if (str_case_is(word, "dot-nexthop"))
			add(out, pool_printf(pool, ".%s", p->nexthop));
		else if (str_case_is(word, "hostname"))
			add(out, s->host);
		else
			add(out, pool_strndup(pool, word.p, word.n));
	}
}

static void list_fingerprints(struct pool *pool, const struct smtp_tls_policy *p, struct tls_words *out)
{
	struct str rest = str_c(p->match), word;

	while (str_word(&rest, SMTP_TLS_PRINTS, &word))
		add(out, pool_strndup(pool, word.p, word.n));
}

static const char *servername(const struct smtp_session *s, const struct smtp_tls_policy *p)
{
	if (strcmp(p->servername, "hostname") == 0)
		return s->host;
	if (strcmp(p->servername, "nexthop") == 0)
		return p->nexthop;
	return p->servername;
}

static void log_session(const struct smtp_session *s, const struct tls_info *info, bool checked)
{
	const char *kind = s->verified		    ? "Verified"
			   : info->trusted	    ? "Trusted"
			   : info->peer_certificate ? "Untrusted"
						    : "Anonymous";

	if (checked && *info->problem)
		log_info("%s verification failed for %s: %s", info->problem_of, s->relay, info->problem);
	else if (checked && info->trusted && !info->matched)
		log_info("server certificate verification failed for %s: num=62:hostname mismatch", s->relay);
	if (s->client->cfg->smtp_tls_loglevel > 0)
		log_info("%s TLS connection established to %s: %s%s%s", kind, s->relay, info->summary,
			info->details[0] ? " " : "", info->details);
}

/* Whether the certificate matters. */
static bool checks(const struct smtp_tls_policy *p)
{
	return p->level >= SMTP_TLS_FINGERPRINT || p->tlsa_base;
}

/* 4.7.5 with the words of the manuals; at levels that look at the certificate only. */
static bool acceptable(
	const struct tls_info *info, struct pool *pool, const struct smtp_tls_policy *p, struct dsn **why)
{
	if (!checks(p) || info->matched)
		return true;
	*why = dsn_make(pool, DSN_DELAYED, "4.7.5", "%s",
		(p->level >= SMTP_TLS_VERIFY || p->tlsa_base) && !info->trusted && !info->other_name
			? "Server certificate not trusted"
			: "Server certificate not verified");
	return false;
}

static bool shake_hands(
	struct smtp_session *s, struct pool *pool, const struct tls_rules *rules, struct dsn **why)
{
	struct tls_failure failure = {0};

	smtp_set_timeout(s, s->client->cfg->smtp_starttls_timeout);
	if (tls_connect(s->stream, s->client->tls, rules, &failure))
		return true;
	log_info("SSL_connect error to %s: %s", s->relay, failure.reason.text);
	if (failure.library.text[0])
		log_warning("TLS library problem: %s", failure.library.text);
	s->failed = true;
	*why = dsn_make(pool, DSN_DELAYED, "4.7.5", "Cannot start TLS: handshake failure");
	return false;
}

/* With the anchors of the policy, where it has some. */
static bool connect_by(struct smtp_session *s, struct pool *pool, const struct smtp_tls_policy *p,
	struct tls_rules *rules, struct dsn **why)
{
	struct tls_anchors *anchors;
	struct err err = {""};
	bool ok;

	if (!p->anchor_files[0])
		return shake_hands(s, pool, rules, why);
	anchors = tls_anchors_read(p->anchor_files, &err);
	if (!anchors) {
		log_warning("smtp_tls_policy_maps: tafile: %s", err.text);
		s->failed = true;
		*why = dsn_make(pool, DSN_DELAYED, "4.7.5", "client TLS configuration problem");
		return false;
	}
	rules->anchors = anchors;
	ok = shake_hands(s, pool, rules, why);
	tls_anchors_free(&anchors);
	return ok;
}

enum smtp_tls_end smtp_tls_begin(
	struct smtp_session *s, struct pool *pool, const struct smtp_tls_policy *p, struct dsn **why)
{
	const struct config *cfg = s->client->cfg;
	struct tls_words names = {.count = 0}, prints = {.count = 0};
	struct tls_rules rules = {
		.server = s->relay,
		.protocols = p->protocols,
		.cipher_list = tls_cipher_list(cfg, p->grade),
		.exclude_ciphers = checks(p) ? pool_printf(pool, "%s aNULL", p->exclude) : p->exclude,
		.servername = servername(s, p),
		.tlsa_base = p->tlsa_base,
		.tlsa = p->tlsa,
		.tlsa_count = p->tlsa_count,
	};
	const struct tls_info *info;

	if (p->tlsa_base) {
		add(&names, s->host);
		add(&names, p->nexthop);
	} else if (p->level >= SMTP_TLS_VERIFY) {
		list_names(s, pool, p, &names);
	}
	if (p->level == SMTP_TLS_FINGERPRINT)
		list_fingerprints(pool, p, &prints);
	rules.names = names.items;
	rules.name_count = names.count;
	rules.fingerprints = prints.items;
	rules.fingerprint_count = prints.count;
	if (!connect_by(s, pool, p, &rules, why))
		return SMTP_TLS_HANDSHAKE;
	info = tls_session_info(s->stream);
	s->verified = info->matched && !p->forgeable;
	log_session(s, info, p->level >= SMTP_TLS_VERIFY || p->tlsa_base);
	return acceptable(info, pool, p, why) ? SMTP_TLS_OK : SMTP_TLS_UNVERIFIED;
}
