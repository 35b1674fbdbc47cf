/* Addresses: as paths of the envelope, quoted and unquoted, rewritten and resolved. */
#include "../unit/support/test_config.h"
#include "base/mem.h"
#include "mail/address.h"
#include "rewrite/resolve.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct resolver *make_resolver(void)
{
	static struct config cfg;
	struct err err;

	cfg = test_config();
	cfg.recipient_delimiter = "+-";
	cfg.append_dot_mydomain = true;
	cfg.relay_domains = "relay.org, .sub.org";
	cfg.virtual_alias_domains = "va.org";
	cfg.virtual_alias_maps = "inline:{{a@va.org=b@x.org},{\"q r\"@va.org=c}}";
	cfg.transport_maps = "inline:{{t.org=smtp:[h]:25},{.t.org=:x},{*=}}, regexp:{{/^x(.*)@/ r:h}}";
	return resolver_new(&cfg, &err);
}

/* What is quoted means the same when it is read again. */
static void check_round_trip(struct str internal)
{
	struct buf external = BUF(8 * ADDRESS_MAX), again = BUF(8 * ADDRESS_MAX),
		   path = BUF(16 * ADDRESS_MAX);
	struct buf parsed = BUF(8 * ADDRESS_MAX);
	struct str rest;
	struct err err;

	address_quote(internal, &external);
	buf_printf(&path, "<%s>", buf_cstr(&external));
	rest = buf_slice(&path);
	if (address_parse_path(&rest, PATH_NULL_OK | PATH_UTF8 | PATH_POSTMASTER, &parsed, &err) &&
		!str_eq(buf_slice(&parsed), internal)) {
		address_quote(buf_slice(&parsed), &again);
		if (!str_eq(buf_slice(&again), buf_slice(&external)))
			abort();
	}
	buf_free(&external);
	buf_free(&again);
	buf_free(&path);
	buf_free(&parsed);
}

static void resolve(struct resolver *r, const char *internal)
{
	struct pool *pool = pool_new(1000);
	struct recipient_check check;
	struct resolved to;
	struct err err;

	if (resolve_address(r, internal, internal, pool, &to, &err) == TABLE_FOUND)
		resolve_check_recipient(r, &to, &check, &err);
	pool_free(&pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct resolver *r;
	struct buf internal = BUF(ADDRESS_MAX), out = BUF(4 * ADDRESS_MAX);
	struct str text = {(const char *)data, size};
	struct err err;

	if (!r)
		r = make_resolver();
	if (size > 2000 || !address_parse_path(&text, size ? data[0] & 15 : 0, &internal, &err)) {
		buf_free(&internal);
		return 0;
	}
	check_round_trip(buf_slice(&internal));
	rewrite_address(r, size & 1, buf_slice(&internal), &out);
	address_extension(address_local(buf_slice(&internal)), "+-");
	resolve(r, buf_cstr(&internal));
	buf_free(&internal);
	buf_free(&out);
	return 0;
}
