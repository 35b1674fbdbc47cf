/* Directories, owners and permissions. What is missing is made; what is wrong is warned of, because only the
 * operator knows whether it was meant. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "commands/postern.h"
#include "config/master_cf.h"
#include "config/programs.h"
#include "spool/spool.h"

/* As an ordinary user everything belongs to that user and his group: there is nobody to keep out but the
 * others. */
bool postern_identities(struct instance *i, struct err *err)
{
	if (!sys_user(i->config->mail_owner, &i->owner, &i->owner_group, err))
		return err_prefix(err, "mail_owner");
	i->drop_group = getegid();
	if (geteuid() != 0)
		return true;
	if (i->owner == 0)
		return err_set(err, "mail_owner must not be root");
	return sys_group(i->config->setgid_group, &i->drop_group, err) || err_prefix(err, "setgid_group");
}

static bool make(const char *path, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
	int fd;
	bool ok;

	if (mkdir(path, mode) != 0 && errno != EEXIST)
		return err_errno(err, "create %s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	ok = fd >= 0 && (geteuid() != 0 || fchown(fd, uid, gid) == 0) && fchmod(fd, mode) == 0;
	if (!ok)
		err_errno(err, "directory %s", path);
	sys_close(&fd);
	return ok;
}

static bool make_below(
	const char *parent, const char *name, mode_t mode, uid_t uid, gid_t gid, struct err *err)
{
	char *path = name[0] == '/' ? x_strdup(name) : x_asprintf("%s/%s", parent, name);
	bool ok = make(path, mode, uid, gid, err);

	x_free(&path);
	return ok;
}

/* data_directory may hold what an administrator put there: an existing one is left as it is, master checks
 * its owner. */
static bool make_data_directory(const struct instance *i, struct err *err)
{
	struct stat st;

	if (stat(i->config->data_directory, &st) == 0)
		return true;
	return sys_mkdirs(i->config->data_directory, 0755, err) &&
	       make(i->config->data_directory, 0700, i->owner, i->owner_group, err);
}

bool postern_make_directories(const struct instance *i, struct err *err)
{
	const struct config *cfg = i->config;
	struct spool_options options = {
		.queue_directory = cfg->queue_directory,
		.hash_queue_names = cfg->hash_queue_names,
		.hash_queue_depth = cfg->hash_queue_depth,
		.long_ids = cfg->enable_long_queue_ids,
		.owner = i->owner,
		.group = i->owner_group,
		.drop_group = i->drop_group,
	};

	return spool_make_directories(&options, err) &&
	       make_below(cfg->queue_directory, cfg->process_id_directory, 0755, 0, 0, err) &&
	       make_below(cfg->queue_directory, "private", 0700, i->owner, i->owner_group, err) &&
	       make_below(cfg->queue_directory, "public", 0710, i->owner, i->drop_group, err) &&
	       make_data_directory(i, err);
}

static bool set_command(const struct instance *i, const char *name, struct err *err)
{
	char *path = x_asprintf("%s/%s", i->config->command_directory, name);
	int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	bool ok = fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
		  fchown(fd, 0, i->drop_group) == 0 && fchmod(fd, 02755) == 0;

	if (!ok)
		err_errno(err, "%s", path);
	sys_close(&fd);
	x_free(&path);
	return ok;
}

int postern_set_permissions(struct instance *i)
{
	struct err err = {""};
	bool ok = postern_make_directories(i, &err);

	if (geteuid() == 0)
		ok = ok && make(i->config->data_directory, 0700, i->owner, i->owner_group, &err) &&
		     set_command(i, "postqueue", &err) && set_command(i, "postdrop", &err);
	if (!ok)
		command_say(LOGL_FATAL, "%s", err.text);
	return ok ? 0 : 1;
}

/* ---- what looks wrong */

struct checker {
	const struct instance *instance;
	int complaints;
};

static void __attribute__((format(printf, 2, 3))) complain(struct checker *c, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	c->complaints++;
	command_say(LOGL_WARNING, "%s", text);
}

static bool look(struct checker *c, const char *path, struct stat *st)
{
	if (stat(path, st) == 0)
		return true;
	complain(c, "%s: %s", path, strerror(errno));
	return false;
}

/* What root reads or runs must not be another user's to change. */
static void check_trusted(struct checker *c, const char *path)
{
	struct stat st;

	if (!look(c, path, &st))
		return;
	if (geteuid() == 0 && st.st_uid != 0)
		complain(c, "not owned by root: %s", path);
	if (st.st_mode & (S_IWGRP | S_IWOTH))
		complain(c, "group or other writable: %s", path);
}

static void check_trusted_file(struct checker *c, const char *dir, const char *name)
{
	char *path = x_asprintf("%s/%s", dir, name);

	check_trusted(c, path);
	x_free(&path);
}

static void check_programs(struct checker *c, const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	if (!d) {
		complain(c, "%s: %s", dir, strerror(errno));
		return;
	}
	check_trusted(c, dir);
	while ((e = readdir(d))) {
		if (e->d_name[0] != '.')
			check_trusted_file(c, dir, e->d_name);
	}
	closedir(d);
}

/* postqueue reaches the queue manager, and postdrop the maildrop directory, by this group alone. */
static void check_setgid(struct checker *c, const char *name)
{
	const struct instance *i = c->instance;
	char *path = x_asprintf("%s/%s", i->config->command_directory, name);
	struct stat st;

	if (geteuid() == 0 && look(c, path, &st)) {
		if (st.st_gid != i->drop_group)
			complain(c, "not owned by group %s: %s", i->config->setgid_group, path);
		if ((st.st_mode & (S_ISGID | 0111)) != (S_ISGID | 0111))
			complain(c, "not set-gid or not owner+group+world executable: %s", path);
	}
	x_free(&path);
}

static void check_tree(struct checker *c)
{
	const struct config *cfg = c->instance->config;
	struct stat st;

	check_trusted(c, c->instance->directory);
	check_trusted_file(c, c->instance->directory, "main.cf");
	check_trusted_file(c, c->instance->directory, "master.cf");
	check_trusted(c, cfg->queue_directory);
	check_programs(c, cfg->daemon_directory);
	if (look(c, cfg->data_directory, &st) && st.st_uid != c->instance->owner)
		complain(c, "not owned by %s: %s", cfg->mail_owner, cfg->data_directory);
	if (geteuid() == 0 && c->instance->owner_group == c->instance->drop_group)
		complain(c, "setgid_group %s is the group of mail_owner too", cfg->setgid_group);
	check_setgid(c, "postqueue");
	check_setgid(c, "postdrop");
}

static void check_program(struct checker *c, const struct master_service *s)
{
	const struct program *program = program_find(s->command);
	char *path = program_path(program, s->command, c->instance->config->daemon_directory);

	if (program->kind != PROGRAM_LIBRARY && access(path, X_OK) != 0)
		complain(c, "service %s (master.cf, line %d) is not available: there is no program %s",
			s->name, s->line, path);
	x_free(&path);
}

static void check_services(struct checker *c)
{
	struct err err = {""};
	struct master_cf *table = master_cf_load(c->instance->config, &err);

	for (size_t n = 0; table && n < table->count; n++)
		check_program(c, &table->services[n]);
	master_cf_free(&table);
}

bool postern_services_valid(const struct instance *i, postern_report_fn report, void *arg)
{
	struct err err = {""};
	struct master_cf *table = master_cf_load(i->config, &err);
	bool ok = table != NULL;

	if (!table)
		report(arg, err.text);
	for (size_t n = 0; table && n < table->count; n++) {
		const struct master_service *s = &table->services[n];
		struct config_source source = {.directory = i->directory,
			.overrides = s->overrides,
			.override_count = s->override_count,
			.service = s->name,
			.program = s->command};
		const struct config *cfg = config_load(&source, NULL, NULL, &err);

		if (!cfg) {
			err_prefix(&err, "service %s (master.cf, line %d)", s->name, s->line);
			report(arg, err.text);
			ok = false;
		}
		config_free(&cfg);
	}
	master_cf_free(&table);
	return ok;
}

/* postconf(1) knows which names nobody uses, and says so on standard error. */
static void check_names(const struct instance *i)
{
	char *file = x_asprintf("%s/postconf", i->config->command_directory);
	pid_t pid = fork();

	if (pid == 0) {
		int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

		dup2(null, STDOUT_FILENO);
		execl(file, "postconf", "-c", i->directory, "-n", (char *)NULL);
		_exit(127);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
	x_free(&file);
}

static void report_complaint(void *arg, const char *text)
{
	complain(arg, "%s", text);
}

int postern_check(struct instance *i)
{
	struct checker c = {.instance = i};
	struct err err = {""};

	if (!postern_make_directories(i, &err)) {
		command_say(LOGL_FATAL, "%s", err.text);
		return 1;
	}
	check_tree(&c);
	if (postern_services_valid(i, report_complaint, &c))
		check_services(&c);
	check_names(i);
	return 0;
}
