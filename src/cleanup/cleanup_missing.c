/* Headers that RFC 5322 section 3.6 wants and a local program may leave out. */
#include "base/clock.h"
#include "base/mem.h"
#include "cleanup/cleanup_private.h"
#include "mail/address.h"
#include "mail/encoded_word.h"
#include "mail/received.h"

#define FULL_NAME_MAX 200 /* bytes; a longer one is cut */
#define HEADER_TEXT_MAX 4000

static bool write_header(struct cleanup *c, const char *prefix, const char *name, struct str value)
{
	struct buf line = BUF(HEADER_TEXT_MAX);
	bool ok;

	buf_printf(&line, "%s%s: ", prefix, name);
	buf_str(&line, value);
	ok = cleanup_write_lines(c, buf_slice(&line));
	buf_free(&line);
	return ok;
}

static bool add_message_id(struct cleanup *c, const char *prefix)
{
	struct buf id = BUF(1000);
	bool ok;

	message_id_make(c->id.text, c->env->cfg->myhostname, spool_writer_time(c->writer), &id);
	ok = write_header(c, prefix, "Message-Id", buf_slice(&id));
	cleanup_log_id(c, buf_slice(&id), prefix[0] != '\0');
	buf_free(&id);
	return ok;
}

static bool add_date(struct cleanup *c, const char *prefix)
{
	char date[64];

	return write_header(c, prefix, "Date", str_c(clock_rfc5322(c->arrival_us, date, sizeof(date))));
}

/* The sender's full name as given, with control bytes made blanks; empty: none. */
static struct str full_name(struct cleanup *c)
{
	const char *given = envelope_attribute(&c->envelope, "full_name");
	char *name;

	if (!given)
		return STR("");
	name = pool_strndup(c->pool, given, FULL_NAME_MAX);
	ascii_hide_controls(name, ' ');
	return str_trim(str_c(name));
}

static bool is_phrase(struct str name)
{
	for (size_t i = 0; i < name.n; i++) {
		if (strchr("()<>[]:;@\\,.\"", name.p[i]))
			return false;
	}
	return true;
}

/* A phrase (RFC 5322 section 3.2.5), or a comment with close = ')'. */
static void add_quoted(struct buf *out, struct str name, const char *specials)
{
	for (size_t i = 0; i < name.n; i++) {
		if (strchr(specials, name.p[i]))
			buf_putc(out, '\\');
		buf_putc(out, name.p[i]);
	}
}

/* Empty when the configuration has no charset for it. */
static struct str encoded_name(struct cleanup *c, struct str name)
{
	struct str charset = str_c(c->env->cfg->full_name_encoding_charset);
	struct buf out = BUF(HEADER_TEXT_MAX);
	const char *kept;

	if (!encoded_word_charset(charset))
		return STR("");
	encoded_word_add(name, charset, &out);
	kept = pool_strdup(c->pool, buf_cstr(&out));
	buf_free(&out);
	return str_c(kept);
}

static void from_standard(struct buf *out, struct str name, bool encoded, struct str address)
{
	if (encoded || is_phrase(name)) {
		buf_str(out, name);
	} else {
		buf_putc(out, '"');
		add_quoted(out, name, "\"\\");
		buf_putc(out, '"');
	}
	buf_printf(out, " <" STR_FMT ">", STR_ARG(address));
}

static void from_obsolete(struct buf *out, struct str name, bool encoded, struct str address)
{
	buf_str(out, address);
	buf_puts(out, " (");
	add_quoted(out, name, encoded ? "" : "()\\");
	buf_putc(out, ')');
}

static bool add_from(struct cleanup *c, const char *prefix)
{
	struct buf address = BUF(4 * ADDRESS_MAX), value = BUF(8 * ADDRESS_MAX);
	struct str name = full_name(c);
	bool encoded = str_has_8bit(name), ok;

	if (c->envelope.sender[0]) {
		address_quote(str_c(c->envelope.sender), &address);
	} else {
		buf_puts(&address, "MAILER-DAEMON");
		name = STR("");
	}
	if (encoded)
		name = encoded_name(c, name);
	if (name.n == 0)
		buf_str(&value, buf_slice(&address));
	else if (strcmp(c->env->cfg->header_from_format, "obsolete") == 0)
		from_obsolete(&value, name, encoded, buf_slice(&address));
	else
		from_standard(&value, name, encoded, buf_slice(&address));
	ok = write_header(c, prefix, "From", buf_slice(&value));
	buf_free(&address);
	buf_free(&value);
	return ok;
}

static bool add_missing(struct cleanup *c)
{
	bool resent = c->seen >> SEEN_RESENT != 0;
	const char *undisclosed = c->env->cfg->undisclosed_recipients_header;
	const char *prefix = resent ? "Resent-" : "";
	int seen = resent ? c->seen >> SEEN_RESENT : c->seen;

	if (!(seen & SEEN_MESSAGE_ID) && !add_message_id(c, prefix))
		return false;
	if (!(seen & SEEN_DATE) && !add_date(c, prefix))
		return false;
	if (!(seen & SEEN_FROM) && !add_from(c, prefix))
		return false;
	if (undisclosed[0] && !((c->seen | c->seen >> SEEN_RESENT) & SEEN_RECIPIENTS))
		return cleanup_write_lines(c, str_c(undisclosed));
	return true;
}

bool cleanup_missing_headers(struct cleanup *c)
{
	const struct config *cfg = c->env->cfg;

	if ((c->options.local_rewrite || cfg->remote_header_rewrite_domain[0] ||
		    cfg->always_add_missing_headers) &&
		!add_missing(c))
		return false;
	cleanup_log_no_id(c);
	return true;
}
