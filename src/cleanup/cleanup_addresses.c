/* Addresses in header fields: standard form, canonical tables, masquerading. */
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/header_addresses.h"

struct mapping {
	struct cleanup *c;
	int class;
};

/* A quoted "user@site" without domain gets one, or its inside would be taken for one. */
static bool map_address(void *arg, struct str from, bool has_domain, struct buf *to)
{
	const struct mapping *m = arg;
	const struct config *cfg = m->c->env->cfg;
	const bool local = m->c->options.local_rewrite;
	const char *origin = local ? cfg->myorigin : cfg->remote_header_rewrite_domain;
	struct buf whole = BUF(4 * ADDRESS_MAX);

	buf_str(&whole, from);
	if (!has_domain && cfg->append_at_myorigin && str_find(from, '@') >= 0)
		buf_printf(&whole, "@%s", origin);
	rewrite_address(m->c->env->resolver, local, buf_slice(&whole), to);
	to->over = to->over || whole.over;
	buf_free(&whole);
	return cleanup_map_address(m->c, m->class, to);
}

static void replace_value(struct cleanup *c, struct str old, const struct buf *value)
{
	if (value->over)
		return;
	buf_truncate(&c->header, (size_t)(old.p - c->header.data));
	buf_str(&c->header, buf_slice(value));
}

bool cleanup_rewrite_header(struct cleanup *c, int class, struct str value)
{
	const struct config *cfg = c->env->cfg;
	struct mapping mapping = {c, class};
	struct buf out = BUF(c->header.max);
	enum header_change change;

	if (!c->options.local_rewrite && !cfg->remote_header_rewrite_domain[0])
		return true;
	change = header_addresses_map(
		value, (size_t)cfg->header_address_token_limit, map_address, &mapping, &out);
	if (change == HEADER_CHANGED)
		replace_value(c, value, &out);
	buf_free(&out);
	return change != HEADER_GIVEN_UP;
}
