/* What postmap(1) and postalias(1) have in common: everything but the form of a line of source. */
#ifndef COMMANDS_MAP_COMMAND_H
#define COMMANDS_MAP_COMMAND_H

#include "config/config.h"
#include "table/source.h"
#include "table/table.h"

enum map_mode { MAP_BUILD, MAP_QUERY, MAP_DELETE, MAP_LIST, MAP_INCREMENT };

struct map_command {
	const char *program;
	const char *letters; /* for getopt */
	const char *usage;
	const char *separator; /* between key and value in output */
	/* Splits a line of source; false: a warning was given, and the line is ignored. where: "file, line
	 * 12". */
	bool (*split)(const char *where, struct str line, struct buf *key, struct buf *value);

	enum map_mode mode;
	const char *key; /* of MAP_QUERY and MAP_DELETE; "-": from standard input */
	const char *config_dir;
	bool no_fold, files, fixed_mode, keep_root, replace, ignore, no_utf8, force_utf8, with_nul,
		header_keys, body_keys, mime, json;
	int verbose;
	const struct config *cfg;
	char **maps; /* as given, NULL at the end */
};

/* The whole program; returns the exit status. */
int map_command_main(struct map_command *m, int argc, char **argv);

/* "type:name": the default type is put before a name without one. The caller frees. */
char *map_spec(const struct map_command *m, const char *map);
/* Whether UTF-8 is required of this text, and it is not. */
bool map_bad_utf8(const struct map_command *m, struct str text);
/* The text with every byte that is not UTF-8, and every control character, made '?'. The caller frees. */
char *map_printable(struct str text);

/* Warns that the key, asked of a table, is not UTF-8. */
void map_refuse_key(const char *spec, struct str key);

int map_query(const struct map_command *m);
int map_list(const struct map_command *m);
int map_build(const struct map_command *m);
int map_delete(const struct map_command *m);

/* Works on with the rights of the file's owner when we are root and the file is not root's, until
 * map_restore_rights. */
void map_take_rights(const struct map_command *m, const char *spec);
void map_restore_rights(void);

#endif
