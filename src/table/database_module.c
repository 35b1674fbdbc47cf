/* table_<type>.so is beside the table layer of the build that the program is from, or where modules are
 * installed. */
#include "table/database_module.h"

#include <dlfcn.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/mem.h"

#define BUILT_BESIDE "../table" /* seen from the program's directory */

/* The path of a module of this build; NULL: not there. A set-gid program could be a link in a directory of
 * the caller's, so it takes installed modules only. */
static char *built_path(const char *type)
{
	char program[1000], *path;
	ssize_t n = getauxval(AT_SECURE) ? -1 : readlink("/proc/self/exe", program, sizeof(program));
	struct str folder = {program, n > 0 && n < (ssize_t)sizeof(program) ? (size_t)n : 0};
	ptrdiff_t slash = str_rfind(folder, '/');

	if (slash < 0)
		return NULL;
	path = x_asprintf("%.*s/" BUILT_BESIDE "/table_%s.so", (int)slash, program, type);
	if (access(path, R_OK) != 0)
		x_free(&path);
	return path;
}

static char *module_path(const char *type)
{
	char *path = built_path(type);

	if (path)
		return path;
	path = x_asprintf("%s/table_%s.so", MODULE_DIRECTORY, type);
	if (access(path, R_OK) != 0)
		x_free(&path);
	return path;
}

bool database_module_present(const char *type)
{
	char *path = module_path(type);
	bool present = path != NULL;

	x_free(&path);
	return present;
}

static const struct database_driver *load(const char *path, struct err *err)
{
	void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	const struct database_driver *driver = module ? dlsym(module, "database_driver") : NULL;
	const char *reason = driver ? NULL : dlerror();

	if (!driver) {
		err_set(err, "cannot load %s: %s", path, reason ? reason : "no driver in it");
		return NULL;
	}
	if (driver->version != DATABASE_VERSION) {
		err_set(err, "%s is of another version", path);
		return NULL;
	}
	return driver;
}

const struct database_driver *database_module_load(const char *type, struct err *err)
{
	char *path = module_path(type);
	const struct database_driver *driver = NULL;

	if (path)
		driver = load(path, err);
	else
		err_set(err,
			"unsupported dictionary type: %s: no %s/table_%s.so; Debian package postern-%s has "
			"it",
			type, MODULE_DIRECTORY, type, type);
	x_free(&path);
	return driver;
}
