/* What a filter sends: its answer to the options, then answers to the events of a session and its edits. */
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../unit/support/test_config.h"
#include "milter/milter_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define INPUT_MAX 65536

static size_t seen; /* bytes of edits; keeps them from being optimised away */

static const char *macro(void *arg, const char *name)
{
	return name[0] == 'i' ? "id" : NULL;
}

static void warn(void *arg, const char *text)
{
	seen += strlen(text);
}

static bool header(void *arg, size_t index, struct str *name, struct str *value)
{
	*name = STR("Subject");
	*value = STR(" x\r\n\ty");
	return index < 3;
}

static ssize_t body(void *arg, uint64_t offset, void *out, size_t n)
{
	if (offset >= 100000)
		return 0;
	n = n < 100000 - offset ? n : (size_t)(100000 - offset);
	memset(out, 'b', n);
	return (ssize_t)n;
}

static void look(struct str s)
{
	for (size_t i = 0; i < s.n; i++)
		seen += (unsigned char)s.p[i];
}

static bool add(void *arg, struct str name, struct str value)
{
	if (name.n == 0 || str_has_nul(name) || str_has_nul(value))
		__builtin_trap();
	look(name);
	look(value);
	return true;
}

static bool change(void *arg, size_t index, struct str name, struct str value)
{
	return add(arg, name, value);
}

static bool replace(void *arg, struct str piece, bool first)
{
	look(piece);
	return true;
}

static bool address(void *arg, struct str text, struct str options)
{
	if (str_has_nul(text) || str_has_nul(options))
		__builtin_trap();
	look(text);
	return true;
}

static bool one(void *arg, struct str text)
{
	return address(arg, text, STR(""));
}

static const struct milter_message message = {.header = header,
	.body = body,
	.add_header = add,
	.insert_header = change,
	.change_header = change,
	.replace_body = replace,
	.add_recipient = address,
	.delete_recipient = one,
	.change_sender = address,
	.hold = one};

static void check(struct milter_verdict verdict)
{
	if (verdict.action == MILTER_REFUSE && (!verdict.reply || strlen(verdict.reply) < 5 ||
						       (verdict.reply[0] != '4' && verdict.reply[0] != '5')))
		__builtin_trap();
}

static void converse(struct milters *m)
{
	static const char *const words[] = {"<a@b>", "SIZE=1"};
	const struct milter_peer peer = {"host.example", NULL};

	check(milters_connect(m, &peer));
	check(milters_helo(m, "client"));
	check(milters_mail(m, words, 2));
	check(milters_rcpt(m, words, 1, false));
	check(milters_data(m));
	check(milters_message(m, &message));
	milters_abort(m);
	check(milters_unknown(m, "FOO"));
}

static struct config configuration(void)
{
	struct config cfg = test_config();

	cfg.milter_default_action = "tempfail";
	cfg.milter_protocol = "6";
	cfg.milter_macro_v = "v";
	cfg.milter_mail_macros = "i {x}";
	cfg.milter_connect_timeout = cfg.milter_command_timeout = cfg.milter_content_timeout = 5;
	return cfg;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct milter_host host = {NULL, macro, warn};
	struct config cfg = configuration();
	struct milter_set *set = milter_set_new(&cfg, "unix:/nowhere");
	struct milters *m = milters_new(set, &host);
	struct err err;
	int fds[2];

	signal(SIGPIPE, SIG_IGN);
	if (size <= INPUT_MAX && socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0) {
		if (write(fds[1], data, size) == (ssize_t)size) {
			shutdown(fds[1], SHUT_WR);
			if (filter_begin(&m->filters[0], fds[0], &err))
				converse(m);
		} else {
			close(fds[0]);
		}
		close(fds[1]);
	}
	milters_free(&m);
	milter_set_free(&set);
	return 0;
}
