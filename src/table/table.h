/*
 * Lookup tables ("type:name"). One file per type behind this interface. A lookup answers with a value; the caller owns the memory. All calls may be made from
 * several threads at once; a table that cannot do that locks inside.
 */
#ifndef TABLE_TABLE_H
#define TABLE_TABLE_H

#include "base/buf.h"
#include "base/err.h"

enum table_status {
	TABLE_FOUND,
	TABLE_NOT_FOUND,
	TABLE_RETRY,            /* temporary trouble; err says what */
	TABLE_MISCONFIGURED     /* err says what; treated as temporary where mail is concerned */
};

enum { TABLE_FOLD = 1 };        /* keys are looked up in lower case (tables that fold) */

#define TABLE_VALUE_MAX 100000  /* bytes of a result */

struct table;

/* A table_open that fails is a table whose lookups answer TABLE_MISCONFIGURED would hide typing errors: NULL with err instead. */
struct table *table_open(const char *spec, int flags, struct err *err);
void table_close(struct table **t);
/* FOUND: the result is appended to value. */
enum table_status table_lookup(struct table *t, struct str key, struct buf *value, struct err *err);
const char *table_spec(const struct table *t);          /* "type:name" */

/* A list of tables, separated by commas or blanks, with { } groups; the first that has the key answers. */
struct maps;
struct maps *maps_open(const char *parameter, const char *list, int flags, struct err *err);    /* parameter: for messages */
void maps_close(struct maps **m);
bool maps_empty(const struct maps *m);
enum table_status maps_lookup(struct maps *m, struct str key, struct buf *value, struct err *err);
/*
 * The order of address lookups (ADDRESS_REWRITING): user+ext@domain, user@domain, user+ext, user (when the domain is local: local_domain true), @domain. An
 * extension that was not matched is in *extension_kept when the caller should put it back.
 */
enum table_status maps_lookup_address(struct maps *m, struct str address, const char *delimiters, bool local_domain, struct buf *value, struct str *extension_kept, struct err *err);

/*
 * Match lists: domains, hosts or addresses with !pattern, /file and type:table members. Domain lists match subdomains by ".domain" or, where
 * parent_domain_matches_subdomains says so, by parent.
 */
enum { MATCH_PARENT = 1 };      /* plain names match their subdomains */
struct matchlist;
struct matchlist *matchlist_open(const char *parameter, const char *list, int flags, struct err *err);
void matchlist_close(struct matchlist **m);
enum table_status matchlist_name(struct matchlist *m, struct str name, struct err *err);                 /* domain or string */
enum table_status matchlist_host(struct matchlist *m, struct str name, struct str address, struct err *err);    /* name or printed address; networks */
/* Whether the list parameter's name is in parent_domain_matches_subdomains. */
int matchlist_parent_flag(const char *parent_domain_matches_subdomains, const char *parameter);

#endif
