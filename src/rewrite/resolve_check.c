/* Whether a recipient exists: reject_unlisted_recipient, and the sender's twin. */
#include "mail/address.h"
#include "mail/dsn.h"
#include "rewrite/resolver.h"

static enum table_status listed(
	struct resolver *r, struct maps *maps, const char *recipient, bool bare, struct err *err)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = maps_lookup_address(
		maps, str_c(recipient), r->cfg->recipient_delimiter, bare, &value, NULL, err);

	buf_free(&value);
	return status;
}

/* An address that is rewritten to something else is known, whatever its class. */
static enum table_status rewritten_elsewhere(
	struct resolver *r, const char *recipient, bool bare, struct err *err)
{
	struct maps *const maps[] = {r->recipient_canonical_maps, r->canonical_maps, r->alias_maps};

	for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++) {
		enum table_status status = listed(r, maps[i], recipient, bare, err);

		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}

/* The text of the error transport, "5.1.6 User has moved ...", which may go without status. */
static void unknown_by_transport(
	const struct resolver *r, const struct resolved *to, struct recipient_check *out)
{
	size_t n = dsn_status_length(str_c(to->nexthop));
	bool retry = strcmp(to->transport, "retry") == 0;
	bool alias =
		to->class == CLASS_VIRTUAL_ALIAS && strcmp(to->nexthop, route_unknown_alias(r->rules)) == 0;

	out->own_status = n > 0 && n < sizeof(out->dsn_text);
	memcpy(out->dsn_text, out->own_status ? to->nexthop : "5.1.1", out->own_status ? n : 5);
	out->dsn_text[0] = retry ? '4' : '5';
	out->dsn = out->dsn_text;
	out->text = str_trim(str_from(str_c(to->nexthop), n)).p;
	out->code = alias ? r->cfg->unknown_virtual_alias_reject_code : retry ? 450 : 550;
	out->status = TABLE_NOT_FOUND;
}

static void unknown_in_table(const struct resolver *r, enum address_class class, struct recipient_check *out)
{
	const struct config *cfg = r->cfg;
	const struct {
		int code;
		const char *text;
	} rows[] = {
		[CLASS_LOCAL] = {cfg->unknown_local_recipient_reject_code,
			"User unknown in local recipient table"},
		[CLASS_VIRTUAL_MAILBOX] = {cfg->unknown_virtual_mailbox_reject_code,
			"User unknown in virtual mailbox table"},
		[CLASS_RELAY] = {cfg->unknown_relay_recipient_reject_code,
			"User unknown in relay recipient table"},
	};

	out->status = TABLE_NOT_FOUND;
	out->dsn = "5.1.1";
	out->code = rows[class].code;
	out->text = cfg->show_user_unknown_table_name ? rows[class].text : "User unknown";
}

/* The table of the class's recipients; NULL: every recipient exists. */
static struct maps *class_table(struct resolver *r, enum address_class class)
{
	switch (class) {
	case CLASS_LOCAL:
		return r->local_recipients;
	case CLASS_VIRTUAL_MAILBOX:
		return r->mailbox_maps;
	case CLASS_RELAY:
		return r->relay_recipients;
	case CLASS_VIRTUAL_ALIAS: /* those that exist are aliases */
	case CLASS_DEFAULT:
		break;
	}
	return NULL;
}

/* Names of the mail system itself, accepted whether a table has them or not (RFC 5321 section 4.5.1). */
static bool is_system_name(const struct resolver *r, const struct resolved *to)
{
	struct str local = address_local(str_c(to->recipient));

	return to->class == CLASS_LOCAL &&
	       (str_case_is(local, "postmaster") || str_case_is(local, "mailer-daemon") ||
		       str_case_is(local, r->cfg->double_bounce_sender));
}

static void check_class(struct resolver *r, const struct resolved *to, bool bare, struct recipient_check *out,
	struct err *err)
{
	struct maps *table = class_table(r, to->class);

	out->status = TABLE_FOUND;
	if (!table || maps_empty(table) || is_system_name(r, to))
		return;
	out->status = listed(r, table, to->recipient, bare, err);
	if (out->status == TABLE_NOT_FOUND)
		unknown_in_table(r, to->class, out);
}

void resolve_check_recipient(
	struct resolver *r, const struct resolved *to, struct recipient_check *out, struct err *err)
{
	enum table_status bare;

	*out = (struct recipient_check){.status = TABLE_FOUND};
	if (to->error) {
		unknown_by_transport(r, to, out);
		return;
	}
	bare = resolve_is_bare_domain(r, address_domain(str_c(to->recipient)), err);
	if (bare == TABLE_FOUND || bare == TABLE_NOT_FOUND)
		out->status = rewritten_elsewhere(r, to->recipient, bare == TABLE_FOUND, err);
	else
		out->status = bare;
	if (out->status != TABLE_NOT_FOUND)
		return;
	if (route_is_refusal(str_c(to->transport)))
		unknown_by_transport(r, to, out);
	else
		check_class(r, to, bare == TABLE_FOUND, out, err);
}
