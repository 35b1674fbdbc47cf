#include "smtp/smtp_generic.h"

#include "base/log.h"
#include "mail/address.h"
#include "mail/header_addresses.h"
#include "rewrite/rewrite_map.h"

static const char *parameter(const struct smtp_client *c)
{
	return c->lmtp ? "lmtp_generic_maps" : "smtp_generic_maps";
}

/* The resolver knows which domains may be left out in tables, and how results are completed. */
bool smtp_generic_open(struct smtp_client *c, struct err *err)
{
	if (!c->cfg->smtp_generic_maps[0])
		return true;
	c->generic = maps_open(parameter(c), c->cfg->smtp_generic_maps, TABLE_FOLD, err);
	c->generic_extensions = str_case_lists(c->cfg->propagate_unmatched_extensions, "generic");
	return c->generic && (c->resolver = resolver_new(c->cfg, err));
}

static void use_mapped(const struct smtp_client *c, struct str address, struct str mapped, struct buf *out)
{
	if (mapped.n <= ADDRESS_MAX)
		buf_str(out, mapped);
	else
		log_warning("%s: result for " STR_FMT " is too long -- address not changed", parameter(c),
			STR_ARG(address));
}

bool smtp_generic_map(const struct smtp_client *c, struct str address, struct buf *out, struct err *err)
{
	struct buf mapped = BUF(8 * ADDRESS_MAX);
	bool several = false;
	enum table_status status =
		rewrite_map(c->resolver, c->generic, address, c->generic_extensions, &mapped, &several, err);

	if (several)
		log_warning("multi-valued %s entry for " STR_FMT, parameter(c), STR_ARG(address));
	if (status == TABLE_FOUND)
		use_mapped(c, address, buf_slice(&mapped), out);
	buf_free(&mapped);
	return status == TABLE_FOUND || status == TABLE_NOT_FOUND;
}

struct header_mapping {
	const struct smtp_client *client;
	struct err *err;
};

static bool map_address(void *arg, struct str written, struct buf *to)
{
	const struct header_mapping *m = arg;
	struct buf internal = BUF(4 * ADDRESS_MAX);
	bool ok;

	address_unquote(written, &internal);
	ok = smtp_generic_map(m->client, buf_slice(&internal), to, m->err);
	buf_free(&internal);
	return ok;
}

bool smtp_generic_header(const struct smtp_client *c, struct str header, struct buf *out, struct err *err)
{
	struct header_mapping mapping = {c, err};
	struct header_map map = {.address = map_address, .arg = &mapping};
	enum header_change change =
		header_addresses_map(header, (size_t)c->cfg->header_address_token_limit, &map, out);

	if (change != HEADER_CHANGED || out->over)
		buf_clear(out);
	return change != HEADER_GIVEN_UP;
}
