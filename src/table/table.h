/*
 * Lookup tables ("type:name"). One file per type behind this interface. A lookup answers with a value; the
 * caller owns the memory. All calls may be made from several threads at once; a table that cannot do that
 * locks inside.
 */
#ifndef TABLE_TABLE_H
#define TABLE_TABLE_H

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"

enum table_status {
	TABLE_FOUND,
	TABLE_NOT_FOUND,
	TABLE_RETRY,	    /* temporary trouble; err says what */
	TABLE_MISCONFIGURED /* err says what; treated as temporary where mail is concerned */
};

enum {
	TABLE_FOLD = 1,	    /* keys are looked up in lower case; pattern tables see the key as it is */
	TABLE_NO_SUBST = 2, /* pattern tables: rules with $1 in their result are skipped (a sender must not
			       choose a route) */
	TABLE_FILES = 4,    /* results are lists of files whose content is the value (postmap -F) */
	TABLE_UTF8 = 8,	    /* texthash: lines of the source that are not UTF-8 are skipped, with a warning */
	TABLE_NO_UNAUTH = 16 /* not from a server that anybody may be or write to: what commands are run and
				whose rights are used is nothing for memcache:, socketmap: and tcp: */
};

#define TABLE_VALUE_MAX 100000 /* bytes of a result */

struct table;
typedef void (*table_warn_fn)(void *arg, const char *text);

/* A table_open that fails is a table whose lookups answer TABLE_MISCONFIGURED would hide typing errors: NULL
 * with err instead. */
struct table *table_open(const char *spec, int flags, struct err *err);
/* A table that cannot be opened is one whose lookups answer TABLE_MISCONFIGURED, with the reason, until it
 * can be; the reason is among the warnings too. */
struct table *table_open_or_wait(const char *spec, int flags);
void table_close(struct table **t);
/* FOUND: the result is appended to value. */
enum table_status table_lookup(struct table *t, struct str key, struct buf *value, struct err *err);
const char *table_spec(const struct table *t); /* "type:name" */
bool table_is_pattern(const struct table
		*t); /* keys are matched against patterns: only whole addresses and names are asked */
/* What was found wrong with the source while opening, one line each: "cidr map /x, line 3: ...: skipping this
 * rule". */
void table_warnings(const struct table *t, table_warn_fn warn, void *arg);
/* Calls entry() for each key and value until it returns false. TABLE_MISCONFIGURED: this type cannot list. */
typedef bool (*table_entry_fn)(void *arg, struct str key, struct str value);
enum table_status table_each(struct table *t, table_entry_fn entry, void *arg, struct err *err);
/*
 * To be called about once a second. Connections to servers that nobody used for long are closed. A table that
 * is made from files takes up a changed one by itself; but a process that cannot open the new file, because
 * it changed its root directory or its user, has to make room for one that can: true, with the table's name
 * in which.
 */
bool table_tick(struct buf *which);
/* Where lines go that come up later than table_open: what debug: tables say, warnings about a file that was
 * taken up anew, lists that contradict each other. Set once, before threads start; until then there are none.
 */
typedef void (*table_report_fn)(enum log_level level, const char *text);
void table_report_to(table_report_fn report);
void table_report(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Called when a table cannot be opened (daemon_table_open_error_is_fatal); set once, before threads start;
 * until then such a table waits for better times. */
typedef void (*table_unavailable_fn)(const char *text);
void table_on_unavailable(table_unavailable_fn unavailable);
void table_unavailable(const char *text);
/* Calls name() for each type, in alphabetical order (postconf -m). */
void table_each_type(void (*name)(void *arg, const char *type), void *arg);
/* Lower case as keys have it: ASCII and, in valid UTF-8, every letter. */
void table_fold(struct str key, struct buf *out);

/*
 * A list of tables, separated by commas or blanks, with { } groups; the first that has the key answers. A
 * member that cannot be opened stays in the list: lookups that reach it answer TABLE_MISCONFIGURED with the
 * reason, which is among the warnings too; the other members work.
 */
struct maps;
struct maps *maps_open(
	const char *parameter, const char *list, int flags, struct err *err); /* parameter: for messages */
void maps_close(struct maps **m);
bool maps_empty(const struct maps *m);
void maps_warnings(const struct maps *m, table_warn_fn warn, void *arg);
/* Tells of every question to a member, for those who want to know why; before other threads use the list. */
typedef void (*maps_observer)(
	void *arg, const char *table, struct str key, enum table_status status, struct str value);
void maps_observe(struct maps *m, maps_observer observe, void *arg);
enum table_status maps_lookup(struct maps *m, struct str key, struct buf *value, struct err *err);
/* As maps_lookup, without pattern tables: for parts of an address or name. */
enum table_status maps_lookup_part(struct maps *m, struct str key, struct buf *value, struct err *err);
/*
 * The order of address lookups (ADDRESS_REWRITING): user+ext@domain, user@domain, user+ext, user (when the
 * domain is local: local_domain true), @domain. An extension that was not matched is in *extension_kept when
 * the caller should put it back; what @domain matched has lost it.
 */
enum table_status maps_lookup_address(struct maps *m, struct str address, const char *delimiters,
	bool local_domain, struct buf *value, struct str *extension_kept, struct err *err);
/* As maps_lookup_address, with quotes where the address is written with them: what canonical(5), virtual(5)
 * and generic(5) tables are asked. */
enum table_status maps_lookup_written(struct maps *m, struct str address, const char *delimiters,
	bool local_domain, struct buf *value, struct str *extension_kept, struct err *err);
/* Only user+ext@domain and user@domain. */
enum table_status maps_lookup_user(struct maps *m, struct str address, const char *delimiters,
	struct buf *value, struct str *extension_kept, struct err *err);

/*
 * Match lists: domains, hosts or addresses with !pattern, /file and type:table members. Domain lists match
 * subdomains by ".domain" or, where parent_domain_matches_subdomains says so, by parent.
 */
enum {
	MATCH_PARENT = 1, /* plain names match their subdomains */
	MATCH_EXACT = 2	  /* no subdomain matches at all: mydestination and the like */
};
struct matchlist;
struct matchlist *matchlist_open(const char *parameter, const char *list, int flags, struct err *err);
void matchlist_close(struct matchlist **m);
void matchlist_warnings(const struct matchlist *m, table_warn_fn warn, void *arg);
enum table_status matchlist_name(
	struct matchlist *m, struct str name, struct err *err); /* domain or string */
enum table_status matchlist_host(struct matchlist *m, struct str name, struct str address,
	struct err *err); /* name or printed address; networks */
/* Whether the list parameter's name is in parent_domain_matches_subdomains. */
int matchlist_parent_flag(const char *parent_domain_matches_subdomains, const char *parameter);

#endif
