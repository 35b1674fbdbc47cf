#include "mail/event.h"

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "mail/address.h"

#include <ctype.h>
#include <inttypes.h>

#define EVENT_TEXT_MAX 8192

struct event_row {
	const char *name, *program;
	enum log_level level;
	const char *classic;
};

static const struct event_row event_rows[EV_COUNT] = {
#define EVENT(id, program, level, classic) [EV_##id] = {#id, program, level, classic},
#include "mail/events.def"
#undef EVENT
};

/* Written once, before threads start, by event_set_resolution and event_set_address_form. */
static int event_digits = 2;
static bool event_external = true;

void event_set_address_form(bool external)
{
	event_external = external;
}

void event_set_resolution(int digits)
{
	event_digits = digits < 0 ? 0 : digits > 6 ? 6 : digits;
}

/* Two significant digits, at most event_digits after the point, no trailing zeros. */
const char *event_content(struct str text, bool utf8, char *out, size_t size)
{
	const unsigned char last = utf8 ? 0xff : 0x7f;
	size_t n = text.n < size - 1 ? text.n : size - 1;

	for (size_t i = 0; i < n; i++)
		out[i] = text.p[i] && (unsigned char)text.p[i] <= last ? text.p[i] : '?';
	out[n] = '\0';
	return out;
}

const char *event_format_seconds(int64_t us, char *out, size_t size)
{
	int64_t unit = US_PER_SEC, floor = 10 * US_PER_SEC;
	int digits = 0;
	size_t n;

	if (us < 0)
		us = 0;
	for (; digits < event_digits && us < floor; digits++) {
		unit /= 10;
		floor /= 10;
	}
	us = (us + unit / 2) / unit * unit;
	snprintf(out, size, "%" PRId64 ".%06" PRId64, us / US_PER_SEC, us % US_PER_SEC);
	n = strlen(out);
	while (n > 0 && out[n - 1] == '0')
		n--;
	if (n > 0 && out[n - 1] == '.')
		n--;
	out[n] = '\0';
	return out;
}

static bool event_absent(const struct event_field *f)
{
	return (f->type == FIELD_TEXT || f->type == FIELD_ADDRESS) && !f->text;
}

static const struct event_field *event_find(const struct event_field *fields, size_t count, struct str name)
{
	for (size_t i = 0; i < count; i++)
		if (str_is(name, fields[i].name))
			return event_absent(&fields[i]) ? NULL : &fields[i];
	return NULL;
}

static void event_put_address(struct buf *out, const char *internal)
{
	if (event_external)
		address_quote(str_c(internal), out);
	else
		buf_puts(out, internal);
}

static void event_put_value(struct buf *out, const struct event_field *f)
{
	char seconds[24];

	switch (f->type) {
	case FIELD_TEXT:
		buf_puts(out, f->text);
		break;
	case FIELD_ADDRESS:
		event_put_address(out, f->text);
		break;
	case FIELD_INT:
		buf_printf(out, "%" PRId64, f->number);
		break;
	case FIELD_SECONDS:
		buf_puts(out, event_format_seconds(f->number, seconds, sizeof(seconds)));
		break;
	}
}

/* A {field} of the template at p: its value is added, or *absent set. Returns what follows. */
static const char *event_put_field(
	struct buf *out, const char *p, const struct event_field *fields, size_t count, bool *absent)
{
	const char *end = strchr(p, '}');
	const struct event_field *f = event_find(fields, count, (struct str){p + 1, (size_t)(end - p - 1)});

	if (f)
		event_put_value(out, f);
	else
		*absent = true;
	return end + 1;
}

/* Renders a template; an optional part is rendered into the same buffer and cut off again when a field of it
 * is absent. */
static void event_classic(struct buf *out, const char *p, const struct event_field *fields, size_t count)
{
	size_t part_start = 0;
	bool in_part = false, absent = false;

	while (*p) {
		size_t literal = strcspn(p, in_part ? "]{" : "[{");

		buf_add(out, p, literal);
		p += literal;
		if (*p == '{') {
			p = event_put_field(out, p, fields, count, &absent);
		} else if (*p == '[') {
			in_part = true;
			absent = false;
			part_start = out->len;
			p++;
		} else if (*p == ']') {
			in_part = false;
			if (absent)
				buf_truncate(out, part_start);
			p++;
		}
	}
}

static void event_json_address(struct buf *out, const char *internal)
{
	struct buf text = BUF(EVENT_TEXT_MAX);

	event_put_address(&text, internal);
	utf8_put_json(out, buf_slice(&text));
	buf_free(&text);
}

static void event_json(
	struct buf *out, const struct event_row *row, const struct event_field *fields, size_t count)
{
	buf_puts(out, "{\"event\":\"");
	for (const char *p = row->name; *p; p++)
		buf_putc(out, (char)tolower((unsigned char)*p));
	buf_putc(out, '"');
	for (size_t i = 0; i < count; i++) {
		if (event_absent(&fields[i]))
			continue;
		buf_printf(out, ",\"%s\":", fields[i].name);
		if (fields[i].type == FIELD_TEXT)
			utf8_put_json(out, str_c(fields[i].text));
		else if (fields[i].type == FIELD_ADDRESS)
			event_json_address(out, fields[i].text);
		else if (fields[i].type == FIELD_INT)
			buf_printf(out, "%" PRId64, fields[i].number);
		else
			buf_printf(out, "%.6f", (double)fields[i].number / 1e6);
	}
	buf_putc(out, '}');
}

void event_log(enum event_id id, const struct event_field *fields, size_t count)
{
	const struct event_row *row = &event_rows[id];
	struct buf text = BUF(EVENT_TEXT_MAX);

	if (log_is_json())
		event_json(&text, row, fields, count);
	else
		event_classic(&text, row->classic, fields, count);
	log_raw(row->program, row->level, buf_cstr(&text));
	buf_free(&text);
}
