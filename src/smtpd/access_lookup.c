/* The order in which access(5) tables are asked. */
#include "base/log.h"
#include "mail/address.h"
#include "smtpd/access.h"
#include "smtpd/session.h"

#define KEY_MAX 1200

/* Pattern tables see the whole key only; parts of it would match by accident. */
static bool takes_parts(const struct rule *rule)
{
	return !table_is_pattern(rule->table);
}

struct lookup {
	struct access *a;
	const struct rule *rule;
	const char *subject, *subject_class;
	struct answer *out;
};

static void refuse_for_now(const struct lookup *l)
{
	answer_refuse(l->a, l->out, VERDICT_REFUSE, 451, "4.3.5",
		"<%s>: %s rejected: Server configuration error", l->subject, l->subject_class);
}

/* One key: true when the search ends here. */
static bool lookup_key(const struct lookup *l, struct str key)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	enum table_status status = table_lookup(l->rule->table, key, &value, &err);

	/* A table that answers with nothing is broken: who knows what it was to say. */
	if (status == TABLE_FOUND && str_trim(buf_slice(&value)).n == 0) {
		log_warning("%s lookup of " STR_FMT " returns an empty string result", l->rule->argument,
			STR_ARG(str_first(key, 200)));
		log_warning("%s should return NO RESULT in case of NOT FOUND", l->rule->argument);
		refuse_for_now(l);
	} else if (status == TABLE_FOUND) {
		access_result(l->a, l->rule, pool_strndup(l->a->pool, key.p, key.n),
			pool_strdup(l->a->pool, buf_cstr(&value)), l->subject, l->subject_class, l->out);
	} else if (status != TABLE_NOT_FOUND) {
		log_warning("%s: table lookup problem: %s", l->rule->argument, err.text);
		refuse_for_now(l);
	}
	buf_free(&value);
	return status != TABLE_NOT_FOUND;
}

/* A key with a local part: as it has to be written, then without the quotes. */
static bool lookup_quoted(const struct lookup *l, struct str key)
{
	struct buf written = BUF(2 * KEY_MAX);
	bool done;

	address_quote(key, &written);
	done = !written.over && !str_eq(buf_slice(&written), key) && lookup_key(l, buf_slice(&written));
	buf_free(&written);
	return done || lookup_key(l, key);
}

static bool lookup_domain(const struct lookup *l, struct str name)
{
	bool plain = matchlist_parent_flag(l->a->session->cfg->parent_domain_matches_subdomains,
			     "smtpd_access_maps") == MATCH_PARENT;
	ptrdiff_t dot;

	if (name.n == 0)
		return false;
	if (lookup_key(l, name))
		return true;
	if (!takes_parts(l->rule) || name.p[0] == '[')
		return false;
	while ((dot = str_find(name, '.')) >= 0) {
		struct str parent = str_from(name, (size_t)dot + 1);

		if (parent.n == 0)
			break;
		if (lookup_key(l, plain ? parent : str_from(name, (size_t)dot)))
			return true;
		name = parent;
	}
	return false;
}

static bool lookup_address(const struct lookup *l, struct str address)
{
	char separator = str_find(address, ':') >= 0 ? ':' : '.';
	ptrdiff_t at;

	if (lookup_key(l, address))
		return true;
	if (!takes_parts(l->rule))
		return false;
	while ((at = str_rfind(address, separator)) > 0) {
		address = str_first(address, (size_t)at);
		/* "2001:db8::1" goes on with "2001:db8". */
		while (address.n > 0 && address.p[address.n - 1] == separator)
			address.n--;
		if (address.n > 0 && lookup_key(l, address))
			return true;
	}
	return false;
}

/* "local" without its extension and '@' with tail after it; empty when there is no extension. */
static struct str without_extension(
	const struct lookup *l, struct str address, bool with_domain, char key[KEY_MAX])
{
	struct str local = address_local(address);
	ptrdiff_t ext = address_extension(local, l->a->session->cfg->recipient_delimiter);
	struct str domain = with_domain ? address_domain(address) : (struct str){"", 0};

	if (ext <= 0 || local.n + domain.n + 1 >= KEY_MAX)
		return (struct str){"", 0};
	return (struct str){
		key, (size_t)snprintf(key, KEY_MAX, STR_FMT "@" STR_FMT, (int)ext, local.p, STR_ARG(domain))};
}

static bool lookup_local(const struct lookup *l, struct str address)
{
	struct str local = address_local(address), bare;
	char key[KEY_MAX];

	if (local.n == address.n || local.n + 2 > KEY_MAX)
		return false;
	if (lookup_quoted(l, str_first(address, local.n + 1)))
		return true;
	bare = without_extension(l, address, false, key);
	return bare.n > 0 && lookup_quoted(l, bare);
}

static bool lookup_mail(const struct lookup *l, struct str address)
{
	char key[KEY_MAX];
	struct str bare;

	if (lookup_quoted(l, address))
		return true;
	if (!takes_parts(l->rule))
		return false;
	bare = without_extension(l, address, true, key);
	if (bare.n > 0 && lookup_quoted(l, bare))
		return true;
	return lookup_domain(l, address_domain(address)) || lookup_local(l, address);
}

bool access_lookup_name(struct access *a, const struct rule *rule, const char *name, const char *subject,
	const char *subject_class, struct answer *out)
{
	return lookup_domain(&(struct lookup){a, rule, subject, subject_class, out}, str_c(name));
}

bool access_lookup_address(struct access *a, const struct rule *rule, const char *address,
	const char *subject, const char *subject_class, struct answer *out)
{
	return lookup_address(&(struct lookup){a, rule, subject, subject_class, out}, str_c(address));
}

bool access_lookup_mail(struct access *a, const struct rule *rule, const char *address, const char *subject,
	const char *subject_class, struct answer *out)
{
	return lookup_mail(&(struct lookup){a, rule, subject, subject_class, out}, str_c(address));
}

bool access_lookup_key(struct access *a, const struct rule *rule, const char *key, const char *subject,
	const char *subject_class, struct answer *out)
{
	return lookup_key(&(struct lookup){a, rule, subject, subject_class, out}, str_c(key));
}
