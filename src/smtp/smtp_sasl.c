#include "smtp/smtp_sasl.h"

#include "base/hash.h"
#include "base/log.h"
#include "base/sys.h"
#include "sasl/sasl_login.h"
#include "smtp/smtp_dialogue.h"
#include "smtp/smtp_notify.h"
#include "smtp/smtp_sasl_cache.h"
#include "smtp/smtp_session.h"
#include "tls/tls.h"

#define ROUNDS_MAX 20 /* challenges of one exchange */
#define RESPONSE_MAX 16384
#define COMMAND_BYTES                                                                                        \
	512 /* a longer first response waits for the server's empty challenge: RFC 4954 section 4 */

bool smtp_sasl_open(struct smtp_client *c, struct err *err)
{
	const struct config *cfg = c->cfg;

	if (!cfg->smtp_sasl_auth_enable)
		return true;
	if (strcmp(cfg->smtp_sasl_type, "cyrus") != 0)
		return err_set(err, "smtp_sasl_type: \"%s\" is not supported", cfg->smtp_sasl_type);
	if (!smtp_sasl_cache_open(c, err))
		return false;
	c->passwords = maps_open("smtp_sasl_password_maps", cfg->smtp_sasl_password_maps, TABLE_FOLD, err);
	if (!c->passwords)
		return false;
	if (cfg->smtp_sasl_mechanism_filter[0]) {
		c->mechanism_filter =
			matchlist_open("smtp_sasl_mechanism_filter", cfg->smtp_sasl_mechanism_filter, 0, err);
		if (!c->mechanism_filter)
			return false;
	}
	return sasl_login_open(err);
}

static enum table_status look_up(struct smtp_delivery *d, const char *host, const char *destination,
	struct buf *value, struct err *err)
{
	struct maps *maps = d->client->passwords;
	enum table_status status = TABLE_NOT_FOUND;
	struct str kept;

	if (d->client->cfg->smtp_sender_dependent_authentication && d->request->sender[0])
		status = maps_lookup_address(maps, str_c(d->request->sender),
			d->client->cfg->recipient_delimiter, false, value, &kept, err);
	if (status == TABLE_NOT_FOUND && host)
		status = maps_lookup(maps, str_c(host), value, err);
	if (status == TABLE_NOT_FOUND)
		status = maps_lookup(maps, str_c(destination), value, err);
	return status;
}

static void split(struct smtp_delivery *d, struct str value, const char **user, const char **password)
{
	struct str delimiter = str_c(d->client->cfg->smtp_sasl_password_result_delimiter);
	const char *at = delimiter.n > 0 ? memmem(value.p, value.n, delimiter.p, delimiter.n) : NULL;
	size_t n = at ? (size_t)(at - value.p) : value.n;

	*user = pool_strndup(d->pool, value.p, n);
	*password = at ? pool_strndup(d->pool, at + delimiter.n, value.n - n - delimiter.n) : "";
}

enum table_status smtp_sasl_credentials(struct smtp_delivery *d, const char *host, const char *destination,
	const char **user, const char **password)
{
	struct buf value = BUF(TABLE_VALUE_MAX);
	struct err err = {""};
	enum table_status status;

	if (!d->client->passwords)
		return TABLE_NOT_FOUND;
	status = look_up(d, host, destination, &value, &err);
	if (status == TABLE_FOUND)
		split(d, buf_slice(&value), user, password);
	else if (status != TABLE_NOT_FOUND)
		log_warning("smtp_sasl_password_maps: %s", err.text);
	if (value.data)
		sys_wipe(value.data, value.cap);
	buf_free(&value);
	return status;
}

static struct dsn *table_failed(struct smtp_delivery *d)
{
	return dsn_make(d->pool, DSN_DELAYED, "4.3.0", "SASL password lookup error");
}

bool smtp_sasl_key(struct smtp_delivery *d, const char *host, const char *destination, const char **key,
	struct dsn **why)
{
	const char *user = "", *password = "";
	enum table_status status = smtp_sasl_credentials(d, host, destination, &user, &password);

	*key = "";
	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED) {
		*why = table_failed(d);
		return false;
	}
	if (status == TABLE_FOUND)
		*key = pool_printf(d->pool, " login %s %016llx", user,
			(unsigned long long)hash_bytes(password, strlen(password)));
	if (d->client->cfg->smtp_sender_dependent_authentication)
		*key = pool_printf(d->pool, "%s as %s", *key, d->request->sender);
	return true;
}

const char *smtp_sasl_filter(const struct smtp_client *c, struct pool *pool, const char *offered)
{
	struct str rest = str_c(offered), word;
	struct buf kept = BUF(4096);
	const char *text;

	while (str_word(&rest, " \t=", &word)) {
		struct err err = {""};

		if (!c->mechanism_filter || matchlist_name(c->mechanism_filter, word, &err) == TABLE_FOUND)
			buf_printf(&kept, "%s" STR_FMT, kept.len > 0 ? " " : "", STR_ARG(word));
	}
	text = pool_strdup(pool, buf_cstr(&kept));
	buf_free(&kept);
	return text;
}

