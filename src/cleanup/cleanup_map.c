/* Addresses on their way to standard form, through canonical(5) tables and masquerading (ADDRESS_REWRITING).
 */
#include "base/log.h"
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/event.h"
#include "rewrite/rewrite_map.h"

#define CANONICAL_DEPTH_MAX 10 /* results that are looked up again */

void cleanup_complain(struct cleanup *c, const char *fmt, ...)
{
	struct buf text = BUF(1000);
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	EVENT_LOG(CLEANUP_TROUBLE, ev_text("qid", c->id.text), ev_text("text", buf_cstr(&text)));
	buf_free(&text);
}

bool cleanup_map_trouble(struct cleanup *c, const char *maps, const char *address, const struct err *err)
{
	cleanup_complain(c, "%s map lookup problem for %s (%s) -- message not accepted, try again later",
		maps, address, err->text);
	return cleanup_fail(c, CLEANUP_TROUBLE, NULL, "Error: queue file write error");
}

/* One lookup; 1: *address was replaced, 0: it stays, -1: trouble, and the message is lost. */
static int canonical_step(struct cleanup *c, struct maps *maps, const char *name, struct buf *address)
{
	struct buf next = BUF(4 * ADDRESS_MAX);
	struct err err = {""};
	bool several;
	enum table_status status = rewrite_map(c->env->resolver, maps, buf_slice(address),
		c->env->propagate_canonical, &next, &several, &err);
	int changed = 0;

	if (status == TABLE_FOUND) {
		if (several)
			cleanup_complain(c, "multi-valued %s entry for %s", name, buf_cstr(address));
		changed = !str_case_eq(buf_slice(&next), buf_slice(address));
		buf_clear(address);
		buf_str(address, buf_slice(&next));
	} else if (status != TABLE_NOT_FOUND) {
		cleanup_map_trouble(c, name, buf_cstr(address), &err);
		changed = -1;
	}
	buf_free(&next);
	return changed;
}

/* Results are looked up again; going in circles, or growing without end, leaves the address as it was. */
static bool map_canonical(struct cleanup *c, struct maps *maps, const char *name, struct buf *address)
{
	struct buf start = BUF(4 * ADDRESS_MAX);
	int depth = 0, changed = 0;

	if (maps_empty(maps))
		return true;
	buf_str(&start, buf_slice(address));
	while (depth < CANONICAL_DEPTH_MAX && (changed = canonical_step(c, maps, name, address)) > 0)
		depth++;
	if (depth == CANONICAL_DEPTH_MAX || address->over || address->len > ADDRESS_MAX) {
		cleanup_complain(c, "unreasonable %s map nesting for %s -- address not changed", name,
			buf_cstr(&start));
		buf_clear(address);
		buf_str(address, buf_slice(&start));
	}
	buf_free(&start);
	return changed >= 0;
}

/* The domain that hides this one; empty: none. "!domain" ends the search. */
static struct str masquerade_domain(const struct config *cfg, struct str domain)
{
	struct str rest = str_c(cfg->masquerade_domains), word;

	while (str_word(&rest, ", \t\r\n", &word)) {
		bool not = word.p[0] == '!';
		struct str name = str_from(word, not ), tail;

		if (domain.n < name.n)
			continue;
		tail = str_from(domain, domain.n - name.n);
		if (!str_case_eq(tail, name) || (domain.n > name.n && tail.p[-1] != '.'))
			continue;
		return not ? STR("") : name;
	}
	return STR("");
}

static bool masquerade(struct cleanup *c, struct buf *address)
{
	struct str whole = buf_slice(address), domain = address_domain(whole), parent;
	enum table_status status;
	struct err err = {""};

	parent = domain.n ? masquerade_domain(c->env->cfg, domain) : STR("");
	if (parent.n == 0 || parent.n == domain.n)
		return true;
	status = matchlist_name(c->env->masquerade_exceptions, address_local(whole), &err);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		return cleanup_map_trouble(c, "masquerade_exceptions", buf_cstr(address), &err);
	if (status == TABLE_NOT_FOUND)
		buf_remove(address, whole.n - domain.n, domain.n - parent.n);
	return true;
}

bool cleanup_map_address(struct cleanup *c, int class, struct buf *address)
{
	const struct cleanup_env *env = c->env;

	if (!env->map_addresses || address->len == 0)
		return true;
	if ((class & env->sender_canonical_classes) &&
		!map_canonical(c, env->sender_canonical, "sender_canonical_maps", address))
		return false;
	if ((class & env->recipient_canonical_classes) &&
		!map_canonical(c, resolver_recipient_canonical_maps(env->resolver),
			"recipient_canonical_maps", address))
		return false;
	if ((class & env->canonical_classes) &&
		!map_canonical(c, resolver_canonical_maps(env->resolver), "canonical_maps", address))
		return false;
	return !(class & env->masquerade_classes) || masquerade(c, address);
}
