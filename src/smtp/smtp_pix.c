#include "smtp/smtp_pix.h"

#include <errno.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

static const struct {
	const char *name;
	int bit;
} workarounds[] = {
	{"disable_esmtp", PIX_DISABLE_ESMTP},
	{"delay_dotcrlf", PIX_DELAY_DOTCRLF},
};

static const char *parameter(const struct smtp_session *s, const char *smtp, const char *lmtp)
{
	return s->client->lmtp ? lmtp : smtp;
}

static int bits_of(const char *where, struct str list)
{
	struct str word;
	int bits = 0;

	while (str_word(&list, " \t\r\n,", &word)) {
		int bit = 0;

		for (size_t i = 0; i < sizeof(workarounds) / sizeof(*workarounds); i++)
			bit |= str_case_is(word, workarounds[i].name) ? workarounds[i].bit : 0;
		if (bit == 0)
			log_warning("%s: unknown workaround \"" STR_FMT "\"", where, STR_ARG(word));
		bits |= bit;
	}
	return bits;
}

/* The firewall has made stars of everything but digits that it likes. */
static bool is_pix(const struct smtp_reply *greeting)
{
	struct str rest = str_c(greeting->text), line;
	bool stars = false;

	while (str_word(&rest, "\n", &line)) {
		for (size_t i = 4; i < line.n; i++) {
			if (!strchr("*02 ", line.p[i]))
				return false;
			stars = stars || line.p[i] == '*';
		}
	}
	return stars;
}

static bool old_enough(const struct smtp_session *s, const struct delivery_request *request)
{
	return clock_real() - request->arrival_us >=
	       s->client->cfg->smtp_pix_workaround_threshold_time * US_PER_SEC;
}

static void tell(const struct smtp_session *s, const struct delivery_request *request)
{
	struct buf names = BUF(100);

	for (size_t i = 0; i < sizeof(workarounds) / sizeof(*workarounds); i++) {
		if (!(s->pix & workarounds[i].bit) ||
			(workarounds[i].bit == PIX_DELAY_DOTCRLF && !old_enough(s, request)))
			continue;
		buf_printf(&names, "%s%s", names.len ? " " : "", workarounds[i].name);
	}
	if (names.len)
		log_info("%s: enabling PIX workarounds: %s for %s", request->qid.text, buf_cstr(&names),
			s->relay);
	buf_free(&names);
}

bool smtp_pix_recognise(struct smtp_session *s, struct pool *pool, const struct delivery_request *request,
	const struct smtp_reply *greeting, struct dsn **why)
{
	const char *maps = parameter(s, "smtp_pix_workaround_maps", "lmtp_pix_workaround_maps");
	const char *list = parameter(s, "smtp_pix_workarounds", "lmtp_pix_workarounds");
	struct buf value = BUF(TABLE_VALUE_MAX);
	enum table_status status = TABLE_NOT_FOUND;
	char text[NET_HOST_MAX];
	struct err err = {""};
	struct net_addr peer;

	s->pix = 0;
	if (!is_pix(greeting))
		return true;
	if (net_peer(stream_fd(s->stream), &peer))
		status = maps_lookup(s->client->pix_maps, str_c(net_host(&peer, text)), &value, &err);
	if (status == TABLE_FOUND)
		s->pix = bits_of(maps, buf_slice(&value));
	else if (status == TABLE_NOT_FOUND)
		s->pix = bits_of(list, str_c(s->client->cfg->smtp_pix_workarounds));
	buf_free(&value);
	if (status != TABLE_FOUND && status != TABLE_NOT_FOUND) {
		log_warning("%s: %s: %s", request->qid.text, maps, err.text);
		*why = dsn_make(pool, DSN_DELAYED, "4.3.0", "local data error while talking to %s", s->label);
		return false;
	}
	tell(s, request);
	return true;
}

void smtp_pix_pause(struct smtp_session *s, const struct delivery_request *request)
{
	struct timespec left = {.tv_sec = s->client->cfg->smtp_pix_workaround_delay_time};

	if (!(s->pix & PIX_DELAY_DOTCRLF) || !old_enough(s, request) || !stream_flush(s->stream))
		return;
	while (nanosleep(&left, &left) != 0 && errno == EINTR)
		;
}