static const char *security_options(const struct smtp_session *s)
{
	const struct tls_info *info = tls_session_info(s->stream);

	if (!info)
		return s->client->cfg->smtp_sasl_security_options;
	return s->verified ? s->client->cfg->smtp_sasl_tls_verified_security_options
			   : s->client->cfg->smtp_sasl_tls_security_options;
}

static bool cannot(
	struct smtp_delivery *d, const struct smtp_session *s, const char *reason, struct dsn **why)
{
	*why = dsn_make(d->pool, DSN_DELAYED, "4.7.0",
		"SASL authentication failed; cannot authenticate to server %s: %s", s->label, reason);
	return false;
}

static bool refused(struct smtp_delivery *d, const struct smtp_reply *reply, const char *how,
	const char *server, struct dsn **why)
{
	bool soft = reply->code / 100 != 5 || d->client->cfg->smtp_sasl_auth_soft_bounce;
	char status[12];

	smtp_reply_status(reply, status);
	if (soft)
		status[0] = '4';
	*why = dsn_make(d->pool, soft ? DSN_DELAYED : DSN_FAILED, status,
		"SASL %sauthentication failed; server %s said: %s", how, server, reply->text);
	return false;
}

/* Challenges and responses until the server's verdict. `pending`: the first response, which did not fit
 * beside the command. */
static bool converse(struct smtp_delivery *d, struct smtp_session *s, const struct smtp_login *who,
	struct sasl_login *login, struct buf *pending, struct dsn **why)
{
	struct smtp_reply reply;
	struct err err = {""};
	bool ok;

	for (int round = 0; round < ROUNDS_MAX; round++) {
		if (!smtp_hear(s, s->client->cfg->smtp_helo_timeout, &reply)) {
			*why = smtp_trouble(s, d->pool, "performing SASL authentication");
			return false;
		}
		if (reply.code / 100 != 3) {
			ok = reply.code / 100 == 2;
			if (!ok) {
				smtp_sasl_cache_note(d->client, who, &reply);
				refused(d, &reply, "", s->label, why);
			}
			smtp_reply_free(&reply);
			return ok;
		}
		ok = pending->len > 0 ||
		     sasl_login_answer(login, str_trim(str_from(str_c(reply.text), 4)), pending, &err);
		smtp_reply_free(&reply);
		if (!ok) {
			s->failed = true;
			return cannot(d, s, err.text, why);
		}
		stream_write(s->stream, pending->data ? pending->data : "", pending->len);
		stream_puts(s->stream, "\r\n");
		buf_clear(pending);
	}
	s->failed = true;
	return cannot(d, s, "too many challenges", why);
}

static bool exchange(struct smtp_delivery *d, struct smtp_session *s, const struct smtp_login *who,
	struct sasl_login *login, struct dsn **why)
{
	struct buf response = BUF(RESPONSE_MAX);
	const char *mechanism = "";
	bool has_initial = false, ok;
	struct err err = {""};

	if (!sasl_login_begin(login, s->mechanisms, &mechanism, &response, &has_initial, &err)) {
		buf_free(&response);
		return cannot(d, s, err.text, why);
	}
	stream_printf(s->stream, "AUTH %s", mechanism);
	if (has_initial && strlen(mechanism) + response.len + sizeof("AUTH  \r\n") <= COMMAND_BYTES) {
		stream_printf(s->stream, " %s", response.len > 0 ? buf_cstr(&response) : "=");
		buf_clear(&response);
	}
	stream_puts(s->stream, "\r\n");
	smtp_dialogue_said(s, str_c(pool_printf(s->pool, "AUTH %s ...", mechanism)));
	ok = converse(d, s, who, login, &response, why);
	if (response.data)
		sys_wipe(response.data, response.cap);
	buf_free(&response);
	return ok;
}

bool smtp_sasl_login(
	struct smtp_delivery *d, struct smtp_session *s, const char *destination, struct dsn **why)
{
	struct sasl_credentials credentials = {.service = s->client->lmtp ? "lmtp" : "smtp",
		.host = s->host,
		.security_options = security_options(s)};
	enum table_status status =
		smtp_sasl_credentials(d, s->host, destination, &credentials.user, &credentials.password);
	const struct smtp_login who = {s->host, credentials.user, credentials.password};
	struct sasl_login *login;
	struct smtp_reply before;
	struct err err = {""};
	bool ok;

	if (status == TABLE_RETRY || status == TABLE_MISCONFIGURED) {
		*why = table_failed(d);
		return false;
	}
	if (status == TABLE_NOT_FOUND || !credentials.user[0] || !(s->features & FEATURE_AUTH))
		return true;
	if (!s->mechanisms[0]) {
		*why = dsn_make(d->pool, DSN_DELAYED, "4.7.0",
			"SASL authentication failed: server %s offered no compatible authentication "
			"mechanisms for this type of connection security",
			s->label);
		return false;
	}
	if (smtp_sasl_cache_find(d->client, d->pool, &who, &before))
		return refused(d, &before, "[CACHED] ", s->host, why);
	login = sasl_login_new(&credentials, &err);
	if (!login)
		return cannot(d, s, err.text, why);
	ok = exchange(d, s, &who, login, why);
	s->logged_in = ok;
	sasl_login_free(&login);
	return ok;
}
