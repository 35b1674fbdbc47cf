#include "master/master.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"

#define FILE_MAX (16u << 20)

static bool read_file(const char *dir, const char *name, struct buf *out, struct err *err)
{
	char *path = x_asprintf("%s/%s", dir, name);
	bool ok = sys_read_file(path, out, err);

	if (ok && memchr(buf_cstr(out), 0, out->len))
		ok = err_set(err, "%s: has a NUL byte", path);
	x_free(&path);
	return ok;
}

static uint64_t fingerprint(const struct buf *main_cf, const struct buf *master_cf)
{
	uint64_t h = hash_bytes(buf_cstr(main_cf), main_cf->len) * 31 +
		     hash_bytes(buf_cstr(master_cf), master_cf->len);

	return h ? h : 1;
}

uint64_t settings_fingerprint(const char *dir)
{
	struct buf main_cf = BUF(FILE_MAX), master_cf = BUF(FILE_MAX);
	uint64_t h = 0;

	if (read_file(dir, "main.cf", &main_cf, NULL) && read_file(dir, "master.cf", &master_cf, NULL))
		h = fingerprint(&main_cf, &master_cf);
	buf_free(&main_cf);
	buf_free(&master_cf);
	return h;
}

/* What services read of the configuration is what was checked here, whatever becomes of the files. */
static int seal_texts(const struct buf *main_cf, const struct buf *master_cf, struct err *err)
{
	int fd = memfd_create("configuration", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || !sys_write_all(fd, buf_cstr(main_cf), main_cf->len + 1) ||
		!sys_write_all(fd, buf_cstr(master_cf), master_cf->len) ||
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		err_errno(err, "keep the configuration in memory");
		sys_close(&fd);
	}
	return fd;
}

static bool parse(struct settings *s, const char *dir, const struct buf *main_cf, const struct buf *master_cf,
	struct err *err)
{
	struct config_source source = {.directory = dir,
		.program = "master",
		.main_text = buf_cstr(main_cf),
		.master_text = buf_cstr(master_cf)};

	s->config = config_load(&source, log_warn, NULL, err);
	if (s->config)
		s->table = master_cf_load(s->config, err);
	return s->table != NULL;
}

/* Services get the name, not the path: all have the same one, whatever becomes of the file. */
static void keep_origin(const struct config *cfg, struct buf *main_cf)
{
	if (config_origin_from_file(cfg))
		buf_printf(main_cf, "\nmyorigin = %s\n", cfg->myorigin);
}

/* What master itself does not need may still keep a service from starting. */
static bool check_services(const struct settings *s, const char *dir, const struct buf *text, struct err *err)
{
	for (size_t i = 0; i < s->table->count; i++) {
		const struct master_service *entry = &s->table->services[i];
		struct config_source source = {.directory = dir,
			.overrides = entry->overrides,
			.override_count = entry->override_count,
			.service = entry->name,
			.program = entry->command,
			.main_text = buf_cstr(text)};
		const struct config *cfg = config_load(&source, NULL, NULL, err);

		if (!cfg)
			return err_prefix(err, "service %s (master.cf, line %d)", entry->name, entry->line);
		config_free(&cfg);
	}
	return true;
}

/* At the start a service that cannot run is no reason to run none. */
static bool usable(
	const struct settings *s, const char *dir, const struct buf *text, bool strict, struct err *err)
{
	if (check_services(s, dir, text, err))
		return true;
	if (!strict)
		log_error("%s", err->text);
	return !strict;
}

struct settings *settings_load(const char *dir, bool strict, struct err *err)
{
	struct buf main_cf = BUF(FILE_MAX), master_cf = BUF(FILE_MAX);
	struct settings *s = x_alloc(sizeof *s);

	s->texts_fd = -1;
	if (read_file(dir, "main.cf", &main_cf, err) && read_file(dir, "master.cf", &master_cf, err) &&
		parse(s, dir, &main_cf, &master_cf, err)) {
		s->fingerprint = fingerprint(&main_cf, &master_cf);
		keep_origin(s->config, &main_cf);
		if (usable(s, dir, &main_cf, strict, err))
			s->texts_fd = seal_texts(&main_cf, &master_cf, err);
	}
	buf_free(&main_cf);
	buf_free(&master_cf);
	if (s->texts_fd < 0)
		settings_free(&s);
	return s;
}

void settings_free(struct settings **s)
{
	if (!*s)
		return;
	config_free(&(*s)->config);
	master_cf_free(&(*s)->table);
	sys_close(&(*s)->texts_fd);
	x_free(s);
}
