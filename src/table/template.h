/*
 * Templates of database tables: the % forms of sqlite_table(5), mysql_table(5), pgsql_table(5), ldap_table(5)
 * and memcache_table(5). Pure functions; the loadable modules have their own copy.
 */
#ifndef TABLE_TEMPLATE_H
#define TABLE_TEMPLATE_H

#include "base/buf.h"
#include "base/err.h"

/* Appends text to out so that it has no special meaning there; false: it cannot be had. */
typedef bool (*template_quote)(void *arg, struct str text, struct buf *out);

/* Only forms that exist: %% %s %u %d %S %U %D %1 to %9. */
bool template_check(const char *parameter, const char *text, struct err *err);
/* Whether the key has all that the template wants of it. all: %s %u %d are the key's too, as in queries; else
 * they are a result's. */
bool template_applies(const char *text, struct str key, bool all);
/*
 * Expands: %s %u %d are parts of value, %S %U %D and %1 to %9 of key (for queries both are the key). quote
 * may be NULL. False: value or key lacks a part, or quoting failed; out may hold a piece then.
 */
bool template_expand(
	const char *text, struct str value, struct str key, template_quote quote, void *arg, struct buf *out);

#endif
