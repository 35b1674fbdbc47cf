#include "base/mem.h"
#include "sasl/sasl_internal.h"

#define MECHANISM_TEXT_MAX (SASL_MECHANISMS_MAX * (SASL_MECHANISM_MAX + 1))

static const struct sasl_backend *const backends[] = {&sasl_dovecot};

/* A security option rules out mechanisms with, or without, a property. */
static const struct {
	const char *name;
	int forbids, requires;
} security[] = {
	{"noanonymous", MECHANISM_ANONYMOUS, 0},
	{"noplaintext", MECHANISM_PLAINTEXT, 0},
	{"nodictionary", MECHANISM_DICTIONARY, 0},
	{"noactive", MECHANISM_ACTIVE, 0},
	{"forward_secrecy", 0, MECHANISM_FORWARD_SECRECY},
	{"mutual_auth", 0, MECHANISM_MUTUAL_AUTH},
};

struct sasl_server {
	const struct sasl_backend *backend;
	char *path;
	int timeout;
	struct pool *session; /* of the client being served: what follows */
	struct sasl_peer peer;
	int forbids, requires;
	struct sasl_link *link; /* NULL: lost */
	struct buf mechanisms;
	const char *mechanism;
};

static bool set_security(struct sasl_server *s, const char *options, struct err *err)
{
	struct str rest = str_c(options), word;

	s->forbids = MECHANISM_PRIVATE;
	s->requires = 0;
	while (str_word(&rest, " \t\r\n,", &word)) {
		size_t i = 0, n = sizeof(security) / sizeof(security[0]);

		while (i < n && !str_case_is(word, security[i].name))
			i++;
		if (i == n)
			return err_set(err, "unknown SASL security option: " STR_FMT, STR_ARG(word));
		s->forbids |= security[i].forbids;
		s->requires |= security[i].requires;
	}
	return true;
}

static void list_mechanisms(struct sasl_server *s)
{
	buf_clear(&s->mechanisms);
	for (size_t i = 0; i < s->link->mechanism_count; i++) {
		const struct sasl_mechanism *m = &s->link->mechanisms[i];

		if (m->flags & s->forbids || (m->flags & s->requires) != s->requires)
			continue;
		buf_printf(&s->mechanisms, "%s%s", s->mechanisms.len > 0 ? " " : "", m->name);
	}
}

static void drop_link(struct sasl_server *s)
{
	if (s->link)
		s->backend->close(s->link);
	s->link = NULL;
}

static bool make_link(struct sasl_server *s, struct err *err)
{
	if (s->link && s->link->lost)
		drop_link(s);
	if (!s->link)
		s->link = s->backend->open(s->path, s->timeout, err);
	if (!s->link)
		return false;
	list_mechanisms(s);
	return s->mechanisms.len > 0 ||
	       err_set(err, "%s: no SASL mechanism is left by the security options", s->path);
}

bool sasl_server_serve(
	struct sasl_server *s, const struct sasl_peer *peer, const char *security_options, struct err *err)
{
	pool_free(&s->session);
	s->session = pool_new(512);
	s->peer = *peer;
	s->peer.service = pool_strdup(s->session, peer->service);
	s->peer.client_address = pool_strdup(s->session, peer->client_address);
	s->peer.server_address = pool_strdup(s->session, peer->server_address);
	s->mechanism = NULL;
	return set_security(s, security_options, err) && make_link(s, err);
}

struct sasl_server *sasl_server_new(const char *type, const char *path, const struct sasl_peer *peer,
	const char *security_options, int timeout, struct err *err)
{
	const struct sasl_backend *backend = NULL;
	struct sasl_server *s;

	for (size_t i = 0; i < sizeof(backends) / sizeof(backends[0]); i++)
		if (strcmp(backends[i]->type, type) == 0)
			backend = backends[i];
	if (!backend) {
		err_set(err, "SASL server type \"%s\" is not supported", type);
		return NULL;
	}
	s = x_alloc(sizeof(*s));
	s->backend = backend;
	s->path = x_strdup(path);
	s->timeout = timeout;
	buf_init(&s->mechanisms, MECHANISM_TEXT_MAX);
	if (!sasl_server_serve(s, peer, security_options, err))
		sasl_server_free(&s);
	return s;
}

void sasl_server_free(struct sasl_server **s)
{
	if (!*s)
		return;
	drop_link(*s);
	buf_free(&(*s)->mechanisms);
	pool_free(&(*s)->session);
	x_free(&(*s)->path);
	x_free(s);
}

const char *sasl_mechanisms(const struct sasl_server *s)
{
	return buf_cstr(&s->mechanisms);
}

/* The alphabet of RFC 4648 section 4. Whether it is padded as it should be is for the back end, which can say
 * so. */
static bool valid_base64(struct str s)
{
	size_t pad = 0;

	if (s.n > SASL_MESSAGE_MAX)
		return false;
	while (pad < 2 && pad < s.n && s.p[s.n - 1 - pad] == '=')
		pad++;
	for (size_t i = 0; i < s.n - pad; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (!(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') &&
			c != '+' && c != '/')
			return false;
	}
	return true;
}

/* The offered name, in its own spelling; NULL: not offered. */
static const char *offered(struct sasl_server *s, const char *mechanism)
{
	struct str rest = buf_slice(&s->mechanisms), word;

	while (str_word(&rest, " ", &word))
		if (str_case_is(word, mechanism))
			return pool_strndup(s->session, word.p, word.n);
	return NULL;
}

/* A link that broke is closed at once, so that nothing of it can leak into the next exchange. */
static enum sasl_status finish(struct sasl_server *s, enum sasl_status status, struct buf *reply)
{
	if (s->link->lost) {
		drop_link(s);
		buf_clear(reply);
		buf_puts(reply, "Connection lost to authentication server");
		return SASL_TEMPFAIL;
	}
	return status;
}

enum sasl_status sasl_start(
	struct sasl_server *s, const char *mechanism, struct str initial, struct buf *reply)
{
	struct err err = {""};

	buf_clear(reply);
	if (!make_link(s, &err)) {
		buf_puts(reply, err.text);
		return SASL_TEMPFAIL;
	}
	s->link->username[0] = '\0';
	s->mechanism = offered(s, mechanism);
	if (!s->mechanism) {
		buf_puts(reply, "Invalid authentication mechanism");
		return SASL_INVALID;
	}
	if (initial.p && str_is(initial, "="))
		initial = STR("");
	if (!valid_base64(initial)) {
		buf_puts(reply, "Invalid base64 data in initial response");
		return SASL_INVALID;
	}
	return finish(s, s->backend->start(s->link, &s->peer, s->mechanism, initial, reply), reply);
}

enum sasl_status sasl_step(struct sasl_server *s, struct str response, struct buf *reply)
{
	buf_clear(reply);
	if (!s->link) {
		buf_puts(reply, "Connection lost to authentication server");
		return SASL_TEMPFAIL;
	}
	if (!valid_base64(response)) {
		buf_puts(reply, "Invalid base64 data in continued response");
		return SASL_INVALID;
	}
	return finish(s, s->backend->step(s->link, response, reply), reply);
}

const char *sasl_username(const struct sasl_server *s)
{
	return s->link && s->link->username[0] ? s->link->username : NULL;
}

const char *sasl_mechanism(const struct sasl_server *s)
{
	return s->mechanism;
}
