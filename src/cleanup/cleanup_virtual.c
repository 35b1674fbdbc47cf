/* Virtual alias expansion (virtual(5)) and automatic BCC recipients. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/address_list.h"
#include "rewrite/alias_expand.h"
#include "rewrite/rewrite_map.h"

static bool unreasonable(struct cleanup *c, const struct alias_expansion *x)
{
	cleanup_complain(c,
		"unreasonable virtual_alias_maps map %s for %.100s -- message not accepted, try again later",
		x->unreasonable, x->culprit);
	return cleanup_fail(c, CLEANUP_TROUBLE, "4.6.0", "Alias expansion error");
}

bool cleanup_expand(struct cleanup *c, const struct spool_recipient *rcpt)
{
	struct alias_expansion x = {.resolver = c->env->resolver, .propagate = c->env->propagate_virtual};
	struct err err = {""};
	bool ok;

	if (!c->env->map_addresses) {
		cleanup_add_recipient(c, rcpt);
		return true;
	}
	ok = alias_expand(&x, rcpt->address, &err) == TABLE_FOUND;
	for (size_t i = 0; ok && i < x.count; i++) {
		struct spool_recipient copy = *rcpt;

		copy.address = pool_strdup(c->pool, x.list[i].address);
		cleanup_add_recipient(c, &copy);
	}
	if (x.unreasonable)
		unreasonable(c, &x);
	else if (!ok)
		cleanup_map_trouble(c, "virtual_alias_maps", rcpt->address, &err);
	alias_expansion_free(&x);
	return ok;
}

bool cleanup_add_bcc(struct cleanup *c, const char *address)
{
	struct buf out = BUF(4 * ADDRESS_MAX);
	struct spool_recipient rcpt = {.notify = NOTIFY_NEVER};

	rewrite_address(c->env->resolver, true, str_c(address), &out);
	rcpt.address = rcpt.original = pool_strdup(c->pool, buf_cstr(&out));
	buf_free(&out);
	return cleanup_expand(c, &rcpt);
}

static bool bcc_by_table(struct cleanup *c, struct maps *maps, const char *name, const char *address)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct address_list results = {0};
	struct err err = {""};
	enum table_status status = rewrite_lookup(c->env->resolver, maps, str_c(address), &value, NULL, &err);
	bool ok = true;

	if (status == TABLE_FOUND && address_list_parse(buf_slice(&value), &results) && results.count > 0)
		ok = cleanup_add_bcc(c, results.items[0]);
	else if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
		ok = cleanup_map_trouble(c, name, address, &err);
	address_list_free(&results);
	buf_free(&value);
	return ok;
}

static bool wants_bcc(const struct cleanup *c)
{
	return c->env->map_addresses && !cleanup_is_trusted(&c->options);
}

bool cleanup_recipient_bcc(struct cleanup *c, const char *address)
{
	return !wants_bcc(c) || bcc_by_table(c, c->env->recipient_bcc, "recipient_bcc_maps", address);
}

bool cleanup_message_bcc(struct cleanup *c)
{
	const char *always = c->env->cfg->always_bcc;
	const char *sender = c->envelope.sender;

	if (!wants_bcc(c))
		return true;
	if (always[0] && !cleanup_add_bcc(c, always))
		return false;
	return !sender[0] || bcc_by_table(c, c->env->sender_bcc, "sender_bcc_maps", sender);
}
