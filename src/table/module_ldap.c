/* ldap:/file, ldap_table(5): a loadable module over OpenLDAP. This part: the settings. */
#include "table/module_ldap.h"

#include <pthread.h>

#include "base/mem.h"
#include "table/template.h"

/* ---- texts */

static void set_text(char **out, struct settings *s, const char *name, const char *fallback)
{
	const char *text = settings_text(s, name, fallback);

	*out = text ? x_strdup(text) : NULL;
}

static void copy_texts(struct ldap_table *t, struct settings *s)
{
	set_text(&t->search_base, s, "search_base", NULL);
	set_text(&t->query_filter, s, "query_filter", "(mailacceptinggeneralid=%s)");
	set_text(&t->bind_dn, s, "bind_dn", "");
	set_text(&t->bind_password, s, "bind_pw", "");
	set_text(&t->sasl_mechanisms, s, "sasl_mechs", "");
	set_text(&t->sasl_realm, s, "sasl_realm", "");
	set_text(&t->sasl_authorization, s, "sasl_authz_id", "");
	set_text(&t->ca_file, s, "tls_ca_cert_file", NULL);
	set_text(&t->ca_directory, s, "tls_ca_cert_dir", NULL);
	set_text(&t->cert, s, "tls_cert", NULL);
	set_text(&t->key, s, "tls_key", NULL);
	set_text(&t->ciphers, s, "tls_cipher_suite", NULL);
	set_text(&t->random_file, s, "tls_random_file", NULL);
}

void module_close(void *state)
{
	struct ldap_table *t = state;
	char **texts[] = {&t->search_base, &t->query_filter, &t->bind_dn, &t->bind_password,
		&t->sasl_mechanisms, &t->sasl_realm, &t->sasl_authorization, &t->ca_file, &t->ca_directory,
		&t->cert, &t->key, &t->ciphers, &t->random_file};
	struct ldap_names *lists[] = {&t->result, &t->special, &t->terminal, &t->leaf, &t->all};

	if (t->bind_password)
		explicit_bzero(t->bind_password, strlen(t->bind_password));
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		x_free(texts[i]);
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		for (size_t n = 0; n < lists[i]->count; n++)
			x_free(&lists[i]->list[n]);
		x_free(&lists[i]->list);
	}
	x_free(&state);
}

/* ---- attributes */

static void add_name(struct ldap_names *names, struct str name)
{
	names->list = x_realloc(names->list, (names->count + 2) * sizeof(*names->list));
	names->list[names->count++] = x_strndup(name.p, name.n);
	names->list[names->count] = NULL;
}

static void add_names(struct ldap_table *t, struct ldap_names *names, const char *text)
{
	struct str rest = str_c(text), name;

	while (str_word(&rest, ", \t\r\n", &name)) {
		add_name(names, name);
		add_name(&t->all, name);
	}
}

static void copy_attributes(struct ldap_table *t, struct settings *s)
{
	add_names(t, &t->result, settings_text(s, "result_attribute", "maildrop"));
	add_names(t, &t->special, settings_text(s, "special_result_attribute", ""));
	add_names(t, &t->terminal, settings_text(s, "terminal_result_attribute", ""));
	add_names(t, &t->leaf, settings_text(s, "leaf_result_attribute", ""));
}

/* ---- words, numbers */

struct choice {
	const char *word;
	int value;
};

static bool set_choice(
	int *out, struct settings *s, const char *name, const struct choice *choices, struct err *err)
{
	const char *text = settings_text(s, name, choices->word);

	for (const struct choice *c = choices; c->word; c++) {
		if (ascii_casecmp(text, c->word) == 0) {
			*out = c->value;
			return true;
		}
	}
	return err_set(err, "%s = %s: not one of its words", name, text);
}

static void set_scope(struct ldap_table *t, struct settings *s)
{
	static const struct choice scopes[] = {{"sub", LDAP_SCOPE_SUBTREE}, {"base", LDAP_SCOPE_BASE},
		{"one", LDAP_SCOPE_ONELEVEL}, {NULL, 0}};
	struct err unknown;

	if (!set_choice(&t->scope, s, "scope", scopes, &unknown)) {
		settings_warn(s, "%s; using sub", unknown.text);
		t->scope = LDAP_SCOPE_SUBTREE;
	}
}

