/*
 * The configuration of a process: read once, then const. main.cf syntax and parameter meanings are
 * postconf(5)'s; parameters.def has the rows.
 *
 * A row gives the struct one field of its name: const char * for text types, bool, int (numbers, and seconds
 * for times). Text fields have $name expanded, except raw ones (banners, reply templates) that are expanded
 * when used.
 */
#ifndef CONFIG_CONFIG_H
#define CONFIG_CONFIG_H

#include "base/err.h"
#include "base/str.h"
#include <stdbool.h>
#include <stddef.h>

struct config_names; /* every name and its value; config.c */

struct config {
#define PARAM_TEXT(name, ...) const char *name;
#define PARAM_RAW(name, ...) const char *name;
#define PARAM_TABLES(name, ...) const char *name;
#define PARAM_BOOL(name, ...) bool name;
#define PARAM_INT(name, ...) int name;
#define PARAM_SIZE(name, ...) long long name;
#define PARAM_TIME(name, ...) int name;		 /* seconds */
#define PARAM_ENUM(name, ...) const char *name;	 /* one of its words, checked */
#define PARAM_WORDS(name, ...) const char *name; /* a list of its words, checked, in lower case */
#include "config/parameters.def"
	struct config_names *names;
};

struct config_pair {
	const char *name, *value;
};

struct config_source {
	const char *directory;		     /* of main.cf; NULL: MAIL_CONFIG or the built-in default */
	const struct config_pair *overrides; /* -o of master.cf and command line, later ones win */
	size_t override_count;
	const char *service;	 /* master.cf service name ("smtp", "127.0.0.1:25"), for process_name and the
				    like; may be NULL */
	const char *program;	 /* "smtpd" */
	bool lmtp;		 /* rows with an lmtp_ twin take the twin's value */
	bool stress;		 /* $stress is "yes" */
	const char *main_text;	 /* the text of main.cf, read by the caller; NULL: read the file */
	const char *master_text; /* the same of master.cf, for master_cf_load */
};

/*
 * Warnings that do not stop the start: parameters that are set and not acted on, entries given twice, bad
 * values of parameters that the program does not read (their default is taken).
 */
typedef void (*config_warn_fn)(void *arg, const char *text);

/* NULL with err ("main.cf, line 12: ..." or "parameter x: ...") when the configuration cannot be used. */
const struct config *config_load(
	const struct config_source *source, config_warn_fn warn, void *arg, struct err *err);
void config_free(const struct config **cfg);
/* The expanded value of any name, user-defined ones included; NULL: not defined. Lives as long as cfg. */
const char *config_text(const struct config *cfg, const char *name);
/* The same of the configuration that was loaded last and is not freed, for tables whose settings are
 * parameters (mysql_table(5)); the caller frees it. */
char *config_latest_text(const char *name);
/* Per-transport settings: <transport><suffix>, e.g. suffix "_destination_concurrency_limit"; falls back to
 * default<suffix>. */
int config_transport_int(const struct config *cfg, const char *transport, const char *suffix);
int config_transport_time(const struct config *cfg, const char *transport, const char *suffix);
/* Expands $name forms of a raw value; lookup is asked first and returns NULL for names it does not have.
 * Caller frees. */
typedef const char *(*config_lookup_fn)(void *arg, const char *name);
char *config_expand(const struct config *cfg, const char *raw, config_lookup_fn lookup, void *arg);
/* Makes cfg the one that config_latest_text asks, after another was loaded for tables of its own. */
void config_make_latest(const struct config *cfg);
/* myorigin named a file: its value was read from there. */
bool config_origin_from_file(const struct config *cfg);
/* The directory that was read. */
const char *config_directory(const struct config *cfg);
/* A time with unit ("5m", default unit given: 's', 'm', 'h', 'd', 'w') as seconds; false: syntax or overflow.
 */
bool config_parse_time(struct str text, char default_unit, int *seconds);

#endif
