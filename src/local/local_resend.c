/* New mail for what a recipient stands for. It is on stable storage before the recipient counts as done. */
#include "base/log.h"
#include "local/local.h"
#include "mail/address.h"
#include "mail/received.h"
#include "spool/spool_lines.h"

#define LEAF_ATTRIBUTE "local_leaf"
#define MAILBOX_ATTRIBUTE "local_mailbox"

/* What is known of where the message came from; the rest of a message's attributes is about its first
 * delivery. */
static const char *const kept[] = {"client_name", "client_address", "client_port", "helo_name",
	"protocol_name", "reverse_client_name", "sasl_method", "sasl_username", "sasl_sender", "body",
	"message_id"};

static struct cleanup *begin(const struct local_plan *plan, struct err *err)
{
	const char *context = delivery_attribute(plan->agent->request, "rewrite_context");
	const struct cleanup_options options = {
		.origin = "forward",
		.local_rewrite = !context || strcmp(context, "local") == 0,
		.forwarded = true,
		.queue = QUEUE_INCOMING,
		.client = "local",
	};

	return cleanup_begin(plan->env->cleanup, &options, err);
}

static void copy_attributes(const struct local_plan *plan, struct cleanup *c)
{
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		const char *value = delivery_attribute(plan->agent->request, kept[i]);

		if (value)
			cleanup_attribute(c, kept[i], value);
	}
}

static void add_received(const struct local_plan *plan, struct cleanup *c)
{
	const struct config *cfg = plan->env->cfg;
	const struct received r = {.my_name = cfg->myhostname,
		.mail_name = cfg->mail_name,
		.queue_id = cleanup_id(c)->text,
		.uid = -1,
		.when_us = cleanup_time(c)};
	struct buf out = BUF(4096);

	received_format(&r, &out);
	cleanup_prepend(c, buf_slice(&out));
	buf_free(&out);
}

static void add_delivered_to(const struct local_plan *plan, struct cleanup *c, const char *address)
{
	struct buf out = BUF(8 * ADDRESS_MAX);

	if (address && (plan->env->delivered_contexts & CONTEXT_FORWARD)) {
		deliver_address_header("Delivered-To", address, "", &out);
		cleanup_line(c, buf_slice(&out), false);
	}
	buf_free(&out);
}

static enum spool_status copy_content(struct local_plan *plan, struct cleanup *c, struct err *err)
{
	enum lines_result kind = LINES_LINE;
	enum spool_status status = spool_rewind(plan->reader) ? SPOOL_OK : SPOOL_TROUBLE;
	struct spool_lines l;
	struct str piece;

	if (status != SPOOL_OK)
		return status;
	spool_lines_begin(&l, plan->reader);
	while ((status = spool_lines_next(&l, &piece, &kind, err)) == SPOOL_OK && kind != LINES_END)
		if (!cleanup_line(c, piece, kind == LINES_PART))
			break;
	spool_lines_free(&l);
	return status;
}

static const struct dsn *refused(const struct local_plan *plan, const struct cleanup_result *result)
{
	bool forever = result->dsn[0] == '5';

	return dsn_make(plan->pool, forever ? DSN_FAILED : DSN_DELAYED, forever ? result->dsn : "4.3.0",
		"unable to forward message: %s", result->text);
}

static const struct dsn *finish(
	struct local_plan *plan, struct cleanup *c, const char *delivered, struct queue_id *id)
{
	struct cleanup_result result;
	struct err err = {""};
	enum spool_status status;
	char text[512];

	*id = *cleanup_id(c);
	add_received(plan, c);
	add_delivered_to(plan, c, delivered);
	status = copy_content(plan, c, &err);
	if (status != SPOOL_OK) {
		plan->corrupt |= status == SPOOL_CORRUPT;
		cleanup_abort(&c);
		return dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "cannot read the message: %s", err.text);
	}
	cleanup_end(&c, &result, text, sizeof(text));
	return result.status == CLEANUP_OK ? NULL : refused(plan, &result);
}

static const struct dsn *no_room(const struct local_plan *plan, const struct err *err)
{
	return dsn_make(plan->pool, DSN_DELAYED, "4.3.0", "unable to forward message: %s", err->text);
}

/* What the recipient is expanded to is not told to the sender, who hears that it was expanded (RFC 3461
 * section 5.2.7.3). */
