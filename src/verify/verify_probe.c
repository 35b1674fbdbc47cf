#include "base/clock.h"
#include "mail/address.h"
#include "mail/received.h"
#include "verify/verify_private.h"

static void add_received(const struct config *cfg, struct cleanup *c)
{
	struct buf out = BUF(8192);
	struct received r = {.my_name = cfg->myhostname,
		.mail_name = cfg->mail_name,
		.queue_id = cleanup_id(c)->text,
		.uid = -1,
		.when_us = cleanup_time(c)};

	received_format(&r, &out);
	cleanup_prepend(c, buf_slice(&out));
	buf_free(&out);
}

static void add_envelope(const struct config *cfg, struct cleanup *c, const char *address)
{
	struct buf sender = BUF(2 * ADDRESS_MAX);

	verify_sender(cfg, clock_real(), &sender);
	cleanup_sender(c, buf_cstr(&sender), NULL, RET_NONE, ENVELOPE_PROBE);
	cleanup_attribute(c, VERIFY_ATTRIBUTE, address);
	cleanup_recipient(c, address, address, NULL, NOTIFY_NEVER);
	buf_free(&sender);
}

static bool commit(struct cleanup *c, struct err *err)
{
	struct cleanup_result result;
	char text[256];

	cleanup_line(c, STR("Subject: address verification probe"), false);
	cleanup_line(c, STR(""), false);
	cleanup_end(&c, &result, text, sizeof(text));
	return result.status == CLEANUP_OK || err_set(err, "%s", text);
}

static bool inject(struct verify *v, struct cleanup_env *env, const char *address, struct err *err)
{
	struct cleanup_options options = {.origin = "verify",
		.local_rewrite = true,
		.internal = true,
		.client = "local",
		.queue = QUEUE_INCOMING};
	struct cleanup *c = cleanup_begin(env, &options, err);

	if (!c)
		return false;
	add_received(v->cfg, c);
	add_envelope(v->cfg, c, address);
	/* Each of several recipients has its own fate; the name for all of them is good. */
	if (cleanup_recipient_count(c) > 1) {
		cleanup_abort(&c);
		return verify_update(v, address, VERIFY_DELIVERABLE, "aliased to multiple recipients", err);
	}
	return commit(c, err);
}

bool verify_probe(struct verify *v, struct cleanup_env *env, const char *address, struct err *err)
{
	if (inject(v, env, address, err))
		return true;
	verify_forget(v, address, NULL);
	return err_prefix(err, "address verification probe for <%s>", address);
}
