/*
 * sendmail(1): the interface that programs know for handing in mail. The message goes to postdrop, which
 * alone may write to the queue; it is accepted when this program ends with status 0, and in no other case.
 */
#include "commands/sendmail.h"
#include "mail/address.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "commands/command_config.h"
#include "commands/command_log.h"
#include "commands/command_user.h"

void sendmail_fail(const char *fmt, ...)
{
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	command_say(LOGL_FATAL, "%s", text);
	exit(EX_TEMPFAIL);
}

void sendmail_fail_user(const struct sendmail *s, const char *fmt, ...)
{
	const char *name;
	char text[2048];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	name = s->sender ? s->sender : command_user_name();
	sendmail_fail("%s(%u): %s", name ? name : "unknown", getuid(), text);
}

/* -C may name main.cf itself. */
static void load_config(struct sendmail *s)
{
	const char *slash = s->config_dir ? strrchr(s->config_dir, '/') : NULL;
	struct err err = {""};

	if (slash && slash != s->config_dir && strcmp(slash, "/main.cf") == 0)
		s->config_dir = x_strndup(s->config_dir, (size_t)(slash - s->config_dir));
	s->cfg = command_config_load("sendmail", s->config_dir, &err);
	if (!s->cfg)
		sendmail_fail("%s", err.text);
	command_log_open(s->cfg, "sendmail", s->verbose > 1 ? s->verbose - 1 : 0);
}

static void __attribute__((noreturn))
run_postqueue(const struct sendmail *s, const char *option, const char *value)
{
	char *path = x_asprintf("%s/postqueue", s->cfg->command_directory);
	const char *argv[6] = {path, option};
	size_t n = 2;

	if (value)
		argv[n++] = value;
	if (s->config_dir) {
		argv[n++] = "-c";
		argv[n++] = config_directory(s->cfg);
	}
	execv(path, (char **)(uintptr_t)argv);
	sendmail_fail("execute %s: %m", path);
}

static void __attribute__((noreturn)) run_daemon(const struct sendmail *s)
{
	char *path = x_asprintf("%s/postern", s->cfg->command_directory);
	const char *argv[] = {path, "-c", config_directory(s->cfg), "start", NULL};

	execv(path, (char **)(uintptr_t)argv);
	sendmail_fail("execute %s: %m", path);
}

/* The SMTP server on standard input and output. */
static void __attribute__((noreturn)) run_smtpd(const struct sendmail *s)
{
	char *path = x_asprintf("%s/smtpd", s->cfg->daemon_directory);
	const char *argv[] = {path, "-S", "-c", config_directory(s->cfg), NULL};

	execv(path, (char **)(uintptr_t)argv);
	sendmail_fail("execute %s: %m", path);
}

static void refuse_recipients(const struct sendmail *s)
{
	static const char *const names[] = {
		[MODE_LIST] = "display queue mode",
		[MODE_FLUSH] = "flush queue mode",
		[MODE_FLUSH_ID] = "flush queue_id",
		[MODE_FLUSH_SITE] = "flush site",
		[MODE_ALIASES] = "alias initialization mode",
		[MODE_SMTP] = "stand-alone mode",
		[MODE_DAEMON] = "daemon mode",
	};

	if (s->recipients.count && (size_t)s->mode < sizeof(names) / sizeof(*names) && names[s->mode])
		sendmail_fail("%s requires no recipient", names[s->mode]);
}

/* postalias makes all tables of alias_database, or the one that -oA names; without any there is nothing to
 * do. */
static void __attribute__((noreturn)) run_postalias(const struct sendmail *s)
{
	char *path = x_asprintf("%s/postalias", s->cfg->command_directory);
	struct str rest = str_c(s->alias_database ? s->alias_database : s->cfg->alias_database), word;
	char **argv = x_alloc((rest.n + 5) * sizeof(*argv));
	size_t n = 0, options;

	argv[n++] = path;
	if (s->config_dir) {
		argv[n++] = x_strdup("-c");
		argv[n++] = x_strdup(config_directory(s->cfg));
	}
	argv[n++] = x_strdup("--");
	options = n;
	while (str_word(&rest, ", \t\r\n", &word))
		argv[n++] = x_strndup(word.p, word.n);
	if (n == options)
		exit(EX_OK);
	execv(path, argv);
	sendmail_fail("execute %s: %m", path);
}

/* The first part of the user database's comment field; & stands for the login name. */
static const char *name_from_database(struct pool *pool)
{
	const struct passwd *pw = getpwuid(getuid());
	struct buf out = BUF(1000);
	const char *name;

	for (const char *p = pw ? pw->pw_gecos : ""; *p && *p != ',' && *p != ';'; p++) {
		size_t at = out.len;

		if (*p != '&') {
			buf_putc(&out, *p);
		} else if (buf_puts(&out, pw->pw_name) && out.data[at] >= 'a' && out.data[at] <= 'z') {
			out.data[at] -= 'a' - 'A';
		}
	}
	if (out.len == 0 && pw)
		buf_puts(&out, pw->pw_name);
	name = pool_strdup(pool, buf_cstr(&out));
	buf_free(&out);
	return name;
}

static const char *full_name(const struct sendmail *s, struct pool *pool)
{
	const char *name = s->full_name ? s->full_name : getenv("NAME");

	if (!name)
		name = name_from_database(pool);
	return name[0] && !str_has_control(str_c(name)) ? name : NULL;
}

