/* Virtual alias expansion (virtual(5)) and automatic BCC recipients. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "rewrite/alias_expand.h"

static bool unreasonable(struct cleanup *c, const struct alias_expansion *x)
{
	cleanup_complain(c,
		"unreasonable virtual_alias_maps map %s for %.100s -- message not accepted, try again later",
		x->unreasonable, x->culprit);
	return cleanup_fail(c, CLEANUP_TROUBLE, "4.6.0", "Alias expansion error");
}

bool cleanup_expand(struct cleanup *c, const struct spool_recipient *rcpt)
{
	struct alias_expansion x = {.resolver = c->env->resolver};
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
	struct spool_recipient rcpt = {.notify = NOTIFY_NEVER};

	rcpt.address = rcpt.original = cleanup_canonical_form(c, CLASS_ENVELOPE_RECIPIENT, address);
	return cleanup_expand(c, &rcpt);
}

static bool add_found(struct cleanup *c, enum table_status status, const char *parameter, const char *address,
	const struct buf *copy, const struct err *err)
{
	if (status == TABLE_FOUND)
		return cleanup_add_bcc(c, buf_cstr(copy));
	return status == TABLE_NOT_FOUND || cleanup_map_trouble(c, parameter, address, err);
}

static bool wants_bcc(const struct cleanup *c)
{
	return c->env->map_addresses && !cleanup_is_trusted(&c->options);
}

bool cleanup_recipient_bcc(struct cleanup *c, const char *address)
{
	struct buf copy = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status = TABLE_NOT_FOUND;
	bool ok;

	if (wants_bcc(c))
		status = mapping_recipient_copy(c->env->mapping, NULL, address, &copy, &err);
	ok = add_found(c, status, "recipient_bcc_maps", address, &copy, &err);
	buf_free(&copy);
	return ok;
}

static bool sender_bcc(struct cleanup *c)
{
	struct buf copy = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	const char *sender = c->envelope.sender;
	enum table_status status = TABLE_NOT_FOUND;
	bool ok;

	if (sender[0])
		status = mapping_sender_copy(c->env->mapping, NULL, sender, &copy, &err);
	ok = add_found(c, status, "sender_bcc_maps", sender, &copy, &err);
	buf_free(&copy);
	return ok;
}

bool cleanup_message_bcc(struct cleanup *c)
{
	const char *always = c->env->cfg->always_bcc;

	if (!wants_bcc(c))
		return true;
	return sender_bcc(c) && (!always[0] || cleanup_add_bcc(c, always));
}
