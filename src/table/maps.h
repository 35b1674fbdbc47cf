/* What is inside a struct maps; only the files of this folder include it. */
#ifndef TABLE_MAPS_H
#define TABLE_MAPS_H

#include "table/table.h"

struct maps {
	char *parameter;
	struct table **tables;
	size_t count;
	maps_observer observe; /* or NULL */
	void *observe_arg;
};

#endif
