#include "smtpd/command.h"

#include "base/log.h"
#include "base/utf8.h"
#include "mail/smtp_text.h"
#include "smtpd/filters.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"

struct command {
	const char *verb;
	command_fn *run;
	int flags;
};

static const struct command commands[] = {
#define COMMAND(id, verb, function, flags) {verb, function, flags},
	COMMANDS(COMMAND)
#undef COMMAND
};

const char *command_name(enum command_id id)
{
	return id < CMD_UNKNOWN ? commands[id].verb : "UNKNOWN";
}

static enum command_id command_find(struct str verb)
{
	for (int id = 0; id < CMD_UNKNOWN; id++)
		if (str_case_is(verb, commands[id].verb))
			return (enum command_id)id;
	return CMD_UNKNOWN;
}

static bool client_error(struct session *s)
{
	s->errors++;
	return false;
}

/* NOOP, RSET and the like are free of charge up to a limit. */
static void count_junk(struct session *s)
{
	if (s->junk++ > s->cfg->smtpd_junk_command_limit)
		s->errors++;
}

#define SHOWN_MAX 100 /* bytes of a line in the log */

/* A message header where a command should be: somebody ignores our replies. */
static bool is_header(struct str line)
{
	for (size_t i = 0; i < line.n; i++) {
		if (line.p[i] == ':')
			return i > 0;
		if (line.p[i] <= ' ' || (unsigned char)line.p[i] >= 0x7f)
			return false;
	}
	return false;
}

/* said: the line with the blanks around it. */
static void run_unknown(struct session *s, struct str line, struct str verb, struct str said)
{
	s->where = command_name(CMD_UNKNOWN);
	s->counts.total[CMD_UNKNOWN]++;
	if (is_header(line) || named_list_has(&s->server->forbidden_commands, verb)) {
		session_log_non_smtp(s, said);
		reply(s, "221 2.7.0 Error: I can break rules, too. Goodbye.");
		s->hangup = true;
		return;
	}
	client_error(s);
	notify_note(s, NOTICE_PROTOCOL);
	if (filters_unknown(s, line))
		reply(s, "500 5.5.2 Error: command not recognized");
}

/*
 * Input behind a command after which the client must wait, or any input before PIPELINING was offered: the
 * client ignores our replies, or somebody else speaks through it.
 */
static bool sent_ahead(struct session *s, const struct command *c)
{
	if (s->bad_pipelining || stream_buffered(s->io) == 0)
		return false;
	if (!(c->flags & FLAG_LAST) && strcmp(s->protocol, "ESMTP") == 0)
		return false;
	if (c->run == cmd_quit)
		return false;
	s->bad_pipelining = true;
	session_log_pipelining(s, c->verb);
	return s->cfg->smtpd_forbid_unauth_pipelining;
}

/* Refuses what the state of the session rules out for any command. */
static bool command_allowed(struct session *s, const struct command *c)
{
	if (sent_ahead(s, c)) {
		notify_note(s, 0);
		reply(s, "554 5.5.0 Error: SMTP protocol synchronization");
		s->hangup = true;
		return false;
	}
	if (s->denied.code && c->run != cmd_quit) {
		notify_note(s, 0);
		reply(s, "503 5.7.0 Error: access denied for %s", s->client.text);
		return false;
	}
	return true;
}

/* Such a command is as if it had not been: the log tells of the one before it. */
static bool needs_tls(struct session *s, const struct command *c)
{
	if (s->server->tls_level != TLS_REQUIRED || s->tls || (c->flags & FLAG_BEFORE_TLS))
		return false;
	notify_note(s, 0);
	reply(s, "530 5.7.0 Must issue a STARTTLS command first");
	s->errors++;
	return true;
}

static void run_command(struct session *s, enum command_id id, struct str rest)
{
	const struct command *c = &commands[id];

	s->counts.total[id]++;
	s->notify.noted = false;
	if (needs_tls(s, c))
		return;
	s->where = c->verb;
	if (command_allowed(s, c) && c->run(s, rest)) {
		s->counts.good[id]++;
	} else {
		s->errors++;
		if (!s->notify.noted && stream_status(s->io) == STREAM_OK)
			notify_note(s, NOTICE_PROTOCOL);
	}
	if (c->flags & FLAG_JUNK)
		count_junk(s);
}

