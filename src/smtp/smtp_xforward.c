#include "smtp/smtp_xforward.h"

#include "base/log.h"
#include "mail/address.h"
#include "smtp/smtp_session.h"
#include "smtp/smtp_transaction.h"

#define COMMAND_MAX 2048
#define FIRST_COMMAND 3 /* attributes of the first of two commands */

/* An attribute of the command, and what the message's envelope calls it. The bit is the place in the table.
 */
static const struct {
	const char *name, *attribute;
} attributes[] = {
	{"NAME", "client_name"},
	{"ADDR", "client_address"},
	{"PORT", "client_port"},
	{"PROTO", "protocol_name"},
	{"HELO", "helo_name"},
	{"IDENT", "log_ident"},
	{"SOURCE", "rewrite_context"},
};
#define COUNT (sizeof(attributes) / sizeof(*attributes))

int smtp_xforward_attributes(struct str list)
{
	struct str word;
	int bits = 0;

	while (str_word(&list, " \t", &word)) {
		for (size_t i = 0; i < COUNT; i++)
			bits |= str_case_is(word, attributes[i].name) ? 1 << i : 0;
	}
	return bits;
}

/* What is not known is not said. */
static const char *value_of(const struct delivery_request *request, size_t i)
{
	const char *value = delivery_attribute(request, attributes[i].attribute);

	if (strcmp(attributes[i].name, "SOURCE") == 0)
		return value && strcmp(value, "local") == 0 ? "LOCAL" : "REMOTE";
	if (strcmp(attributes[i].name, "IDENT") == 0 && !value)
		return request->qid.text;
	return value && value[0] && strcmp(value, "unknown") != 0 ? value : NULL;
}

static void put(struct buf *line, const struct delivery_request *request, size_t i)
{
	const char *value = value_of(request, i);

	if (!value)
		return;
	buf_printf(line, " %s=", attributes[i].name);
	if (strcmp(attributes[i].name, "ADDR") == 0 && strchr(value, ':'))
		buf_puts(line, "IPv6:");
	xtext_encode(str_c(value), line);
}

static bool say(struct smtp_session *s, const struct buf *line)
{
	struct smtp_reply reply;

	smtp_say(s, "XFORWARD%s\r\n", line->data);
	if (!smtp_hear(s, s->client->cfg->smtp_xforward_timeout, &reply))
		return false;
	if (reply.code / 100 != 2)
		log_warning("host %s said: %s (in reply to XFORWARD command)", s->label, reply.text);
	smtp_reply_free(&reply);
	return !s->failed;
}

bool smtp_xforward(struct smtp_session *s, const struct delivery_request *request)
{
	bool ok = true;

	if (!s->client->cfg->smtp_send_xforward_command || !(s->features & FEATURE_XFORWARD))
		return true;
	for (size_t i = 0; ok && i < COUNT;) {
		const size_t end = i < FIRST_COMMAND ? FIRST_COMMAND : COUNT;
		struct buf line = BUF(COMMAND_MAX);

		for (; i < end; i++) {
			if (s->xforward & 1 << i)
				put(&line, request, i);
		}
		ok = line.len == 0 || line.over || say(s, &line);
		buf_free(&line);
	}
	return ok;
}
