/* Virtual alias expansion (virtual(5)) and automatic BCC recipients. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/address_list.h"

struct expanded {
	char *address;
	int depth;  /* how many lookups led to it */
	bool final; /* not looked up again: an alias that names itself */
};

/* The addresses an original recipient becomes; each is looked up in its turn. */
struct expansion {
	struct cleanup *c;
	struct expanded *list;
	size_t count, cap;
};

static void expansion_add(struct expansion *x, const char *address, int depth, bool final)
{
	for (size_t i = 0; i < x->count; i++) {
		if (x->list[i].address && ascii_casecmp(x->list[i].address, address) == 0)
			return;
	}
	if (x->count == x->cap) {
		x->cap = x->cap ? x->cap * 2 : 4;
		x->list = x_realloc(x->list, x->cap * sizeof(*x->list));
	}
	x->list[x->count++] = (struct expanded){x_strdup(address), depth, final};
}

static void expansion_free(struct expansion *x)
{
	for (size_t i = 0; i < x->count; i++)
		x_free(&x->list[i].address);
	x_free(&x->list);
}

static bool unreasonable(struct expansion *x, const char *what, const char *address)
{
	cleanup_complain(x->c,
		"unreasonable virtual_alias_maps map %s for %.100s -- message not accepted, try again later",
		what, address);
	return cleanup_fail(x->c, CLEANUP_TROUBLE, "4.6.0", "Alias expansion error");
}

/* Puts one result for key in place of entry i when that is empty, else at the end. */
static bool expansion_take(
	struct expansion *x, size_t i, const struct expanded *key, const char *result, struct str extension)
{
	const struct config *cfg = x->c->env->cfg;
	struct buf out = BUF(4 * ADDRESS_MAX);
	bool ok = true, final;

	cleanup_map_result(
		x->c, str_c(key->address), str_c(result), extension, x->c->env->propagate_virtual, &out);
	final = ascii_casecmp(buf_cstr(&out), key->address) == 0;
	if (out.over || out.len > (size_t)cfg->virtual_alias_address_length_limit)
		ok = unreasonable(x, "address length", key->address);
	else if (x->count >= (size_t)cfg->virtual_alias_expansion_limit)
		ok = unreasonable(x, "expansion size", key->address);
	else if (!x->list[i].address)
		x->list[i] = (struct expanded){x_strdup(buf_cstr(&out)), key->depth + 1, final};
	else
		expansion_add(x, buf_cstr(&out), key->depth + 1, final);
	buf_free(&out);
	return ok;
}

static bool expansion_replace(
	struct expansion *x, size_t i, const struct address_list *results, struct str extension)
{
	struct expanded key = x->list[i];
	bool ok = key.depth < x->c->env->cfg->virtual_alias_recursion_limit ||
		  unreasonable(x, "nesting", key.address);

	x->list[i].address = NULL;
	for (size_t k = 0; ok && k < results->count; k++)
		ok = expansion_take(x, i, &key, results->items[k], extension);
	x_free(&key.address);
	return ok;
}

/* 1: entry i was replaced, look again; 0: it is final; -1: the message is lost. */
static int expansion_step(struct expansion *x, size_t i)
{
	const char *address = x->list[i].address;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct address_list results = {0};
	struct str extension;
	struct err err = {""};
	enum table_status status = cleanup_lookup(
		x->c, resolver_alias_maps(x->c->env->resolver), str_c(address), &value, &extension, &err);
	int more = 0;

	if (status == TABLE_FOUND && address_list_parse(buf_slice(&value), &results) && results.count > 0) {
		more = expansion_replace(x, i, &results, extension) ? 1 : -1;
	} else if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
		cleanup_map_trouble(x->c, "virtual_alias_maps", address, &err);
		more = -1;
	}
	address_list_free(&results);
	buf_free(&value);
	return more;
}

static bool expand(struct expansion *x)
{
	for (size_t i = 0; i < x->count; i++) {
		int more = 1;

		while (more > 0 && !x->list[i].final)
			more = expansion_step(x, i);
		if (more < 0)
			return false;
	}
	return true;
}

bool cleanup_expand(struct cleanup *c, const struct spool_recipient *rcpt)
{
	struct expansion x = {.c = c};
	bool ok;

	if (!c->env->map_addresses || maps_empty(resolver_alias_maps(c->env->resolver))) {
		cleanup_add_recipient(c, rcpt);
		return true;
	}
	expansion_add(&x, rcpt->address, 0, false);
	ok = expand(&x);
	for (size_t i = 0; ok && i < x.count; i++) {
		struct spool_recipient copy = *rcpt;

		copy.address = pool_strdup(c->pool, x.list[i].address);
		cleanup_add_recipient(c, &copy);
	}
	expansion_free(&x);
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
	enum table_status status = cleanup_lookup(c, maps, str_c(address), &value, NULL, &err);
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
	return c->env->map_addresses && !c->options.internal;
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