/* smtpd_command_filter: *line becomes what takes the place of what the client said. false: it cannot be
 * asked, and the session ends. */
static bool filter_line(struct session *s, struct str *line)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {0};
	enum table_status status = maps_lookup(s->server->command_filter, *line, &value, &err);
	const char *text;

	if (status == TABLE_FOUND) {
		log_info("%s: replacing command \"" STR_FMT "\" with \"" STR_FMT "\"", s->client.text,
			STR_ARG(str_first(*line, SHOWN_MAX)),
			STR_ARG(str_first(buf_slice(&value), SHOWN_MAX)));
		*line = str_c(pool_strdup(session_scratch(s), buf_cstr(&value)));
	} else if (status != TABLE_NOT_FOUND) {
		text = pool_printf(
			session_scratch(s), "421 4.3.0 %s Server local data error", s->cfg->myhostname);
		log_warning("smtpd_command_filter: %s", err.text);
		session_log_refusal(s, s->where, NULL, NULL, text);
		reply(s, "%s", text);
	}
	buf_free(&value);
	return status == TABLE_FOUND || status == TABLE_NOT_FOUND;
}

static struct str without_blanks(struct str line)
{
	while (line.n > 0 && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = str_from(line, 1);
	while (line.n > 0 && (line.p[line.n - 1] == ' ' || line.p[line.n - 1] == '\t'))
		line.n--;
	return line;
}

/* What is no command at all. */
static void bad_line(struct session *s, const char *text)
{
	client_error(s);
	notify_note(s, NOTICE_PROTOCOL);
	reply(s, "%s", text);
}

void command_run(struct session *s, struct str line)
{
	struct str verb, rest, said;
	enum command_id id;

	if (s->farewell) {
		reply(s, "421 4.7.1 %s Error: %s", s->cfg->myhostname, s->farewell);
		s->hangup = true;
		return;
	}
	if (str_has_nul(line) || str_find(line, '\r') >= 0) {
		bad_line(s, "500 5.5.2 Error: bad syntax");
		return;
	}
	if (s->server->command_filter && !filter_line(s, &line))
		return;
	said = line;
	line = without_blanks(line);
	if (line.n == 0) {
		bad_line(s, "500 5.5.2 Error: bad syntax");
		return;
	}
	if (s->cfg->smtputf8_enable && !utf8_valid(line)) {
		bad_line(s, "500 5.5.2 Error: bad UTF-8 syntax");
		return;
	}
	smtp_split_command(line, &verb, &rest);
	if (*s->cfg->smtpd_noop_commands && named_list_has(&s->server->noop_commands, verb)) {
		count_junk(s);
		reply(s, "250 2.0.0 Ok");
		return;
	}
	id = command_find(verb);
	if (id == CMD_UNKNOWN)
		run_unknown(s, line, verb, said);
	else
		run_command(s, id, rest);
}

static void add_count(struct buf *b, const char *name, unsigned good, unsigned total)
{
	if (b->len > 0)
		buf_putc(b, ' ');
	buf_puts(b, name);
	if (good == total)
		buf_printf(b, "=%u", total);
	else
		buf_printf(b, "=%u/%u", good, total);
}

const char *command_counts_text(const struct command_counts *c, char *out, size_t size)
{
	struct buf b = BUF(size - 1);
	unsigned good = 0, total = 0;
	char name[16];

	for (int id = 0; id < CMD_COUNT; id++) {
		if (c->total[id] == 0)
			continue;
		snprintf(name, sizeof(name), "%s", command_name((enum command_id)id));
		ascii_lower(name);
		add_count(&b, name, c->good[id], c->total[id]);
		good += c->good[id];
		total += c->total[id];
	}
	if (total > 0)
		add_count(&b, "commands", good, total);
	else
		buf_puts(&b, "commands=0/0");
	snprintf(out, size, "%s", buf_cstr(&b));
	buf_free(&b);
	return out;
}
