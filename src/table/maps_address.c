/*
 * The order of lookups for an address. Keys are tried in external form, as postmap(1) sources have them; a
 * local part that needs quotes is tried without them too.
 */
#include "mail/address.h"
#include "table/maps.h"

struct query {
	struct maps *maps;
	struct str local, domain; /* domain with its @, or empty */
	struct str bare;	  /* local part without extension */
	struct str extension;	  /* with its delimiter; empty: none */
	bool written;		  /* only keys in external form */
	struct buf *value;
	struct err *err;
};

/* Quoting looks at the whole address, so a local part alone gets a domain for the moment. */
static void quote(struct str local, struct str domain, struct buf *quoted)
{
	struct buf plain = BUF(4 * ADDRESS_MAX);

	buf_str(&plain, local);
	buf_str(&plain, domain.n ? domain : STR("@x"));
	address_quote(buf_slice(&plain), quoted);
	if (domain.n == 0 && quoted->len >= 2)
		buf_truncate(quoted, quoted->len - 2);
	buf_free(&plain);
}

static enum table_status ask(struct query *q, struct str local, struct str domain, bool part)
{
	struct buf plain = BUF(2 * ADDRESS_MAX), quoted = BUF(8 * ADDRESS_MAX);
	enum table_status status = TABLE_NOT_FOUND;
	enum table_status (*lookup)(struct maps *, struct str, struct buf *, struct err *) =
		part ? maps_lookup_part : maps_lookup;

	buf_str(&plain, local);
	buf_str(&plain, domain);
	quote(local, domain, &quoted);
	if (!plain.over && !quoted.over) {
		status = lookup(q->maps, buf_slice(&quoted), q->value, q->err);
		if (status == TABLE_NOT_FOUND && !q->written &&
			!str_eq(buf_slice(&plain), buf_slice(&quoted)))
			status = lookup(q->maps, buf_slice(&plain), q->value, q->err);
	}
	buf_free(&plain);
	buf_free(&quoted);
	return status;
}

static enum table_status ask_bare(struct query *q, struct str domain, struct str *extension_kept)
{
	enum table_status status;

	if (q->extension.n == 0)
		return TABLE_NOT_FOUND;
	status = ask(q, q->bare, domain, true);
	if (status == TABLE_FOUND)
		*extension_kept = q->extension;
	return status;
}

static enum table_status ask_user(struct query *q, bool local_domain, struct str *extension_kept)
{
	enum table_status status;

	if (!local_domain || q->domain.n == 0)
		return TABLE_NOT_FOUND;
	status = ask(q, q->local, STR(""), true);
	if (status == TABLE_NOT_FOUND)
		status = ask_bare(q, STR(""), extension_kept);
	return status;
}

static enum table_status ask_domain(struct query *q)
{
	if (q->domain.n == 0)
		return TABLE_NOT_FOUND;
	return maps_lookup_part(q->maps, q->domain, q->value, q->err);
}

static void query_init(struct query *q, struct str address, const char *delimiters)
{
	ptrdiff_t split;

	q->local = q->bare = address_local(address);
	q->domain = str_from(address, q->local.n);
	split = address_extension(q->local, delimiters);
	if (split > 0) {
		q->bare = str_first(q->local, (size_t)split);
		q->extension = str_from(q->local, (size_t)split);
	}
}

static enum table_status ask_whole(struct query *q, struct str *extension_kept)
{
	enum table_status status = ask(q, q->local, q->domain, false);

	if (status == TABLE_NOT_FOUND)
		status = ask_bare(q, q->domain, extension_kept);
	return status;
}

enum table_status maps_lookup_user(struct maps *m, struct str address, const char *delimiters,
	struct buf *value, struct str *extension_kept, struct err *err)
{
	struct query q = {.maps = m, .value = value, .err = err};
	struct str none;

	if (!extension_kept)
		extension_kept = &none;
	*extension_kept = STR("");
	if (m->count == 0)
		return TABLE_NOT_FOUND;
	query_init(&q, address, delimiters);
	return ask_whole(&q, extension_kept);
}

static enum table_status lookup_address(struct query *q, struct str address, const char *delimiters,
	bool local_domain, struct str *extension_kept)
{
	enum table_status status;
	struct str none;

	if (!extension_kept)
		extension_kept = &none;
	*extension_kept = STR("");
	if (q->maps->count == 0)
		return TABLE_NOT_FOUND;
	query_init(q, address, delimiters);
	status = ask_whole(q, extension_kept);
	if (status == TABLE_NOT_FOUND)
		status = ask_user(q, local_domain, extension_kept);
	if (status == TABLE_NOT_FOUND)
		status = ask_domain(q);
	return status;
}

enum table_status maps_lookup_address(struct maps *m, struct str address, const char *delimiters,
	bool local_domain, struct buf *value, struct str *extension_kept, struct err *err)
{
	struct query q = {.maps = m, .value = value, .err = err};

	return lookup_address(&q, address, delimiters, local_domain, extension_kept);
}

enum table_status maps_lookup_written(struct maps *m, struct str address, const char *delimiters,
	bool local_domain, struct buf *value, struct str *extension_kept, struct err *err)
{
	struct query q = {.maps = m, .written = true, .value = value, .err = err};

	return lookup_address(&q, address, delimiters, local_domain, extension_kept);
}
