/*
 * What a loadable module (table_<type>.so) provides for tables that ask a database, and the core that uses
 * it: settings, domain list, result_format, hosts that are tried one after the other, connections that are
 * kept. A module exports one object, `const struct database_driver database_driver`. A connection is used by
 * one thread at a time; state is const after open.
 */
#ifndef TABLE_DATABASE_H
#define TABLE_DATABASE_H

#include "table/settings.h"
#include "table/table.h"

#define DATABASE_VERSION 5

enum database_status {
	DATABASE_DONE,	 /* all values were given; none: not found */
	DATABASE_FAILED, /* err says why; the connection is good for the next question */
	DATABASE_LOST	 /* err says why; the connection is not usable any more */
};

/* Takes one value of the answer; false: no more are wanted, the driver ends with DATABASE_DONE. */
struct database_answer {
	bool (*value)(struct database_answer *answer, struct str value);
};

struct database_driver {
	int version;			/* DATABASE_VERSION */
	const char *old_format_setting; /* for result_format where that is not set; NULL: none */
	const char *hosts_setting;	/* NULL: there are no hosts, connect gets "" */
	const char *hosts_default;
	const char *const *ignored; /* settings of old that do nothing, NULL at the end; may be NULL */
	bool files_only;	    /* connections open files, which are not in a jail */
	bool hosts_in_order;	    /* tried as listed; else in random order, UNIX-domain sockets first */
	bool (*open)(struct settings *s, void **state, struct err *err);
	void (*close)(void *state);
	bool (*applies)(void *state, struct str key); /* false: not found without asking */
	void *(*connect)(void *state, const char *host, struct err *err); /* NULL with err */
	void (*disconnect)(void *connection);
	enum database_status (*ask)(
		void *connection, struct str key, struct database_answer *answer, struct err *err);
};

/* What a module exports; its functions have these names, further fields are given. */
#define DATABASE_MODULE(...)                                                                                 \
	extern const struct database_driver database_driver;                                                 \
	__attribute__((visibility("default")))                                                               \
	const struct database_driver database_driver = {.version = DATABASE_VERSION,                         \
		.open = module_open,                                                                         \
		.close = module_close,                                                                       \
		.applies = module_applies,                                                                   \
		.connect = module_connect,                                                                   \
		.disconnect = module_disconnect,                                                             \
		.ask = module_ask,                                                                           \
		__VA_ARGS__}

#endif
