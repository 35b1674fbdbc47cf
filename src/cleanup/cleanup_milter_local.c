/* Milters for mail that did not come by SMTP (non_smtpd_milters): they are told of a session that might have
 * brought it, from this host to itself. */
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"

#define LOCAL_NAME "localhost"
#define LOCAL_ADDRESS "127.0.0.1"

struct pretence {
	struct cleanup *c;
	const char *recipient; /* the one that is told of */
	char *address;	       /* in quoted form */
};

static const char *quoted(struct pretence *p, const char *internal)
{
	struct buf out = BUF(4 * ADDRESS_MAX);

	address_quote(str_c(internal), &out);
	x_free(&p->address);
	p->address = buf_take(&out);
	return p->address;
}

static const char *macro(void *arg, const char *name)
{
	struct pretence *p = arg;
	const struct cleanup *c = p->c;

	if (strcmp(name, "i") == 0)
		return c->id.text;
	if (strcmp(name, "_") == 0)
		return LOCAL_NAME " [" LOCAL_ADDRESS "]";
	if (strcmp(name, "{client_name}") == 0 || strcmp(name, "{client_ptr}") == 0)
		return LOCAL_NAME;
	if (strcmp(name, "{client_addr}") == 0 || strcmp(name, "{daemon_addr}") == 0)
		return LOCAL_ADDRESS;
	if (strcmp(name, "{client_port}") == 0 || strcmp(name, "{client_connections}") == 0)
		return "0";
	if (strcmp(name, "{mail_addr}") == 0)
		return quoted(p, c->envelope.sender);
	if (strcmp(name, "{rcpt_addr}") == 0 && p->recipient)
		return quoted(p, p->recipient);
	return NULL;
}

static void warn(void *arg, const char *text)
{
	struct pretence *p = arg;

	cleanup_complain(p->c, "%s", text);
}

static bool go_on(struct cleanup *c, const char *where, struct milter_verdict verdict)
{
	return cleanup_follow(c, where, verdict) && !c->discard;
}

/* There is no client that could be told of one recipient only: the message waits for a better filter. */
static bool tell_recipient(struct pretence *p, struct milters *milters, const struct spool_recipient *rcpt)
{
	struct milter_verdict verdict;
	const char *word;

	p->recipient = rcpt->original ? rcpt->original : rcpt->address;
	word = pool_strdup(p->c->pool, quoted(p, p->recipient));
	verdict = milters_rcpt(milters, &word, 1, false);
	if (verdict.action != MILTER_REFUSE)
		return go_on(p->c, "RCPT", verdict);
	cleanup_log_milter(p->c, "milter-reject", "RCPT", verdict.reply + 4);
	cleanup_complain(
		p->c, "milter configuration error: can't reject recipient in non-smtpd(8) submission");
	return cleanup_fail(p->c, CLEANUP_TROUBLE, NULL, "Error: milter configuration");
}

static bool tell_envelope(struct pretence *p, struct milters *milters)
{
	struct cleanup *c = p->c;
	const char *sender = pool_strdup(c->pool, quoted(p, c->envelope.sender));
	struct net_addr addr = {0};
	const struct milter_peer peer = {LOCAL_NAME, &addr};

	net_parse_ip(STR(LOCAL_ADDRESS), 0, &addr);
	if (!go_on(c, "CONNECT", milters_connect(milters, &peer)) ||
		!go_on(c, "HELO", milters_helo(milters, LOCAL_NAME)) ||
		!go_on(c, "MAIL", milters_mail(milters, &sender, 1)))
		return false;
	for (size_t i = 0; i < c->envelope.recipient_count; i++)
		if (!tell_recipient(p, milters, &c->envelope.recipients[i]))
			return false;
	return go_on(c, "DATA", milters_data(milters));
}

bool cleanup_inspect(struct cleanup *c)
{
	struct pretence p = {.c = c};
	const struct milter_host host = {&p, macro, warn};
	struct milters *milters;
	bool ok;

	if (c->discard)
		return true;
	if (c->options.milters)
		return cleanup_show(c, c->options.milters);
	if (!c->options.no_session || milter_set_empty(c->env->milters))
		return true;
	if (strcmp(c->options.client, "local") == 0)
		c->options.client = LOCAL_NAME "[" LOCAL_ADDRESS "]";
	milters = milters_new(c->env->milters, &host);
	ok = tell_envelope(&p, milters) ? cleanup_show(c, milters) : c->discard;
	milters_free(&milters);
	x_free(&p.address);
	return ok;
}
