/* From root to what the service needs: configuration, log, queue directory, lock, spool, root directory,
 * user. */
#include <errno.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/sys.h"
#include "service/service_private.h"
#include "table/table_outside.h"

#define TEXTS_MAX (40u << 20)
#define DESCRIPTORS_MAX 65536
#define LOCK_PATIENCE 60 /* seconds until a process before us that is still there is worth a warning */
#define LOCK_POLL_MS 50

/* master keeps the texts it checked in memory, so that a file half written by an editor never reaches a
 * service. */
static bool read_texts(struct buf *text, struct err *err)
{
	struct stat st;
	char *room;

	if (fstat(SERVICE_FD_CONFIG, &st) != 0)
		return err_errno(err, "configuration from master");
	room = buf_reserve(text, (size_t)st.st_size + 1);
	if (!room)
		return err_set(err, "configuration from master: too long");
	if (sys_pread_all(SERVICE_FD_CONFIG, room, (size_t)st.st_size, 0) != (ssize_t)st.st_size)
		return err_errno(err, "read configuration from master");
	buf_added(text, (size_t)st.st_size);
	return true;
}

/* The service's own parameters are the reason why its configuration cannot be used; another program's view of
 * it still says where to log. */
static void open_log_for_failure(struct service *s, struct config_source source)
{
	source.program = "master";
	source.overrides = NULL;
	source.override_count = 0;
	s->config = config_load(&source, NULL, NULL, NULL);
	if (s->config)
		service_open_log(s);
}

static bool load_both(struct service *s, struct config_source *source, struct err *err)
{
	s->config = config_load(source, NULL, NULL, err);
	if (!s->config) {
		open_log_for_failure(s, *source);
		return false;
	}
	if (s->args.type != SERVICE_INET)
		return true;
	source->stress = true;
	s->stress_config = config_load(source, NULL, NULL, err);
	return s->stress_config != NULL;
}

bool service_load_config(struct service *s, struct err *err)
{
	struct buf text = BUF(TEXTS_MAX);
	struct config_source source = {
		.directory = s->args.config_dir,
		.overrides = s->args.overrides,
		.override_count = s->args.override_count,
		.service = s->args.name,
		.program = s->args.program,
		.lmtp = s->ops->lmtp_capable && strcmp(s->args.program, "lmtp") == 0,
	};
	bool ok = read_texts(&text, err);

	source.main_text = buf_cstr(&text);
	if (strlen(source.main_text) < text.len)
		source.master_text = source.main_text + strlen(source.main_text) + 1;
	ok = ok && load_both(s, &source, err);
	buf_free(&text);
	return ok;
}

static void log_report(enum log_level level, const char *text)
{
	log_line(level, "%s", text);
}

static void end_for_table(const char *text)
{
	log_fatal("%s", text);
}

void service_open_log(struct service *s)
{
	struct log_options options = {
		.sink = s->args.log_fd ? LOG_SINK_FD : LOG_SINK_SYSLOG,
		.fd = SERVICE_FD_LOG,
		.syslog_name = s->config->syslog_name,
		.program = s->args.program,
		.facility = s->config->syslog_facility,
		.json = strcmp(s->config->log_format, "json") == 0,
		.verbose = s->args.verbose,
	};

	log_open(&options);
	table_report_to(log_report);
	if (s->config->daemon_table_open_error_is_fatal)
		table_on_unavailable(end_for_table);
}

int service_raise_limits(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
		return 1024;
	limit.rlim_cur = limit.rlim_max < DESCRIPTORS_MAX ? limit.rlim_max : DESCRIPTORS_MAX;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit);
	return limit.rlim_cur < DESCRIPTORS_MAX ? (int)limit.rlim_cur : DESCRIPTORS_MAX;
}

bool service_enter_queue_directory(struct service *s, struct err *err)
{
	umask(077);
	if (chdir(s->config->queue_directory) != 0)
		return err_errno(err, "chdir %s", s->config->queue_directory);
	if (geteuid() != 0) {
		s->owner_uid = geteuid();
		s->owner_gid = getegid();
		return true;
	}
	return sys_user(s->config->mail_owner, &s->owner_uid, &s->owner_gid, err) ||
	       err_prefix(err, "mail_owner");
}

/*
 * The process before us may have much to finish, and after a crash of master nobody has told it. The lock
 * lasts until we exit or give it up.
 */
bool service_take_lock(struct service *s, struct err *err)
{
	int64_t warning = deadline_in(LOCK_PATIENCE);
	char *path = x_asprintf(
		"%s/%s.%s", s->config->process_id_directory, service_type_name(s->args.type), s->args.name);

	while ((s->lock_fd = sys_lock_file(path, err)) < 0 && errno == EAGAIN && !service_retiring(s)) {
		if (clock_mono() > warning) {
			log_warning("%s; we go on waiting", err->text);
			warning = INT64_MAX;
		}
		service_control_step(s, LOCK_POLL_MS);
	}
	x_free(&path);
	return s->lock_fd >= 0;
}

void service_release_lock(struct service *s)
{
	if (!s->ops->exclusive)
		return;
	sys_close(&s->lock_fd);
	service_tell(CHANNEL_LEAVING);
}

bool service_open_spool(struct service *s, struct err *err)
{
	struct spool_options options = {
		.queue_directory = ".",
		.hash_queue_names = s->config->hash_queue_names,
		.hash_queue_depth = s->config->hash_queue_depth,
		.long_ids = s->config->enable_long_queue_ids,
		.owner = s->owner_uid,
		.group = s->owner_gid,
		.drop_group = s->owner_gid,
		.stale_before_us = atomic_load(&s->area->started_us),
	};

	s->spool = spool_open(&options, err);
	return s->spool != NULL;
}

/* Accounts (unix:passwd.byname) and the tables of proxy: are asked for from inside the jail too. */
bool service_stay_outside(struct service *s, struct err *err)
{
	if (!s->args.chroot || geteuid() != 0)
		return true;
	return table_outside_start(s->owner_uid, s->owner_gid, err);
}

static bool enter_jail(struct service *s, struct err *err)
{
	if (geteuid() != 0)
		return true;
	tzset();
	table_outside_seal();
	if (chroot(".") != 0 || chdir("/") != 0)
		return err_errno(err, "chroot %s", s->config->queue_directory);
	return true;
}

bool service_drop(struct service *s, struct err *err)
{
	bool root = geteuid() == 0;

	if (s->ops->needs_root && root && s->args.unprivileged)
		return err_set(err,
			"service %s must run privileged: give it \"n\" in the unprivileged column of "
			"master.cf",
			s->args.name);
	if (s->args.chroot && !enter_jail(s, err))
		return false;
	if (root && s->args.unprivileged && !sys_become(s->owner_uid, s->owner_gid, &s->owner_gid, 1, err))
		return false;
	return s->ops->needs_root || service_sandbox(err);
}
