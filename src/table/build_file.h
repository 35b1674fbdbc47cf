/*
 * A table's new file is made beside the old one under a name of its own and takes its place by rename(2).
 * That also replaces a symbolic or hard link that somebody left under the name, instead of following it. One
 * process at a time builds in a directory; the others wait.
 */
#ifndef TABLE_BUILD_FILE_H
#define TABLE_BUILD_FILE_H

#include "base/err.h"
#include <sys/types.h>

struct build_file {
	char *path, *temporary;
	int directory; /* locked; -1: not yet */
	bool made;     /* the temporary file exists */
};

/* Takes path over. An empty temporary file is there when this succeeds; mode is that of a new file, one that
 * is replaced passes its mode and owner on. To be ended by build_file_end in any case. */
bool build_file_begin(struct build_file *f, char *path, mode_t mode, struct err *err);
/* The content is on stable storage: puts the temporary file in place. */
bool build_file_replace(struct build_file *f, struct err *err);
/* Forgets a file that was not put in place. */
void build_file_end(struct build_file *f);

#endif
