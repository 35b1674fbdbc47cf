#include "config/expand.h"
#include "local/local.h"
#include "mail/address.h"

struct local_name local_name_of(const struct local_env *env, struct pool *pool, const char *address)
{
	const char *delimiters = env->cfg->recipient_delimiter;
	struct str local = address_local(str_c(address)), domain = address_domain(str_c(address));
	char *lower = pool_strndup(pool, local.p, local.n);
	struct local_name name = {.address = address, .extension = ""};
	ptrdiff_t at;

	ascii_lower(lower);
	at = address_extension(str_c(lower), delimiters);
	if (at < 0 && !env->cfg->owner_request_special)
		at = address_extension_of_any(str_c(lower), delimiters);
	name.local = lower;
	name.user = at < 0 ? lower : pool_strndup(pool, lower, (size_t)at);
	name.domain = pool_strndup(pool, domain.p, domain.n);
	name.delimiter[0] = delimiters[0];
	if (at >= 0) {
		name.extension = lower + at + 1;
		name.delimiter[0] = lower[at];
	}
	return name;
}

struct names {
	const struct local_name *name;
	const struct deliver_user *user;
	const char *filter;
	bool path;
	struct pool *pool;
};

static const char *value_of(const struct names *n, const char *name, bool *from_mail)
{
	const struct local_name *r = n->name;
	const struct {
		const char *name, *value;
		bool from_mail;
	} rows[] = {
		{"user", r->user, true},
		{"recipient", r->address, true},
		{"extension", r->extension, true},
		{"domain", r->domain, true},
		{"local", r->local, true},
		{"mailbox", r->local, true},
		{"recipient_delimiter", r->delimiter, false},
		{"home", n->user ? n->user->home : "", false},
		{"shell", n->user ? n->user->shell : "", false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (strcmp(rows[i].name, name) == 0) {
			*from_mail = rows[i].from_mail;
			return rows[i].value;
		}
	}
	return NULL;
}

static enum expand_found lookup(void *arg, const char *name, const char **value)
{
	const struct names *n = arg;
	bool from_mail = false;
	const char *found = value_of(n, name, &from_mail);
	char *copy;

	if (!found)
		return EXPAND_UNDEFINED;
	copy = pool_strdup(n->pool, n->filter ? deliver_filtered(n->pool, found, n->filter) : found);
	for (char *p = copy; n->path && from_mail && *p; p++) {
		if (*p == '/')
			*p = '_';
	}
	*value = copy;
	return EXPAND_FINAL;
}

bool local_names_expand(const char *text, const struct local_name *name, const struct deliver_user *user,
	const char *filter, bool path, struct buf *out, struct err *err)
{
	struct names n = {name, user, filter, path, pool_new(1024)};
	bool ok = expand(text, lookup, &n, out, err);

	pool_free(&n.pool);
	return ok;
}
