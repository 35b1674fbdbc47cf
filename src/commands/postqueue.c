/* postqueue(1), and mailq: the queue for its users. */
#include <errno.h>
#include <getopt.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/sys.h"
#include "commands/command_config.h"
#include "commands/command_log.h"
#include "commands/command_pickup.h"
#include "commands/command_user.h"
#include "commands/postqueue_list.h"
#include "mail/address.h"
#include "table/table.h"

#define ASK_SECONDS 60

enum mode { MODE_NONE, MODE_LIST, MODE_JSON, MODE_FLUSH, MODE_FLUSH_ID, MODE_FLUSH_SITE };

struct options {
	enum mode mode;
	const char *argument, *config_dir;
	int verbose;
};

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
		"%s: fatal: usage: postqueue -f | postqueue -i queueid | postqueue -j | postqueue -p | "
		"postqueue -s site\n",
		program_invocation_short_name);
	exit(EX_UNAVAILABLE);
}

static void set_mode(struct options *o, enum mode mode, const char *argument)
{
	if (o->mode != MODE_NONE)
		usage();
	o->mode = mode;
	o->argument = argument;
}

static void parse_option(struct options *o, int letter)
{
	switch (letter) {
	case 'c':
		o->config_dir = optarg;
		break;
	case 'f':
		set_mode(o, MODE_FLUSH, NULL);
		break;
	case 'i':
		set_mode(o, MODE_FLUSH_ID, optarg);
		break;
	case 'j':
		set_mode(o, MODE_JSON, NULL);
		break;
	case 'p':
		set_mode(o, MODE_LIST, NULL);
		break;
	case 's':
		set_mode(o, MODE_FLUSH_SITE, optarg);
		break;
	case 'v':
		o->verbose += getuid() == 0;
		break;
	default:
		usage();
	}
}

static void parse(int argc, char **argv, struct options *o)
{
	int c;

	argv[0] = program_invocation_short_name; /* getopt's messages begin with it */
	if (strcmp(program_invocation_short_name, "mailq") == 0)
		o->mode = MODE_LIST;
	while ((c = getopt(argc, argv, "+c:fi:jps:v")) != -1)
		parse_option(o, c);
	if (o->mode == MODE_NONE || optind < argc)
		usage();
}

/* ---- listing */

/* Without the mail system those who may read the files see them all the same. */
struct direct {
	struct spool *spool;
	struct queue_list *list;
};

static bool list_file(void *arg, enum spool_queue queue, const struct queue_id *id)
{
	struct direct *d = arg;
	struct pool *pool = pool_new(4096);
	struct queue_listed listed = {.id = *id, .queue = queue};
	struct envelope *e;

	if (spool_load(d->spool, queue, id, pool, &e, NULL) == SPOOL_OK) {
		queue_listed_fill(&listed, e, pool);
		postqueue_list(d->list, &listed);
	}
	pool_free(&pool);
	return true;
}

static bool list_files(const struct config *cfg, struct queue_list *list, struct err *err)
{
	struct spool_options options = {
		.queue_directory = ".",
		.hash_queue_names = cfg->hash_queue_names,
		.hash_queue_depth = cfg->hash_queue_depth,
		.long_ids = cfg->enable_long_queue_ids,
	};
	struct direct d = {.list = list};
	bool ok = sys_user(cfg->mail_owner, &options.owner, &options.group, err);

	d.spool = ok ? spool_open(&options, err) : NULL;
	ok = d.spool != NULL;
	for (enum spool_queue q = QUEUE_MAILDROP; ok && q < QUEUE_CORRUPT; q++)
		ok = spool_scan(d.spool, q, list_file, &d, err);
	spool_close(&d.spool);
	return ok;
}

static void list(const struct config *cfg, bool json)
{
	struct queue_list out = {.out = stdout, .json = json, .long_ids = cfg->enable_long_queue_ids};
	const struct queue_request request = {.type = FRAME_LIST};
	struct err err = {""}, direct = {""};

	if (!queue_ask(cfg->queue_service_name, &request, ASK_SECONDS, postqueue_list, &out, &err)) {
		if (out.messages > 0 || (getuid() != 0 && getuid() != geteuid()))
			command_die(EX_UNAVAILABLE, "Cannot list the mail queue: %s", err.text);
		command_say(LOGL_WARNING, "Mail system is down -- accessing queue directly (%s)", err.text);
		if (!list_files(cfg, &out, &direct))
			command_die(EX_UNAVAILABLE, "Cannot list the mail queue: %s", direct.text);
	}
	postqueue_list_end(&out);
	if (fflush(stdout) != 0)
		command_die(EX_UNAVAILABLE, "write standard output: %s", strerror(errno));
}