static bool set_bind(struct ldap_table *t, struct settings *s, struct err *err)
{
	static const struct choice binds[] = {{"yes", LDAP_BIND_SIMPLE}, {"simple", LDAP_BIND_SIMPLE},
		{"no", LDAP_BIND_NONE}, {"none", LDAP_BIND_NONE}, {"sasl", LDAP_BIND_SASL}, {NULL, 0}};
	int bind = 0;
	bool ok = set_choice(&bind, s, "bind", binds, err);

	t->bind = bind;
	return ok;
}

static bool set_numbers(struct ldap_table *t, struct settings *s, struct err *err)
{
	int limit;

	return settings_number(s, "expansion_limit", 0, 0, INT32_MAX, &limit, err) &&
	       settings_number(s, "size_limit", limit, 0, INT32_MAX, &t->size_limit, err) &&
	       settings_number(s, "recursion_limit", 1000, 1, INT32_MAX, &t->recursion_limit, err) &&
	       settings_number(s, "server_port", LDAP_PORT, 1, 65535, &t->port, err) &&
	       settings_number(s, "timeout", 10, 1, 3600, &t->timeout, err) &&
	       settings_number(s, "dereference", 0, INT32_MIN, INT32_MAX, &t->dereference, err) &&
	       settings_number(s, "version", 2, 2, INT32_MAX, &t->version, err) &&
	       settings_number(s, "debuglevel", 0, INT32_MIN, INT32_MAX, &t->debug_level, err) &&
	       settings_number(s, "sasl_minssf", 0, 0, 4096, &t->sasl_strength, err);
}

/* Numbers of other libraries and protocols to come. */
static void limit_numbers(struct ldap_table *t, struct settings *s)
{
	if (t->dereference < 0 || t->dereference > 3) {
		settings_warn(s, "dereference = %d: not a number from 0 to 3; using 0", t->dereference);
		t->dereference = 0;
	}
	if (t->version > 3) {
		settings_warn(s, "version = %d: not known; using 3", t->version);
		t->version = 3;
	}
}

/* The manual says 0 and 1, and yes and no are what many write. */
static bool set_referrals(struct ldap_table *t, struct settings *s, struct err *err)
{
	const char *text = settings_text(s, "chase_referrals", "no");

	t->chase_referrals = str_is(str_c(text), "1");
	return t->chase_referrals || str_is(str_c(text), "0") ||
	       settings_bool(s, "chase_referrals", false, &t->chase_referrals, err);
}

static bool set_flags(struct ldap_table *t, struct settings *s, struct err *err)
{
	return settings_bool(s, "start_tls", false, &t->start_tls, err) &&
	       settings_bool(s, "tls_require_cert", false, &t->require_cert, err) && set_referrals(t, s, err);
}

/* The library reads its configuration when it is first used: not safe when threads race for it. */
static void start_library(void)
{
	int version;

	ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
}

bool module_open(struct settings *s, void **state, struct err *err)
{
	static pthread_once_t started = PTHREAD_ONCE_INIT;
	struct ldap_table *t = x_alloc(sizeof(*t));

	pthread_once(&started, start_library);
	*state = t;
	copy_texts(t, s);
	copy_attributes(t, s);
	if (!t->search_base)
		return err_set(err, "search_base is not set");
	if (!template_check("search_base", t->search_base, err) ||
		!template_check("query_filter", t->query_filter, err) || !set_bind(t, s, err) ||
		!set_numbers(t, s, err) || !set_flags(t, s, err))
		return false;
	set_scope(t, s);
	limit_numbers(t, s);
	if (!strchr(t->query_filter, '%') && !strchr(t->search_base, '%'))
		settings_warn(s, "query_filter = %s: the same search for every key", t->query_filter);
	if (t->all.count == 0)
		return err_set(err, "there is no result attribute");
	if ((t->start_tls || t->bind == LDAP_BIND_SASL) && t->version < 3)
		return err_set(err, "start_tls and bind = sasl need version = 3");
	return true;
}

static bool module_applies(void *state, struct str key)
{
	const struct ldap_table *t = state;

	return template_applies(t->query_filter, key, true) && template_applies(t->search_base, key, true);
}

static const char *const ignored[] = {"cache", "cache_expiry", "cache_size", NULL};

DATABASE_MODULE(.ignored = ignored, .old_format_setting = "result_filter", .hosts_setting = "server_host",
	.hosts_default = "localhost", .hosts_in_order = true);