static const char *default_sender(struct pool *pool)
{
	const char *name = command_user_name();

	return name ? pool_strdup(pool, name) : pool_printf(pool, "%u", getuid());
}

static const char *sender(const struct sendmail *s, struct pool *pool)
{
	struct address_list list = {0};
	const char *address = "";

	if (!s->from)
		return default_sender(pool);
	if (!address_list_parse(str_c(s->from), &list) || list.count > 1)
		command_say(LOGL_WARNING, "-f option specified malformed sender: %s", s->from);
	if (list.count > 0)
		address = pool_strdup(pool, list.items[0]);
	address_list_free(&list);
	return address;
}

/* Two characters, of those that verp_delimiter_filter allows. */
static const char *verp_delimiters(const struct sendmail *s)
{
	const char *value = s->verp ? s->verp : s->cfg->default_verp_delimiters;

	if (!s->verp_wanted)
		return NULL;
	if (strlen(value) != 2 || strspn(value, s->cfg->verp_delimiter_filter) != 2)
		sendmail_fail("-V requires two characters from %s", s->cfg->verp_delimiter_filter);
	if (s->sender && s->sender[0] == '\0')
		sendmail_fail_user(s, "-V option requires non-null sender address");
	return value;
}

static void hand_over(const struct sendmail *s, struct submission_pipe **to,
	const struct submission *envelope, struct pool *pool)
{
	struct submission_answer answer;
	struct err err;

	if (!submission_pipe_finish(to, envelope, pool, &answer, &err))
		sendmail_fail_user(s, "%s", err.text);
	if (answer.error)
		sendmail_fail_user(s, "%s", answer.error);
}

/* More than one -v is about the log. */
static int report_flags(const struct sendmail *s)
{
	if (s->mode == MODE_VERIFY)
		return ENVELOPE_REPORT | ENVELOPE_PROBE;
	return s->verbose == 1 ? ENVELOPE_REPORT : 0;
}

static void announce_report(const char *sender)
{
	struct buf external = BUF(4 * ADDRESS_MAX);

	address_quote(str_c(sender), &external);
	printf("Mail Delivery Status Report will be mailed to <%s>.\n", buf_cstr(&external));
	buf_free(&external);
}

/* postdrop, which has the say, asks the same; but it sees only what is handed to it. */
static void check_user(const struct sendmail *s)
{
	struct err err = {""};

	if (!command_user_allowed(
		    "authorized_submit_users", s->cfg->authorized_submit_users, "submit mail", &err))
		sendmail_fail("%s", err.text);
}

static void submit(struct sendmail *s)
{
	struct pool *pool = pool_new(4096);
	struct submission envelope = {
		.sender = sender(s, pool),
		.full_name = full_name(s, pool),
		.envid = s->envid,
		.body = s->body,
		.ret = s->ret,
		.notify = s->notify,
		.flags = report_flags(s),
		.remote = s->gateway,
	};
	struct submission_pipe *to;
	struct err err;

	if (s->from)
		s->sender = envelope.sender;
	envelope.verp = verp_delimiters(s);
	if ((!s->header_recipients || s->mode == MODE_VERIFY) && s->recipients.count == 0)
		sendmail_fail_user(
			s, "Recipient addresses must be specified on the command line or via the -t option");
	signal(SIGPIPE, SIG_IGN);
	to = submission_pipe_open(
		s->cfg->command_directory, s->config_dir ? config_directory(s->cfg) : NULL, &err);
	if (!to)
		sendmail_fail_user(s, "%s", err.text);
	if (s->mode == MODE_VERIFY)
		sendmail_probe(s, envelope.sender, to);
	else
		sendmail_copy(s, to);
	if (s->recipients.count == 0) {
		submission_pipe_abort(&to);
		sendmail_fail_user(s, "No recipient addresses found in message header");
	}
	envelope.recipients = pool_alloc(pool, s->recipients.count * sizeof(*envelope.recipients));
	for (size_t i = 0; i < s->recipients.count; i++)
		envelope.recipients[envelope.recipient_count++] = s->recipients.items[i];
	hand_over(s, &to, &envelope, pool);
	if (envelope.flags & ENVELOPE_REPORT)
		announce_report(envelope.sender);
	pool_free(&pool);
}

static void keep_descriptors(void)
{
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0)
			exit(EX_OSERR); /* files that are opened next would take its place */
	}
}

int main(int argc, char **argv)
{
	struct sendmail s = {0};

	keep_descriptors();
	sendmail_parse(&s, argc, argv);
	load_config(&s);
	refuse_recipients(&s);
	if (s.mode == MODE_SUBMIT || s.mode == MODE_VERIFY || s.mode == MODE_SMTP)
		check_user(&s);
	switch (s.mode) {
	case MODE_LIST:
		run_postqueue(&s, "-p", NULL);
	case MODE_FLUSH:
		run_postqueue(&s, "-f", NULL);
	case MODE_FLUSH_ID:
		run_postqueue(&s, "-i", s.argument);
	case MODE_FLUSH_SITE:
		run_postqueue(&s, "-s", s.argument);
	case MODE_ALIASES:
		run_postalias(&s);
	case MODE_SMTP:
		run_smtpd(&s);
	case MODE_DAEMON:
		run_daemon(&s);
	case MODE_NOTHING:
		return EX_OK;
	case MODE_SUBMIT:
	case MODE_VERIFY:
		break;
	}
	if (!s.interval || s.recipients.count || s.header_recipients)
		submit(&s);
	address_list_free(&s.recipients);
	config_free(&s.cfg);
	return EX_OK;
}
