#include "rewrite/rewrite_map.h"

#include "mail/address.h"
#include "mail/address_list.h"
#include "rewrite/resolver.h"

enum table_status rewrite_no_address(struct str key, struct str value, struct err *err)
{
	err_set(err, "lookup of " STR_FMT " returns non-address result \"" STR_FMT "\"", STR_ARG(key),
		STR_ARG(str_first(value, 100)));
	return TABLE_MISCONFIGURED;
}

enum table_status rewrite_lookup(struct resolver *r, struct maps *maps, struct str address,
	maps_address_fn *ask, struct buf *value, struct str *extension, struct err *err)
{
	enum table_status bare;

	if (maps_empty(maps))
		return TABLE_NOT_FOUND;
	bare = resolve_is_bare_domain(r, address_domain(address), err);
	if (bare != TABLE_FOUND && bare != TABLE_NOT_FOUND)
		return bare;
	return ask(maps, address, r->cfg->recipient_delimiter, bare == TABLE_FOUND, value, extension, err);
}

/* A result in full: "@domain" is the user of the key there. */
static void complete_result(struct str key, struct str result, struct str extension, struct buf *out)
{
	struct str local = address_local(key);

	if (result.n && address_local(result).n == 0) {
		if (str_ends(local, extension))
			local.n -= extension.n;
		buf_str(out, local);
	}
	buf_str(out, result);
}

void rewrite_map_result(struct resolver *r, struct str key, struct str result, struct str extension,
	bool propagate, struct buf *out)
{
	struct buf complete = BUF(4 * ADDRESS_MAX), form = BUF(4 * ADDRESS_MAX);
	struct str local;

	complete_result(key, result, extension, &complete);
	rewrite_address(r, true, buf_slice(&complete), &form);
	local = address_local(buf_slice(&form));
	buf_str(out, local);
	if (propagate)
		buf_str(out, extension);
	buf_str(out, str_from(buf_slice(&form), local.n));
	buf_free(&complete);
	buf_free(&form);
}

enum table_status rewrite_map(struct resolver *r, struct maps *maps, struct str address, bool propagate,
	struct buf *out, bool *several, struct err *err)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct address_list list = {0};
	struct str extension;
	enum table_status status =
		rewrite_lookup(r, maps, address, maps_lookup_written, &value, &extension, err);

	*several = false;
	if (status == TABLE_FOUND) {
		if (address_list_parse(buf_slice(&value), &list) && list.count > 0)
			rewrite_map_result(r, address, str_c(list.items[0]), extension, propagate, out);
		else
			status = rewrite_no_address(address, buf_slice(&value), err);
		*several = list.count > 1;
	}
	address_list_free(&list);
	buf_free(&value);
	return status;
}
