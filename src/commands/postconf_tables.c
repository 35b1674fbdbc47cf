#include "base/mem.h"
#include "base/sys.h"
#include "commands/command_log.h"
#include "commands/postconf.h"

#define SEPARATORS ", \t\r\n"
#define FILE_MAX (1024 * 1024)

static const char *const ldap[] = {"bind", "bind_dn", "bind_pw", "cache", "cache_expiry", "cache_size",
	"chase_referrals", "debuglevel", "dereference", "domain", "expansion_limit", "leaf_result_attribute",
	"query_filter", "recursion_limit", "result_attribute", "result_filter", "result_format",
	"sasl_authz_id", "sasl_mechs", "sasl_minssf", "sasl_realm", "scope", "search_base", "server_host",
	"server_port", "size_limit", "special_result_attribute", "start_tls", "terminal_result_attribute",
	"timeout", "tls_ca_cert_dir", "tls_ca_cert_file", "tls_cert", "tls_cipher_suite", "tls_key",
	"tls_random_file", "tls_require_cert", "version", NULL};
static const char *const mysql[] = {"additional_conditions", "charset", "dbname", "domain", "expansion_limit",
	"hosts", "idle_interval", "option_file", "option_group", "password", "query", "require_result_set",
	"result_format", "retry_interval", "select_field", "table", "tls_CAfile", "tls_CApath",
	"tls_cert_file", "tls_ciphers", "tls_key_file", "tls_verify_cert", "user", "where_field", NULL};
static const char *const pgsql[] = {"additional_conditions", "dbname", "domain", "encoding",
	"expansion_limit", "hosts", "idle_interval", "password", "query", "result_format", "retry_interval",
	"select_field", "select_function", "table", "user", "where_field", NULL};
static const char *const sqlite[] = {"additional_conditions", "dbpath", "domain", "expansion_limit", "query",
	"result_format", "select_field", "table", "where_field", NULL};
static const char *const memcache[] = {"backup", "data_size_limit", "domain", "flags", "key_format",
	"line_size_limit", "max_try", "memcache", "retry_pause", "timeout", "ttl", NULL};
static const char *const mongodb[] = {"collection", "dbname", "domain", "expansion_limit", "options",
	"projection", "query_filter", "result_attribute", "result_format", "uri", NULL};

static const struct client {
	const char *type;
	const char *const *suffixes;
} clients[] = {
	{"ldap", ldap},
	{"memcache", memcache},
	{"mongodb", mongodb},
	{"mysql", mysql},
	{"pgsql", pgsql},
	{"sqlite", sqlite},
};

static const struct client *find_client(struct str type)
{
	for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
		if (str_is(type, clients[i].type))
			return &clients[i];
	}
	return NULL;
}

static bool reads(const struct client *c, const char *name)
{
	for (const char *const *s = c->suffixes; *s; s++) {
		if (strcmp(*s, name) == 0)
			return true;
	}
	return false;
}

static void warn_unread(const struct client *c, const char *path, const struct main_cf *m)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct main_cf_entry *e = &m->entries[i];
		char *text = x_asprintf("%s:%s: unused parameter: %s=%s", c->type, path, e->name, e->value);

		if (!reads(c, e->name))
			postconf_warn(NULL, text);
		x_free(&text);
	}
}

/* A table with a file of its own: what the file sets must be something that the type reads. */
static void check_file(const struct client *c, const char *path)
{
	struct buf text = BUF(FILE_MAX);
	struct err err;
	struct main_cf *m = NULL;

	if (!sys_read_file(path, &text, NULL)) {
		err_errno(&err, "open \"%s\" configuration \"%s\"", c->type, path);
		postconf_warn(NULL, err.text);
	} else {
		m = main_cf_parse(buf_slice(&text), path, postconf_warn, NULL, &err);
		if (!m)
			postconf_warn(NULL, err.text);
	}
	if (m)
		warn_unread(c, path, m);
	main_cf_free(&m);
	buf_free(&text);
}

static void use_table(const struct client *c, struct str name, postconf_mark_fn mark, void *arg)
{
	char *table = x_strndup(name.p, name.n);

	if (*table == '/') {
		check_file(c, table);
	} else if (*table && *table != '.') {
		for (const char *const *s = c->suffixes; *s; s++) {
			char *parameter = x_asprintf("%s_%s", table, *s);

			mark(arg, parameter);
			x_free(&parameter);
		}
	}
	x_free(&table);
}

static void see_word(struct str word, postconf_mark_fn mark, void *arg)
{
	const struct client *c = NULL;
	ptrdiff_t colon;

	while (str_starts(word, STR("proxy:")))
		word = str_from(word, 6);
	if (word.n && word.p[0] != '{') {
		colon = str_find(word, ':');
		c = colon > 0 ? find_client(str_first(word, (size_t)colon)) : NULL;
		if (colon > 0)
			word = str_from(word, (size_t)colon + 1);
	}
	if (word.n > 1 && word.p[0] == '{' && word.p[word.n - 1] == '}')
		postconf_tables((struct str){word.p + 1, word.n - 2}, mark, arg);
	else if (c)
		use_table(c, word, mark, arg);
}

void postconf_tables(struct str value, postconf_mark_fn mark, void *arg)
{
	struct str word;

	while (str_group(&value, SEPARATORS, &word))
		see_word(word, mark, arg);
}
