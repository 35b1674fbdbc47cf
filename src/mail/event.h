/*
 * What is said about mail, as events with named fields (rows in events.def). The classic text line and the
 * JSON object are two renderings of the same value; log.h decides which is written.
 */
#ifndef MAIL_EVENT_H
#define MAIL_EVENT_H

#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum event_id {
#define EVENT(id, program, level, classic) EV_##id,
#include "mail/events.def"
#undef EVENT
	EV_COUNT
};

enum event_type { FIELD_TEXT, FIELD_ADDRESS, FIELD_INT, FIELD_SECONDS };

struct event_field {
	const char *name;
	enum event_type type;
	const char *text; /* FIELD_TEXT, FIELD_ADDRESS; NULL: the field is absent */
	int64_t number;	  /* FIELD_INT; microseconds for FIELD_SECONDS */
};

static inline struct event_field ev_text(const char *name, const char *text)
{
	return (struct event_field){name, FIELD_TEXT, text, 0};
}
/* An address in internal form, printed as info_log_address_format says (event_set_address_form). */
static inline struct event_field ev_address(const char *name, const char *internal)
{
	return (struct event_field){name, FIELD_ADDRESS, internal, 0};
}
static inline struct event_field ev_int(const char *name, int64_t number)
{
	return (struct event_field){name, FIELD_INT, NULL, number};
}
/* Printed as seconds with as many digits as delay_logging_resolution_limit asks for (event_set_resolution).
 */
static inline struct event_field ev_seconds(const char *name, int64_t microseconds)
{
	return (struct event_field){name, FIELD_SECONDS, NULL, microseconds};
}

void event_set_resolution(int digits); /* both once, before threads start */
void event_set_address_form(bool external);
/* "0.12", "12", "3.4": the rule of delay logging; out needs 24 bytes. */
const char *event_format_seconds(int64_t microseconds, char *out, size_t size);
/* Text of a message as a line may show it, cut to size - 1 bytes: "?" for NUL and, unless utf8, for what is
 * beyond ASCII. Returns out. */
const char *event_content(struct str text, bool utf8, char *out, size_t size);
void event_log(enum event_id id, const struct event_field *fields, size_t count);
#define EVENT_LOG(id, ...)                                                                                   \
	event_log(EV_##id, (const struct event_field[]){__VA_ARGS__},                                        \
		sizeof((const struct event_field[]){__VA_ARGS__}) / sizeof(struct event_field))

#endif
