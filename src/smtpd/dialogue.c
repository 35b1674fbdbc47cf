#include "smtpd/dialogue.h"

#include "base/log.h"
#include "base/utf8.h"
#include "smtpd/session.h"

#define LEVEL_ACCESS 2
#define LINE_SHOWN 500 /* bytes of a line */

void dialogue_begin(struct session *s)
{
	s->debug_level = session_client_in(s, &s->server->debug_peers) ? s->cfg->debug_peer_level : 0;
}

static void show(const struct session *s, char direction, struct str line)
{
	char text[LINE_SHOWN + 1];
	struct str head = str_first(line, LINE_SHOWN);

	memcpy(text, head.p, head.n);
	text[head.n] = '\0';
	utf8_hide_controls(text, head.n, '?');
	log_info("%c %s: %s", direction, s->client.text, text);
}

/* What follows the name of a mechanism may be a password. */
static struct str without_secret(struct str line, char *shown, size_t size)
{
	struct str rest = line, verb, mechanism;

	if (!str_word(&rest, " \t", &verb) || !str_case_is(verb, "AUTH") ||
		!str_word(&rest, " \t", &mechanism) || rest.n == 0)
		return line;
	snprintf(shown, size, "AUTH " STR_FMT " ...", STR_ARG(str_first(mechanism, 64)));
	return str_c(shown);
}

void dialogue_heard(struct session *s, struct str line)
{
	char shown[100];

	line = without_secret(line, shown, sizeof(shown));
	notify_heard(s, line);
	if (s->debug_level > 0)
		show(s, '<', line);
}

void dialogue_said(struct session *s, struct str line)
{
	notify_said(s, line);
	if (s->debug_level > 0)
		show(s, '>', line);
}

static const char *verdict_name(enum verdict verdict)
{
	static const char *const names[] = {[VERDICT_DUNNO] = "no opinion",
		[VERDICT_PERMIT] = "permit",
		[VERDICT_REFUSE] = "refuse",
		[VERDICT_DEFER_IF_PERMIT] = "defer if permit",
		[VERDICT_DEFER_IF_REJECT] = "defer if reject"};

	return names[verdict];
}

void dialogue_step(const struct session *s, const struct trace_step *step)
{
	if (s->debug_level >= LEVEL_ACCESS)
		log_info("%s: %s: %s%s%s: %s%s%s", s->client.text, step->list, step->rule,
			step->argument ? " " : "", step->argument ? step->argument : "",
			verdict_name(step->verdict), step->reason ? ": " : "",
			step->reason ? step->reason : "");
}