static int notify_of(const struct local_plan *plan)
{
	int notify = plan->recipient->notify;

	if (notify == 0 || (notify & NOTIFY_NEVER))
		return notify;
	notify &= ~NOTIFY_SUCCESS;
	return notify ? notify : NOTIFY_NEVER;
}

static void set_sender(const struct local_plan *plan, struct cleanup *c, const char *sender, bool owned)
{
	const struct delivery_request *r = plan->agent->request;

	cleanup_sender(c, sender, owned ? NULL : r->envid, owned ? RET_NONE : r->ret,
		r->flags & (ENVELOPE_SMTPUTF8 | ENVELOPE_INTERNAL | ENVELOPE_LOCAL));
	copy_attributes(plan, c);
}

/* ---- addresses: those of one sender go together */

bool local_same_message(const struct local_leaf *a, const struct local_leaf *b)
{
	const struct local_where *x = &a->where, *y = &b->where;

	return a->kind == LEAF_ADDRESS && b->kind == LEAF_ADDRESS && strcmp(x->sender, y->sender) == 0 &&
	       strcmp(x->delivered, y->delivered) == 0 && x->owner == y->owner;
}

const struct dsn *local_resend_addresses(
	struct local_plan *plan, const struct local_leaf *first, struct queue_id *id)
{
	const struct local_where *where = &first->where;
	const struct delivery_recipient *r = plan->recipient;
	struct err err = {""};
	struct cleanup *c = begin(plan, &err);

	if (!c)
		return no_room(plan, &err);
	set_sender(plan, c, where->sender, where->owner);
	for (size_t i = 0; i < plan->count; i++) {
		const struct local_leaf *leaf = &plan->leaves[i];

		if (local_same_message(first, leaf))
			cleanup_recipient(c, leaf->text, leaf->where.original, where->owner ? NULL : r->orcpt,
				where->owner ? 0 : notify_of(plan));
	}
	return finish(plan, c, where->delivered, id);
}

/* ---- one destination that must wait while others are done, or that is another transport's */

static const char *leaf_name(const struct local_plan *plan, const struct local_leaf *leaf)
{
	return pool_printf(plan->pool, "%d %u %s %s", (int)leaf->kind,
		local_rights(plan->env, &leaf->where)->uid, leaf->where.name.address, leaf->text);
}

/* A mailbox has an address: mail for that and nothing else. */
static void address_mailbox(const struct local_plan *plan, const struct local_where *where, struct cleanup *c)
{
	set_sender(plan, c, where->sender, where->owner);
	cleanup_attribute(c, MAILBOX_ATTRIBUTE, "yes");
	cleanup_recipient(c, where->name.address, where->original,
		where->owner ? NULL : plan->recipient->orcpt, where->owner ? 0 : notify_of(plan));
}

/* Commands and files have none: the same recipient again, for this one of its destinations. */
static void address_leaf(const struct local_plan *plan, const struct local_leaf *leaf, struct cleanup *c)
{
	const struct delivery_recipient *r = plan->recipient;

	set_sender(plan, c, plan->agent->request->sender, false);
	cleanup_attribute(c, LEAF_ATTRIBUTE, leaf_name(plan, leaf));
	cleanup_recipient(c, r->address, r->original, r->orcpt, notify_of(plan));
}

const struct dsn *local_resend_leaf(
	struct local_plan *plan, const struct local_leaf *leaf, struct queue_id *id)
{
	struct err err = {""};
	struct cleanup *c = begin(plan, &err);

	if (!c)
		return no_room(plan, &err);
	if (leaf->kind == LEAF_MAILBOX || leaf->kind == LEAF_PASS)
		address_mailbox(plan, &leaf->where, c);
	else
		address_leaf(plan, leaf, c);
	return finish(plan, c, NULL, id);
}

bool local_is_for_mailbox(const struct local_plan *plan)
{
	return delivery_attribute(plan->agent->request, MAILBOX_ATTRIBUTE) != NULL;
}

bool local_is_wanted(const struct local_plan *plan, const struct local_leaf *leaf)
{
	const char *only = delivery_attribute(plan->agent->request, LEAF_ATTRIBUTE);

	return !only || strcmp(only, leaf_name(plan, leaf)) == 0;
}
