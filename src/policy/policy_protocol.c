#include "policy/policy_protocol.h"

#include "base/utf8.h"

void policy_attribute(struct buf *request, const char *name, const char *value)
{
	buf_puts(request, name);
	buf_putc(request, '=');
	for (const char *p = value ? value : ""; *p; p++)
		buf_putc(request, *p == '\n' || *p == '\r' ? '?' : *p);
	buf_putc(request, '\n');
}

static enum policy_step malformed(struct err *err, const char *why)
{
	err_set(err, "%s", why);
	return POLICY_MALFORMED;
}

enum policy_step policy_answer_line(struct policy_answer *a, struct str line, struct err *err)
{
	static const struct str name = STR("action=");

	if (line.n == 0)
		return a->has_action ? POLICY_DONE : malformed(err, "no action in the answer");
	if (++a->lines > POLICY_ANSWER_LINES)
		return malformed(err, "an answer without end");
	if (str_has_nul(line) || !utf8_valid(line))
		return malformed(err, "bytes in the answer that are not text");
	/* Said twice, the first counts. */
	if (a->has_action || !str_starts(line, name))
		return POLICY_MORE;
	a->has_action = true;
	return buf_str(&a->action, str_from(line, name.n)) ? POLICY_MORE
							   : malformed(err, "action is too long");
}
