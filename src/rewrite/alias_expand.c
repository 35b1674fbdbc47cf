#include "rewrite/alias_expand.h"

#include "base/mem.h"
#include "mail/address.h"
#include "mail/address_list.h"
#include "rewrite/resolver.h"
#include "rewrite/rewrite_map.h"

static void expansion_add(struct alias_expansion *x, const char *address, int depth, bool final)
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

void alias_expansion_free(struct alias_expansion *x)
{
	for (size_t i = 0; i < x->count; i++)
		x_free(&x->list[i].address);
	x_free(&x->list);
	x_free(&x->culprit);
}

static bool unreasonable(struct alias_expansion *x, const char *what, const char *address)
{
	x->unreasonable = what;
	x->culprit = x_strdup(address);
	return false;
}

/* Puts one result for key in place of entry i when that is empty, else at the end. */
static bool expansion_take(struct alias_expansion *x, size_t i, const struct expanded *key,
	const char *result, struct str extension)
{
	const struct config *cfg = x->resolver->cfg;
	struct buf out = BUF(4 * ADDRESS_MAX);
	bool ok = true, final;

	rewrite_map_result(x->resolver, str_c(key->address), str_c(result), extension,
		x->resolver->propagate_virtual, &out);
	resolve_record(x->trace, "alias", "virtual_alias_maps", str_c(key->address), buf_slice(&out));
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
	struct alias_expansion *x, size_t i, const struct address_list *results, struct str extension)
{
	struct expanded key = x->list[i];
	bool ok = key.depth < x->resolver->cfg->virtual_alias_recursion_limit ||
		  unreasonable(x, "nesting", key.address);

	x->list[i].address = NULL;
	for (size_t k = 0; ok && k < results->count; k++)
		ok = expansion_take(x, i, &key, results->items[k], extension);
	x_free(&key.address);
	return ok;
}

/* FOUND: entry i was replaced, look again; NOT_FOUND: it is final. */
static enum table_status expansion_step(struct alias_expansion *x, size_t i, struct err *err)
{
	const char *address = x->list[i].address;
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct address_list results = {0};
	struct str extension;
	enum table_status status = rewrite_lookup(x->resolver, x->resolver->alias_maps, str_c(address),
		maps_lookup_written, &value, &extension, err);

	if (status == TABLE_FOUND && (!address_list_parse(buf_slice(&value), &results) || results.count == 0))
		status = rewrite_no_address(str_c(address), buf_slice(&value), err);
	if (status == TABLE_NOT_FOUND)
		resolve_record(x->trace, "alias", "virtual_alias_maps", str_c(address), STR(""));
	if (status == TABLE_FOUND && !expansion_replace(x, i, &results, extension))
		status = TABLE_MISCONFIGURED;
	address_list_free(&results);
	buf_free(&value);
	return status;
}

enum table_status alias_expand(struct alias_expansion *x, const char *address, struct err *err)
{
	expansion_add(x, address, 0, false);
	if (maps_empty(x->resolver->alias_maps))
		return TABLE_FOUND;
	for (size_t i = 0; i < x->count; i++) {
		enum table_status status = TABLE_FOUND;

		while (status == TABLE_FOUND && !x->list[i].final)
			status = expansion_step(x, i, err);
		if (status != TABLE_FOUND && status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_FOUND;
}
