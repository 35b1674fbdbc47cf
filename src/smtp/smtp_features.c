#include "smtp/smtp_features.h"

#include <ctype.h>

#include "base/log.h"
#include "smtp/smtp_sasl.h"
#include "smtp/smtp_xforward.h"

static const struct {
	const char *keyword;
	int bit;
} keywords[] = {
	{"8BITMIME", FEATURE_8BITMIME},
	{"AUTH", FEATURE_AUTH},
	{"PIPELINING", FEATURE_PIPELINING},
	{"SIZE", FEATURE_SIZE},
	{"XFORWARD", FEATURE_XFORWARD},
	{"STARTTLS", FEATURE_STARTTLS},
	{"ENHANCEDSTATUSCODES", FEATURE_ENHANCED},
	{"DSN", FEATURE_DSN},
	{"SMTPUTF8", FEATURE_SMTPUTF8},
	{"SILENT-DISCARD", FEATURE_DISCARD_SILENTLY},
};

static int keyword_bit(struct str word)
{
	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (str_case_is(word, keywords[i].keyword))
			return keywords[i].bit;
	return 0;
}

int smtp_features_mask(struct str list)
{
	struct str word;
	int bits = 0;

	while (str_word(&list, " \t\r\n,", &word))
		bits |= keyword_bit(word);
	return bits;
}

static void log_discarded(int bits)
{
	struct buf text = BUF(400);

	for (size_t i = 0; i < sizeof(keywords) / sizeof(keywords[0]); i++)
		if (bits & keywords[i].bit)
			buf_printf(&text, " %s", keywords[i].keyword);
	if (text.len && !(bits & FEATURE_DISCARD_SILENTLY))
		log_info("discarding EHLO keywords:%s", buf_cstr(&text));
	buf_free(&text);
}

/* The table's entry for the server's address takes the place of the general list. False with why: the table
 * fails. It may be there lest mail be lost, so nothing is guessed. */
static bool discarded(struct smtp_session *s, struct pool *pool, int *bits, struct dsn **why)
{
	const char *parameter = s->client->lmtp ? "lmtp_discard_lhlo_keyword_address_maps"
						: "smtp_discard_ehlo_keyword_address_maps";
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status;
	char text[NET_HOST_MAX];
	struct net_addr peer;

	*bits = s->client->discard;
	if (maps_empty(s->client->discard_maps) || !net_peer(stream_fd(s->stream), &peer))
		return true;
	status = maps_lookup(s->client->discard_maps, str_c(net_host(&peer, text)), &value, &err);
	if (status == TABLE_FOUND)
		*bits = smtp_features_mask(buf_slice(&value));
	buf_free(&value);
	if (status == TABLE_FOUND || status == TABLE_NOT_FOUND)
		return true;
	log_warning("%s: %s: %s", s->qid, parameter, err.text);
	*why = dsn_make(pool, DSN_DELAYED, "4.3.0", "local data error while talking to %s", s->label);
	return false;
}

/* "AUTH PLAIN LOGIN", and the old form "AUTH=LOGIN PLAIN", of which there may be both. */
static void add_mechanisms(struct smtp_session *s, struct str line)
{
	const char *offered, *taken;
	struct str word;

	if (!s->client->passwords)
		return;
	while (line.n > 0 && strchr(" \t=", line.p[0]))
		line = str_from(line, 1);
	offered = pool_strndup(s->pool, line.p, line.n);
	if (!str_word(&line, " \t=", &word))
		log_warning("%s offered null AUTH mechanism list", s->relay);
	taken = smtp_sasl_filter(s->client, s->pool, offered);
	if (word.n > 0 && !taken[0])
		log_warning("%s offered no supported AUTH mechanisms: '%s'", s->relay, offered);
	s->mechanisms =
		pool_printf(s->pool, "%s%s%s", s->mechanisms, s->mechanisms[0] && taken[0] ? " " : "", taken);
}

/* One that no number can hold is none. */
static void set_size_limit(struct smtp_session *s, struct str line)
{
	struct str word;

	s->size_limit = 0;
	if (!str_word(&line, " \t=", &word) || str_to_u64(word, INT64_MAX, &s->size_limit))
		return;
	s->size_limit = 0;
	for (size_t i = 0; i < word.n; i++)
		if (!isdigit((unsigned char)word.p[i])) {
			log_warning("bad EHLO SIZE limit \"" STR_FMT "\" from %s", STR_ARG(word), s->relay);
			return;
		}
}

static void read_keyword(struct smtp_session *s, struct str line, int discard)
{
	struct str word;
	int bit;

	if (!str_word(&line, " \t=", &word))
		return;
	bit = keyword_bit(word) & ~discard & ~FEATURE_DISCARD_SILENTLY;
	s->features |= bit;
	if (bit == FEATURE_XFORWARD)
		s->xforward |= smtp_xforward_attributes(line);
	if (bit == FEATURE_AUTH)
		add_mechanisms(s, line);
	if (bit == FEATURE_SIZE)
		set_size_limit(s, line);
}

bool smtp_features_read(
	struct smtp_session *s, struct pool *pool, const struct smtp_reply *reply, struct dsn **why)
{
	struct str rest = str_c(reply->text), line;
	bool first = true;
	int discard;

	if (!discarded(s, pool, &discard, why))
		return false;
	log_discarded(discard);
	s->features = FEATURE_ESMTP;
	s->size_limit = 0;
	s->mechanisms = "";
	s->xforward = 0;
	while (str_word(&rest, "\n", &line)) {
		if (!first)
			read_keyword(s, str_from(line, 4), discard);
		first = false;
	}
	if (s->features & FEATURE_SMTPUTF8 && !(s->features & FEATURE_8BITMIME))
		log_info("host %s offers SMTPUTF8 support, but not 8BITMIME", s->label);
	return true;
}
