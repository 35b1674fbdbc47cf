/* Text of a parameter to its typed field. */
#ifndef CONFIG_VALUES_H
#define CONFIG_VALUES_H

#include "config/config.h"
#include "config/rows.h"

/* Stores text (which must live as long as cfg) in the row's field; false with err naming the parameter as
 * name. */
bool value_store(
	struct config *cfg, const struct row *row, const char *name, const char *text, struct err *err);

#endif
