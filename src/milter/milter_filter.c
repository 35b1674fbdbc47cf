/* One filter: events, and what its answers come to. */
#include "base/clock.h"
#include "milter/milter_private.h"

#include <ctype.h>

#define MACROS_MAX 65536
#define MACRO_NAME_MAX 100

static const struct milter_verdict go_on = {MILTER_GO_ON, NULL};

void filter_close(struct filter *f, bool politely)
{
	if (!f->io)
		return;
	if (politely) {
		wire_packet(f, CMD_QUIT, STR(""));
		stream_flush(f->io);
	}
	stream_free(&f->io);
	for (int i = 0; i < MACROS_BY_FILTER; i++)
		x_free(&f->macros[i]);
	f->told_connect = f->told_helo = f->told_mail = false;
}

/* ---- verdicts */

struct milter_verdict filter_refuse(struct filter *f, const char *reply, bool of_session)
{
	char *copy = x_strdup(reply); /* reply may be the one before */
	struct milter_verdict verdict = {MILTER_REFUSE, copy};

	x_free(&f->reply);
	f->reply = copy;
	if (of_session)
		f->standing = verdict;
	return verdict;
}

static struct milter_verdict default_verdict(struct filter *f)
{
	switch (f->spec->otherwise) {
	case DEFAULT_ACCEPT:
		f->accepts_message = true;
		return go_on;
	case DEFAULT_QUARANTINE:
		return (struct milter_verdict){MILTER_HOLD, NULL};
	case DEFAULT_REJECT:
		return filter_refuse(f, "550 5.5.0 Service unavailable", false);
	case DEFAULT_SHUTDOWN:
		return filter_refuse(f, "421 4.7.1 Service unavailable - try again later", false);
	case DEFAULT_TEMPFAIL:
		break;
	}
	return filter_refuse(f, reply_for_answer(ANSWER_TEMPFAIL), false);
}

struct milter_verdict filter_fail(struct filter *f, const char *fmt, ...)
{
	char text[500];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	f->session->host.warn(f->session->host.arg, text);
	filter_close(f, false);
	f->standing = default_verdict(f);
	f->passing = true;
	return f->standing;
}

static struct milter_verdict misconfigured(struct filter *f)
{
	f->session->host.warn(f->session->host.arg, f->session->set->problem);
	return filter_refuse(f, "451 4.3.5 Server configuration problem - try again later", true);
}

static struct milter_verdict accepted(struct filter *f, bool of_session)
{
	f->accepts_message = true;
	f->accepts_session = of_session;
	if (of_session)
		filter_close(f, true);
	return go_on;
}

static struct milter_verdict discarded(struct filter *f, bool of_session)
{
	char text[200];

	if (!of_session)
		return (struct milter_verdict){MILTER_DISCARD, NULL};
	snprintf(text, sizeof(text), "milter %s: DISCARD action is not allowed for connect or helo",
		f->spec->endpoint);
	f->session->host.warn(f->session->host.arg, text);
	return go_on;
}

static struct milter_verdict own_reply(struct filter *f, bool of_session)
{
	struct cursor c = cursor_of(f->packet.data, f->packet.len);
	struct buf reply = BUF(MILTER_REPLY_MAX);
	struct milter_verdict verdict;
	struct str text;

	if (wire_take_string(&c, &text) && c.left == 0 && reply_parse(text, &reply)) {
		verdict = filter_refuse(f, buf_cstr(&reply), of_session);
	} else {
		filter_fail(f, "milter %s: malformed reply: %.100s", f->spec->endpoint, buf_cstr(&f->packet));
		f->accepts_message = false;
		verdict = f->standing =
			filter_refuse(f, "451 4.3.5 Server configuration problem - try again later", false);
	}
	buf_free(&reply);
	return verdict;
}

struct milter_verdict filter_decide(struct filter *f, int answer, bool of_session)
{
	if (answer != ANSWER_REPLY && f->packet.len > 0)
		return filter_fail(f, "milter %s: answer '%c' was followed by %zu data bytes",
			f->spec->endpoint, isprint(answer) ? answer : '?', f->packet.len);
	switch (answer) {
	case ANSWER_CONTINUE:
	case ANSWER_SKIP:
		return go_on;
	case ANSWER_ACCEPT:
		return accepted(f, of_session);
	case ANSWER_DISCARD:
		return discarded(f, of_session);
	case ANSWER_SHUTDOWN:
		filter_close(f, false);
		return filter_refuse(f, reply_for_answer(answer), true);
	case ANSWER_REJECT:
	case ANSWER_TEMPFAIL:
		return filter_refuse(f, reply_for_answer(answer), of_session);
	case ANSWER_REPLY:
		return own_reply(f, of_session);
	default:
		return filter_fail(f, "milter %s: unexpected answer '%c'", f->spec->endpoint,
			isprint(answer) ? answer : '?');
	}
}