/* ---- flushing */

static void ask(const struct config *cfg, const struct queue_request *request)
{
	struct err err = {""};

	if (queue_ask(cfg->queue_service_name, request, ASK_SECONDS, NULL, NULL, &err))
		return;
	command_say(LOGL_WARNING, "%s", err.text);
	command_die(EX_UNAVAILABLE, "Cannot flush mail queue - mail system is down");
}

static void flush_id(const struct config *cfg, const char *id)
{
	struct queue_request request = {.type = FRAME_FLUSH_ID};

	if (!queue_id_valid(str_c(id)) || strlen(id) >= sizeof(request.id.text))
		command_die(EX_UNAVAILABLE, "Cannot flush mail queue - invalid queue ID: \"%s\"", id);
	memccpy(request.id.text, id, '\0', sizeof(request.id.text));
	ask(cfg, &request);
}

/* fast_flush_domains: whom anybody may hurry. */
static bool site_served(const struct config *cfg, const char *site)
{
	int parent = matchlist_parent_flag(cfg->parent_domain_matches_subdomains, "fast_flush_domains");
	struct err err = {""};
	struct matchlist *list = matchlist_open("fast_flush_domains", cfg->fast_flush_domains, parent, &err);
	enum table_status found;

	if (list == NULL)
		command_die(EX_UNAVAILABLE, "%s", err.text);
	found = matchlist_name(list, str_c(site), &err);
	matchlist_close(&list);
	if (found == TABLE_RETRY || found == TABLE_MISCONFIGURED)
		command_die(EX_UNAVAILABLE, "%s", err.text);
	return found == TABLE_FOUND;
}

static void flush_site(const struct config *cfg, const char *site)
{
	const struct queue_request request = {.type = FRAME_FLUSH_SITE, .text = site};

	if (!address_valid_hostname(str_c(site)) && !address_valid_literal(str_c(site)))
		command_die(EX_UNAVAILABLE, "Cannot flush mail queue - invalid destination: \"%s\"", site);
	if (!site_served(cfg, site))
		command_die(EX_UNAVAILABLE, "Flush service is not configured for destination \"%s\"", site);
	ask(cfg, &request);
}

static void check_user(const struct config *cfg, bool listing)
{
	struct err err = {""};
	bool ok = listing ? command_user_allowed_queue(cfg, "authorized_mailq_users",
				    cfg->authorized_mailq_users, "view the mail queue", &err)
			  : command_user_allowed_queue(cfg, "authorized_flush_users",
				    cfg->authorized_flush_users, "flush the mail queue", &err);

	if (!ok)
		command_die(EX_UNAVAILABLE, "%s", err.text);
}

static void run(const struct config *cfg, const struct options *o)
{
	const struct queue_request all = {.type = FRAME_FLUSH};

	if (o->mode == MODE_FLUSH) {
		command_wake_pickup(cfg);
		ask(cfg, &all);
	} else if (o->mode == MODE_FLUSH_ID)
		flush_id(cfg, o->argument);
	else if (o->mode == MODE_FLUSH_SITE)
		flush_site(cfg, o->argument);
	else
		list(cfg, o->mode == MODE_JSON);
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const struct config *cfg;
	struct err err = {""};

	parse(argc, argv, &o);
	cfg = command_config_load("postqueue", o.config_dir, &err);
	if (cfg == NULL) {
		fprintf(stderr, "%s: fatal: %s\n", program_invocation_short_name, err.text);
		return EX_UNAVAILABLE;
	}
	command_log_open(cfg, "postqueue", o.verbose);
	if (chdir(cfg->queue_directory) < 0)
		command_die(EX_UNAVAILABLE, "chdir %s: %s", cfg->queue_directory, strerror(errno));
	check_user(cfg, o.mode == MODE_LIST || o.mode == MODE_JSON);
	run(cfg, &o);
	config_free(&cfg);
	return 0;
}
