#include "smtpd/proxied.h"

#include "mail/address.h"
#include "smtpd/reply.h"
#include "smtpd/session.h"
#include <ctype.h>

#define VALUE_MAX 255 /* bytes as sent */

bool proxied_in_order(struct session *s, const char *verb, bool allowed, struct str rest)
{
	if (s->tx) {
		reply(s, "503 5.5.1 Error: MAIL transaction in progress");
	} else if (rest.n == 0) {
		reply(s, "501 5.5.4 Syntax: %s attribute=value...", verb);
	} else if (!allowed) {
		notify_note(s, NOTICE_POLICY);
		reply(s, "550 5.7.0 Error: insufficient authorization");
	} else {
		return true;
	}
	return false;
}

static const char *upper_name(struct session *s, struct str name)
{
	char *out = pool_strndup(session_scratch(s), name.p, name.n);

	for (char *p = out; *p; p++)
		*p = (char)toupper((unsigned char)*p);
	return out;
}

/* What cannot stand in a log line or a header is not taken over from a peer. */
static bool decode_value(struct session *s, struct str value, struct proxied *out)
{
	struct buf decoded = BUF(VALUE_MAX);
	bool good = xtext_decode(value, &decoded);

	for (size_t i = 0; good && i < decoded.len; i++)
		good = (unsigned char)decoded.data[i] >= ' ' && decoded.data[i] != 0x7f;
	out->value = good ? pool_strdup(session_scratch(s), buf_cstr(&decoded))
			  : pool_strndup(session_scratch(s), value.p, value.n);
	buf_free(&decoded);
	return good;
}

static const struct proxied_attribute *find(const struct proxied_attribute *table, const char *name)
{
	while (table->name && strcmp(table->name, name) != 0)
		table++;
	return table->name ? table : NULL;
}

static bool take_one(
	struct session *s, const char *verb, const struct proxied_attribute *table, struct str word, void *to)
{
	ptrdiff_t equals = str_find(word, '=');
	const struct proxied_attribute *row;
	struct proxied p = {.kind = PROXIED_GIVEN};
	struct str value;

	if (equals <= 0 || (size_t)equals + 1 == word.n) {
		reply(s, "501 5.5.4 Error: attribute=value expected");
		return false;
	}
	p.name = upper_name(s, str_first(word, (size_t)equals));
	value = str_from(word, (size_t)equals + 1);
	if (value.n > VALUE_MAX) {
		reply(s, "501 5.5.4 Error: attribute value too long");
		return false;
	}
	row = find(table, p.name);
	if (!row) {
		reply(s, "501 5.5.4 Bad %s attribute name: %s", verb, p.name);
		return false;
	}
	if (!decode_value(s, value, &p))
		return proxied_bad_syntax(s, &p);
	if (str_case_is(value, "[UNAVAILABLE]"))
		p.kind = PROXIED_UNAVAILABLE;
	else if (str_case_is(value, "[TEMPUNAVAIL]"))
		p.kind = PROXIED_TEMPUNAVAIL;
	return row->set(s, &p, to);
}

bool proxied_take(
	struct session *s, const char *verb, const struct proxied_attribute *table, struct str rest, void *to)
{
	struct str word;

	while (str_word(&rest, " \t", &word))
		if (!take_one(s, verb, table, word, to))
			return false;
	return true;
}

bool proxied_bad_syntax(struct session *s, const struct proxied *p)
{
	reply(s, "501 5.5.4 Bad %s syntax: %s", p->name, p->value);
	return false;
}

bool proxied_address(const char *value, struct net_addr *out)
{
	struct str text = str_c(value);
	bool v6 = str_case_starts(text, STR("IPV6:"));

	if (v6)
		text = str_from(text, 5);
	return (!v6 || str_find(text, ':') >= 0) && net_parse_ip(text, 0, out);
}

bool proxied_port(const char *value, uint16_t *out)
{
	uint64_t port;

	if (!str_to_u64(str_c(value), 65535, &port))
		return false;
	*out = (uint16_t)port;
	return true;
}
