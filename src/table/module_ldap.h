/* The parts of the ldap module: settings, connections, searches. */
#ifndef TABLE_MODULE_LDAP_H
#define TABLE_MODULE_LDAP_H

#include <ldap.h>

#include "table/database.h"

struct ldap_names {
	char **list; /* ends with NULL */
	size_t count;
};

struct ldap_table {
	char *search_base, *query_filter;
	char *bind_dn, *bind_password; /* "": none */
	char *sasl_mechanisms, *sasl_realm, *sasl_authorization;
	char *ca_file, *ca_directory, *cert, *key, *ciphers, *random_file; /* NULL: not set */
	struct ldap_names result, special, terminal, leaf;		   /* attributes */
	struct ldap_names all;						   /* those of the four lists */
	int port, timeout, size_limit, recursion_limit, dereference, version, debug_level, sasl_strength;
	int scope; /* LDAP_SCOPE_SUBTREE, ... */
	enum { LDAP_BIND_NONE, LDAP_BIND_SIMPLE, LDAP_BIND_SASL } bind;
	bool start_tls, require_cert, chase_referrals;
};

struct ldap_connection {
	const struct ldap_table *table;
	LDAP *ld;
};

bool module_open(struct settings *s, void **state, struct err *err);
void module_close(void *state);
void *module_connect(void *state, const char *host, struct err *err);
void module_disconnect(void *connection);
enum database_status module_ask(
	void *connection, struct str key, struct database_answer *answer, struct err *err);
/* What the library's code says; err gets its text, and the server's own. */
enum database_status module_ldap_failed(LDAP *ld, int code, const char *what, struct err *err);

#endif
