/* Finds the loadable module of a database type. */
#ifndef TABLE_DATABASE_MODULE_H
#define TABLE_DATABASE_MODULE_H

#include "table/database.h"

bool database_module_present(const char *type);
/* The module stays loaded until the process ends. NULL with err. */
const struct database_driver *database_module_load(const char *type, struct err *err);

#endif