/* ---- events */

/* What is the same for all mail. */
static const char *own_macro(const struct config *cfg, const char *name)
{
	if (strcmp(name, "j") == 0)
		return cfg->myhostname;
	if (strcmp(name, "v") == 0)
		return cfg->milter_macro_v;
	return strcmp(name, "{daemon_name}") == 0 ? cfg->milter_macro_daemon_name : NULL;
}

static struct str macro_value(struct filter *f, struct str name)
{
	const struct milter_set *set = f->session->set;
	char text[MACRO_NAME_MAX];
	const char *value = NULL;

	if (name.n < sizeof(text)) {
		snprintf(text, sizeof(text), STR_FMT, STR_ARG(name));
		value = own_macro(set->cfg, text);
		if (!value)
			value = f->session->host.macro(f->session->host.arg, text);
	}
	for (size_t i = 0; !value && i < set->default_count; i++)
		if (str_eq(set->defaults[i].name, name))
			return set->defaults[i].value;
	return value ? str_c(value) : (struct str){NULL, 0};
}

static void add_macro(struct filter *f, struct str name, struct buf *payload)
{
	struct str value = macro_value(f, name);

	if (!value.p)
		return;
	wire_string(payload, name);
	wire_string(payload, value);
}

/* Sent even where the event itself is not wanted: a filter may want the values later. */
void filter_macros(struct filter *f, int letter, enum macro_list list)
{
	const char *names =
		list < MACROS_BY_FILTER && f->macros[list] ? f->macros[list] : f->session->set->macros[list];
	struct buf payload = BUF(MACROS_MAX);
	struct str rest = str_c(names), name;

	if (!*names)
		return;
	buf_putc(&payload, (char)letter);
	while (str_word(&rest, ", \t\r\n", &name))
		add_macro(f, name, &payload);
	if (!payload.over)
		wire_packet(f, CMD_MACRO, buf_slice(&payload));
	buf_free(&payload);
}

static struct milter_verdict await(struct filter *f, const struct filter_event *e)
{
	struct err err = {""};
	int answer;

	do {
		stream_start_request(f->io);
		answer = wire_read(f, &err);
	} while (answer == ANSWER_PROGRESS);
	if (answer < 0)
		return filter_fail(
			f, "milter %s: can't read reply to '%c': %s", f->spec->endpoint, e->letter, err.text);
	if (answer == ANSWER_SKIP && e->letter == CMD_BODY)
		f->skip_body = true;
	return filter_decide(f, answer, e->of_session);
}

bool filter_asleep(const struct filter *f)
{
	return f->accepts_session || f->accepts_message;
}

struct milter_verdict filter_show(struct filter *f, const struct filter_event *e)
{
	wire_packet(f, e->letter, e->payload);
	return f->protocol & e->mute ? go_on : await(f, e);
}

struct milter_verdict filter_send(struct filter *f, const struct filter_event *e)
{
	struct milter_verdict verdict = go_on;

	filter_macros(f, e->letter, e->macros);
	if (!(f->protocol & e->unwanted))
		verdict = filter_show(f, e);
	if (f->io)
		stream_flush(f->io);
	return verdict;
}

struct milter_verdict filter_catch_up(struct filter *f)
{
	const struct milters *m = f->session;
	const struct filter_event connect = {.letter = CMD_CONNECT,
		.macros = MACROS_CONNECT,
		.unwanted = NO_CONNECT,
		.mute = MUTE_CONNECT,
		.of_session = true,
		.payload = buf_slice(&m->connect)};
	const struct filter_event helo = {.letter = CMD_HELO,
		.macros = MACROS_HELO,
		.unwanted = NO_HELO,
		.mute = MUTE_HELO,
		.of_session = true,
		.payload = buf_slice(&m->helo)};
	struct milter_verdict verdict = go_on;
	struct err err = {""};

	if (!f->spec->endpoint)
		return misconfigured(f);
	if (!f->io && !filter_open(f, &err))
		return filter_fail(f, "%s", err.text);
	stream_set_timeout(f->io, f->spec->command_timeout, true);
	if (!f->told_connect) {
		f->told_connect = true;
		verdict = filter_send(f, &connect);
	}
	if (verdict.action == MILTER_GO_ON && !filter_asleep(f) && !f->told_helo && m->helo.len > 0) {
		f->told_helo = true;
		verdict = filter_send(f, &helo);
	}
	return verdict;
}
