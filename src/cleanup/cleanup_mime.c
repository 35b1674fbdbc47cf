/* Headers and body lines on their way past the tables of header_checks(5), and faults of MIME form. */
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/event.h"
#include "mail/header_addresses.h"

#define MIME_TEXT_SHOWN 100 /* bytes of a line that has a MIME fault */

/* In the order in which they are told to the client. */
enum fault { FAULT_NESTING, FAULT_8BIT_HEADER, FAULT_8BIT_BODY, FAULT_ENCODING, FAULT_COUNT };

static const char *const fault_texts[FAULT_COUNT] = {
	[FAULT_NESTING] = "MIME nesting exceeds safety limit",
	[FAULT_8BIT_HEADER] = "improper use of 8-bit data in message header",
	[FAULT_8BIT_BODY] = "improper use of 8-bit data in message body",
	[FAULT_ENCODING] = "invalid message/* or multipart/* encoding domain",
};

/* Each kind of fault is told of once; the message is looked at to its end. */
static void note_fault(struct cleanup *c, enum fault fault, struct str text)
{
	const struct envelope *e = &c->envelope;
	char shown[MIME_TEXT_SHOWN + 1];

	if (c->mime_faults & 1 << fault)
		return;
	c->mime_faults |= 1 << fault;
	EVENT_LOG(MIME_FAULT, ev_text("qid", c->id.text), ev_text("reason", fault_texts[fault]),
		ev_text("text", cleanup_shown(c, text, shown, sizeof(shown))),
		ev_text("client", c->options.client), ev_address("from", e->sender),
		ev_address("to", c->last_recipient));
}

bool cleanup_mime_verdict(struct cleanup *c)
{
	for (int fault = 0; fault < FAULT_COUNT; fault++) {
		if (c->mime_faults & 1 << fault)
			return cleanup_fail(c, CLEANUP_REJECTED, "5.6.0", fault_texts[fault]);
	}
	return true;
}

enum mime_section cleanup_section(const struct cleanup *c)
{
	if (!c->in_body)
		return MIME_PRIMARY;
	return c->mime ? mime_section(c->mime) : MIME_BODY;
}

void cleanup_mime_end_header(struct cleanup *c, bool empty)
{
	enum mime_encoding declared;

	c->body_offset = empty ? 1 : 0;
	if (c->mime && !mime_end_header(c->mime, empty, &declared) &&
		c->env->cfg->strict_mime_encoding_domain)
		note_fault(c, FAULT_ENCODING, str_c(mime_encoding_name(declared)));
}

static void examine_header(struct cleanup *c, struct str header)
{
	if (!mime_header(c->mime, header) && c->env->report_nesting)
		note_fault(c, FAULT_NESTING, header);
	if (c->env->strict_header && str_has_8bit(header))
		note_fault(c, FAULT_8BIT_HEADER, header);
}

static const struct content_check *check_for(const struct cleanup *c, struct str name)
{
	const enum mime_section section = cleanup_section(c);

	if (section == MIME_PART || mime_is_header(name))
		return &c->env->mime_header_checks;
	return section == MIME_NESTED ? &c->env->nested_header_checks : &c->env->header_checks;
}

/* Patterns and people see the lines of a header joined by LF. */
static struct str joined(struct buf *out, struct str header)
{
	if (str_find(header, '\r') < 0)
		return header;
	for (size_t i = 0; i < header.n; i++) {
		if (header.p[i] != '\r' || i + 1 == header.n || header.p[i + 1] != '\n')
			buf_putc(out, header.p[i]);
	}
	return buf_slice(out);
}

static bool look_up_header(struct cleanup *c, struct str header, bool *drop)
{
	const struct content_check *check = check_for(c, str_first(header, header_name_length(header)));
	struct check_outcome outcome = {0};
	bool ok;

	if (c->unchecked || maps_empty(check->maps))
		return true;
	ok = cleanup_check(c, check, header, &outcome);
	*drop = outcome.drop;
	if (outcome.replaced) {
		buf_clear(&c->header);
		buf_str(&c->header, buf_slice(&c->replacement));
	}
	return ok && (!outcome.prepended || cleanup_write(c, str_c(outcome.prepended), false));
}

bool cleanup_check_header(struct cleanup *c, bool *drop)
{
	struct buf lines = BUF(c->header.len);
	struct str header = joined(&lines, buf_slice(&c->header));
	bool ok;

	if (c->mime)
		examine_header(c, header);
	ok = look_up_header(c, header, drop);
	buf_free(&lines);
	return ok;
}

bool cleanup_check_body(struct cleanup *c, struct str *line, bool begins, bool ends, bool *drop)
{
	const long long limit = c->env->cfg->body_checks_size_limit;
	const struct content_check *check = &c->env->body_checks;
	struct check_outcome outcome = {0};
	size_t offset;
	bool ok;

	if (c->mime && begins && mime_boundary(c->mime, *line) && mime_section(c->mime) == MIME_BODY)
		c->body_offset = 0; /* what follows the last part; a part's header begins anew when it ends */
	if (c->mime && c->env->strict_body && mime_encoding(c->mime) == MIME_7BIT && str_has_8bit(*line))
		note_fault(c, FAULT_8BIT_BODY, *line);
	offset = c->body_offset;
	c->body_offset += line->n + ends;
	if (c->unchecked || line->n == 0 || maps_empty(check->maps) || (limit && offset >= (size_t)limit))
		return true;
	ok = cleanup_check(c, check, *line, &outcome);
	*drop = outcome.drop;
	if (outcome.replaced)
		*line = buf_slice(&c->replacement);
	return ok && (!outcome.prepended || cleanup_write(c, str_c(outcome.prepended), false));
}
