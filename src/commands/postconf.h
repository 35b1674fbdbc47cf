/*
 * What the files of postconf(1) share. A run reads main.cf and master.cf into a struct postconf, then shows
 * or checks; editing works on the text of the files and does not need it.
 */
#ifndef COMMANDS_POSTCONF_H
#define COMMANDS_POSTCONF_H

#include "config/master_entry.h"
#include "config/names.h"

enum {
	PC_DEFAULTS = 1 << 0,	   /* -d */
	PC_EDIT = 1 << 1,	   /* -e */
	PC_SET = 1 << 2,	   /* -n */
	PC_EXCLUDE = 1 << 3,	   /* -X */
	PC_COMMENT = 1 << 4,	   /* -# */
	PC_FOLD = 1 << 5,	   /* -f */
	PC_MASTER_FIELDS = 1 << 6, /* -F */
	PC_MASTER = 1 << 7,	   /* -M */
	PC_MASTER_PARAMS = 1 << 8, /* -P */
	PC_MAIN = 1 << 9,	   /* -p */
	PC_HIDE_NAME = 1 << 10,	   /* -h */
	PC_HIDE_VALUE = 1 << 11,   /* -H */
	PC_EXPAND = 1 << 12,	   /* -x */
	PC_JSON = 1 << 13,	   /* -j */
	PC_INERT = 1 << 14,	   /* -i */
	PC_OVERRIDE = 1 << 15	   /* -o */
};

enum { CLASS_BUILTIN = 1, CLASS_SERVICE = 2, CLASS_USER = 4, CLASS_ALL = 7 };

struct service {
	struct master_entry entry;
	struct hash *locals; /* char * by the name of its -o; the last one counts */
	struct hash *used;   /* those of locals that something refers to */
};

struct postconf {
	unsigned flags, classes;
	const char *directory; /* as given, for messages */
	char *main_path, *master_path;
	struct config_names *names;
	struct hash *per_service; /* default text by name: settings that services of master.cf have */
	struct hash *used;	  /* names of main.cf that something refers to */
	struct service *services;
	size_t service_count;
};

/* ---- postconf_templates.c: -b and -t; file NULL: bounce_template_file. Exit status. */
int postconf_templates(int option, const char *directory, const char *file);

/* ---- postconf_load.c */
/* overrides: name=value texts of -o. Ends the program when a file is broken. */
void postconf_load(struct postconf *pc, char *const *overrides, size_t count);
void postconf_free(struct postconf *pc);
/* Appends the value in the scope of service (NULL: main.cf). Ends the program on a macro error. */
void postconf_expand(struct postconf *pc, const struct service *service, const char *text, struct buf *out);
/* The same with the values that the files set; defaults are taken for empty. */
void postconf_expand_set(
	struct postconf *pc, const struct service *service, const char *text, struct buf *out);
void postconf_warn(void *arg, const char *text);

/* ---- postconf_check.c: names nothing reads, and names that are not there */
void postconf_check(struct postconf *pc);
void postconf_warn_unused_main(const struct postconf *pc);
void postconf_warn_unused_master(const struct postconf *pc);
bool postconf_known(const struct postconf *pc, const char *name); /* may be set in main.cf */

/* ---- postconf_tables.c: parameters that SQL, LDAP and memcache tables take from main.cf */
typedef bool (*postconf_mark_fn)(void *arg, const char *name);
/* Calls mark for each <table>_<suffix> that the tables named in value (expanded) may read. */
void postconf_tables(struct str value, postconf_mark_fn mark, void *arg);

/* ---- postconf_main.c, postconf_master.c: showing */
void postconf_show_main(struct postconf *pc, char *const *names);
void postconf_show_master(struct postconf *pc, char *const *requests);

/* ---- postconf_print.c */
/* "name = value" as flags say. */
void postconf_print(unsigned flags, const char *name, const char *value);
/* One entry of master.cf, with expanded values of -o when expand says so. */
typedef void (*postconf_value_fn)(void *arg, const char *value, struct buf *out);
void postconf_format_entry(
	unsigned flags, const struct master_entry *e, postconf_value_fn value, void *arg, struct buf *out);
/* Its command and arguments only; column: where the first word begins. */
void postconf_format_command(unsigned flags, const struct master_entry *e, size_t column,
	postconf_value_fn value, void *arg, struct buf *out);

/* ---- postconf_edit.c, postconf_edit_master.c */
void postconf_edit_main(const char *path, unsigned flags, char *const *requests);
void postconf_edit_master(const char *path, unsigned flags, char *const *requests);
/* The file's text, locked against other editors until postconf_replace. */
struct edit {
	const char *path;
	int fd;
	struct buf old, new;
};
void postconf_open(struct edit *e, const char *path);
void postconf_replace(struct edit *e);

/* ---- postconf_pattern.c: service/type/name requests, "*" and missing parts match everything */
struct pattern {
	char *part[3];
	char *value; /* after '='; NULL: none */
	size_t parts;
};
bool postconf_pattern(const char *text, size_t max_parts, bool with_value, struct pattern *p);
void postconf_pattern_clear(struct pattern *p);
bool postconf_matches(const struct pattern *p, const struct master_entry *e);

/* ---- postconf_facts.c: -a -A -b -l -m -t -T */
bool postconf_is_fact(int option);
int postconf_facts(int option, const char *argument);

#endif
