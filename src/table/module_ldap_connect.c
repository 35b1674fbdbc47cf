/* Connections to LDAP servers: options, TLS, binding. */
#include <sasl/sasl.h>

#include "base/mem.h"
#include "table/module_ldap.h"

enum database_status module_ldap_failed(LDAP *ld, int code, const char *what, struct err *err)
{
	char *said = NULL;

	ldap_get_option(ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &said);
	if (said && *said)
		err_set(err, "%s: %s (%s)", what, ldap_err2string(code), said);
	else
		err_set(err, "%s: %s", what, ldap_err2string(code));
	if (said)
		ldap_memfree(said);
	if (code == LDAP_FILTER_ERROR || code == LDAP_PARAM_ERROR)
		return DATABASE_FAILED;
	return code < 0 || code == LDAP_UNAVAILABLE || code == LDAP_BUSY ? DATABASE_LOST : DATABASE_FAILED;
}

static void set_file(LDAP *ld, int option, const char *value)
{
	if (value)
		ldap_set_option(ld, option, value);
}

static bool uses_tls(const struct ldap_table *t, const char *url)
{
	return t->start_tls || t->chase_referrals || str_case_starts(str_c(url), STR("ldaps://"));
}

/* The settings of TLS are a context of this connection's own. Files of settings that are not used need not be
 * there. */
static bool set_tls(LDAP *ld, const struct ldap_table *t, const char *url, struct err *err)
{
	int require = t->require_cert ? LDAP_OPT_X_TLS_DEMAND : LDAP_OPT_X_TLS_NEVER, client = 0;
	int code;

	if (!uses_tls(t, url))
		return true;
	set_file(ld, LDAP_OPT_X_TLS_CACERTFILE, t->ca_file);
	set_file(ld, LDAP_OPT_X_TLS_CACERTDIR, t->ca_directory);
	set_file(ld, LDAP_OPT_X_TLS_CERTFILE, t->cert);
	set_file(ld, LDAP_OPT_X_TLS_KEYFILE, t->key);
	set_file(ld, LDAP_OPT_X_TLS_CIPHER_SUITE, t->ciphers);
	set_file(ld, LDAP_OPT_X_TLS_RANDOM_FILE, t->random_file);
	ldap_set_option(ld, LDAP_OPT_X_TLS_REQUIRE_CERT, &require);
	code = ldap_set_option(ld, LDAP_OPT_X_TLS_NEWCTX, &client);
	return code == LDAP_OPT_SUCCESS || err_set(err, "the TLS settings cannot be used");
}

static void set_options(LDAP *ld, const struct ldap_table *t)
{
	const struct timeval limit = {.tv_sec = t->timeout};

	ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &limit);
	ldap_set_option(ld, LDAP_OPT_TIMEOUT, &limit);
	ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &t->version);
	ldap_set_option(ld, LDAP_OPT_DEREF, &t->dereference);
	ldap_set_option(ld, LDAP_OPT_REFERRALS, t->chase_referrals ? LDAP_OPT_ON : LDAP_OPT_OFF);
	if (t->debug_level)
		ldap_set_option(ld, LDAP_OPT_DEBUG_LEVEL, &t->debug_level);
}

static const char *sasl_answer(const struct ldap_table *t, unsigned long what)
{
	switch (what) {
	case SASL_CB_AUTHNAME:
		return t->bind_dn;
	case SASL_CB_PASS:
		return t->bind_password;
	case SASL_CB_USER:
		return t->sasl_authorization;
	case SASL_CB_GETREALM:
		return t->sasl_realm;
	default:
		return "";
	}
}

static int answer_sasl(LDAP *ld, unsigned flags, void *table, void *questions)
{
	for (sasl_interact_t *q = questions; q->id != SASL_CB_LIST_END; q++) {
		q->result = sasl_answer(table, q->id);
		q->len = (unsigned)strlen(q->result);
	}
	return LDAP_SUCCESS;
}

static int bind_sasl(LDAP *ld, const struct ldap_table *t)
{
	ber_len_t strength = (ber_len_t)t->sasl_strength;
	const char *name = *t->bind_dn ? t->bind_dn : NULL;
	const char *mechanisms = *t->sasl_mechanisms ? t->sasl_mechanisms : NULL;

	ldap_set_option(ld, LDAP_OPT_X_SASL_SSF_MIN, &strength);
	return ldap_sasl_interactive_bind_s(
		ld, name, mechanisms, NULL, NULL, LDAP_SASL_QUIET, answer_sasl, (void *)t);
}

static int bind_simple(LDAP *ld, const struct ldap_table *t)
{
	struct berval password = {strlen(t->bind_password), t->bind_password};

	return ldap_sasl_bind_s(ld, t->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
}

static bool enter(LDAP *ld, const struct ldap_table *t, struct err *err)
{
	int code = t->start_tls ? ldap_start_tls_s(ld, NULL, NULL) : LDAP_SUCCESS;

	if (code != LDAP_SUCCESS) {
		module_ldap_failed(ld, code, "STARTTLS", err);
		return false;
	}
	if (t->bind == LDAP_BIND_SIMPLE)
		code = bind_simple(ld, t);
	else if (t->bind == LDAP_BIND_SASL)
		code = bind_sasl(ld, t);
	if (code == LDAP_SUCCESS)
		return true;
	module_ldap_failed(ld, code, "bind", err);
	return false;
}

/* host, host:port or a URL. */
static char *url_of(const struct ldap_table *t, const char *host)
{
	const char *colon = strchr(host, ':');

	if (strstr(host, "://"))
		return x_strdup(host);
	if (colon && (*host == '[' ? strstr(host, "]:") != NULL : true))
		return x_asprintf("ldap://%s", host);
	return x_asprintf("ldap://%s:%d", host, t->port);
}

void module_disconnect(void *connection)
{
	struct ldap_connection *c = connection;

	if (c->ld)
		ldap_unbind_ext(c->ld, NULL, NULL);
	x_free(&connection);
}

static bool open_url(struct ldap_connection *c, const char *url, struct err *err)
{
	int code = ldap_initialize(&c->ld, url);

	if (code != LDAP_SUCCESS)
		return err_set(err, "%s", ldap_err2string(code));
	set_options(c->ld, c->table);
	return set_tls(c->ld, c->table, url, err) && enter(c->ld, c->table, err);
}

void *module_connect(void *state, const char *host, struct err *err)
{
	struct ldap_connection *c = x_alloc(sizeof(*c));
	char *url;

	c->table = state;
	url = url_of(c->table, host);
	if (!open_url(c, url, err)) {
		err_prefix(err, "%s", url);
		module_disconnect(c);
		c = NULL;
	}
	x_free(&url);
	return c;
}
