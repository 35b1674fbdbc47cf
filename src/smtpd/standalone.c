#include "smtpd/standalone.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "base/net.h"
#include "base/sys.h"
#include "smtpd/server.h"
#include "smtpd/session.h"

#define OVERRIDES_MAX 100

/* Input and output are two descriptors. */
static ssize_t input_read(void *ctx, void *data, size_t n, short *events)
{
	*events = POLLIN;
	return read(STDIN_FILENO, data, n);
}

static ssize_t output_write(void *ctx, const void *data, size_t n, short *events)
{
	ssize_t done;

	/* On a terminal both may be one, and then do not block. */
	while ((done = write(STDOUT_FILENO, data, n)) < 0 && errno == EAGAIN)
		if (net_wait(STDOUT_FILENO, POLLOUT, INT64_MAX) < 0)
			return -1;
	return done;
}

static const struct stream_layer standard_streams = {.read = input_read, .write = output_write};

static struct session *open_session(struct server *server)
{
	struct net_addr local;
	struct session *s;
	int fd = dup(STDIN_FILENO);

	net_parse_ip(STR("127.0.0.1"), 0, &local);
	s = session_new(server, fd, &local, server->cfg);
	client_set_names(&s->client, "localhost", "localhost");
	client_describe(&s->client, server->cfg->smtpd_client_port_logging);
	stream_set_layer(s->io, &standard_streams, NULL);
	return s;
}

/* The session tells its client everything; the log is for the operator: the file, the system's, or, where we
 * may use neither, nobody's. */
static void open_log(const struct config *cfg)
{
	struct log_options options = {.sink = LOG_SINK_FD,
		.fd = -1,
		.syslog_name = cfg->syslog_name,
		.program = "smtpd",
		.facility = cfg->syslog_facility,
		.host = cfg->myhostname};

	if (*cfg->maillog_file)
		options.fd = open(cfg->maillog_file, O_WRONLY | O_APPEND | O_CLOEXEC | O_NOFOLLOW);
	else if (access("/dev/log", W_OK) == 0)
		options.sink = LOG_SINK_SYSLOG;
	if (options.sink == LOG_SINK_FD && options.fd < 0)
		options.fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	log_open(&options);
}

static bool take_arguments(int argc, char **argv, struct config_source *source, struct config_pair *pairs)
{
	int letter;

	source->overrides = pairs;
	while ((letter = getopt(argc, argv, "Sc:o:v")) > 0) {
		char *equals = letter == 'o' ? strchr(optarg, '=') : NULL;

		if (letter == 'c')
			source->directory = optarg;
		else if (letter == 'o' && equals && source->override_count < OVERRIDES_MAX) {
			*equals = '\0';
			pairs[source->override_count++] = (struct config_pair){optarg, equals + 1};
		} else if (letter != 'S' && letter != 'v')
			return false;
	}
	return true;
}

int standalone_main(int argc, char **argv)
{
	struct config_pair pairs[OVERRIDES_MAX];
	struct config_source source = {.program = "smtpd"};
	struct smtpd_slot slot = {0};
	struct err err = {""};
	const struct config *cfg;

	if (!take_arguments(argc, argv, &source, pairs))
		log_fatal("usage: smtpd -S [-c config_dir] [-o name=value]");
	cfg = config_load(&source, NULL, NULL, &err);
	if (!cfg)
		log_fatal("%s", err.text);
	open_log(cfg);
	signal(SIGPIPE, SIG_IGN);
	slot.server = server_standalone(cfg);
	session_run_here(open_session(slot.server), &slot);
	net_nonblock(STDIN_FILENO, false);
	server_free(&slot.server);
	config_free(&cfg);
	return 0;
}
