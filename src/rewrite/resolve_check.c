/* Whether a recipient exists: reject_unlisted_recipient, and the sender's twin. */
#include "mail/address.h"
#include "mail/dsn.h"
#include "rewrite/resolve_trace.h"
#include "rewrite/resolver.h"

struct check {
	struct resolver *r;
	const struct resolve_trace *trace; /* or NULL */
	const struct resolved *to;
	bool bare;
	struct err *err;
};

static enum table_status listed(const struct check *c, const char *parameter, struct maps *maps)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status;

	if (maps_empty(maps))
		return TABLE_NOT_FOUND;
	status = maps_lookup_address(
		maps, str_c(c->to->recipient), c->r->cfg->recipient_delimiter, c->bare, &value, NULL, c->err);
	resolve_record(c->trace, "recipient", parameter, str_c(c->to->recipient),
		status == TABLE_FOUND ? buf_slice(&value) : STR(""));
	buf_free(&value);
	return status;
}

/* An address that is rewritten to something else is known, whatever its class. */
static enum table_status rewritten_elsewhere(const struct check *c)
{
	const struct {
		const char *parameter;
		struct maps *maps;
	} rows[] = {
		{"recipient_canonical_maps", c->r->recipient_canonical_maps},
		{"canonical_maps", c->r->canonical_maps},
		{"virtual_alias_maps", c->r->alias_maps},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		enum table_status status = listed(c, rows[i].parameter, rows[i].maps);

		if (status != TABLE_NOT_FOUND)
			return status;
	}
	return TABLE_NOT_FOUND;
}

/* The text of the error transport, "5.1.6 User has moved ...", which may go without status. */
static void unknown_by_transport(
	const struct resolver *r, const struct resolved *to, struct recipient_check *out)
{
	struct str reason = str_trim(str_c(to->nexthop));
	size_t n = dsn_status_length(reason);
	bool retry = strcmp(to->transport, "retry") == 0, alias = to->class == CLASS_VIRTUAL_ALIAS;

	out->own_status = n > 0 && n < sizeof(out->dsn_text);
	memcpy(out->dsn_text, out->own_status ? reason.p : "5.1.1", out->own_status ? n : 5);
	out->dsn_text[0] = retry ? '4' : '5';
	out->dsn = out->dsn_text;
	out->text = str_trim(str_from(reason, n)).p;
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

/* Names of the mail system itself, accepted whether a table has them or not (RFC 5321 section 4.5.1). */
static bool is_system_name(const struct check *c)
{
	struct str local = address_local(str_c(c->to->recipient));

	return c->to->class == CLASS_LOCAL &&
	       (str_case_is(local, "postmaster") || str_case_is(local, "mailer-daemon") ||
		       str_case_is(local, c->r->cfg->double_bounce_sender));
}

/* Where a class has no table, every recipient exists. Those of virtual_alias_domains are aliases. */
static void check_class(const struct check *c, struct recipient_check *out)
{
	const struct {
		const char *parameter;
		struct maps *maps;
	} rows[] = {
		[CLASS_LOCAL] = {"local_recipient_maps", c->r->local_recipients},
		[CLASS_VIRTUAL_MAILBOX] = {"virtual_mailbox_maps", c->r->mailbox_maps},
		[CLASS_RELAY] = {"relay_recipient_maps", c->r->relay_recipients},
		[CLASS_DEFAULT] = {NULL, NULL},
	};
	struct maps *maps = rows[c->to->class].maps;

	out->status = TABLE_FOUND;
	if (!maps || maps_empty(maps) || is_system_name(c))
		return;
	out->status = listed(c, rows[c->to->class].parameter, maps);
	if (out->status == TABLE_NOT_FOUND)
		unknown_in_table(c->r, c->to->class, out);
}

void resolve_check_recipient_traced(struct resolver *r, const struct resolve_trace *trace,
	const struct resolved *to, struct recipient_check *out, struct err *err)
{
	struct check c = {.r = r, .trace = trace, .to = to, .err = err};
	enum table_status bare;

	*out = (struct recipient_check){.status = TABLE_FOUND};
	if (to->error) {
		unknown_by_transport(r, to, out);
		return;
	}
	bare = resolve_is_bare_domain(r, address_domain(str_c(to->recipient)), err);
	c.bare = bare == TABLE_FOUND;
	out->status = c.bare || bare == TABLE_NOT_FOUND ? rewritten_elsewhere(&c) : bare;
	if (out->status != TABLE_NOT_FOUND)
		return;
	if (route_is_refusal(r->rules, str_c(to->transport)))
		unknown_by_transport(r, to, out);
	else
		check_class(&c, out);
}

void resolve_check_recipient(
	struct resolver *r, const struct resolved *to, struct recipient_check *out, struct err *err)
{
	resolve_check_recipient_traced(r, NULL, to, out, err);
}
