/* postsuper(1): maintenance of the queue by its superuser. Acts on the files, then tells the queue manager.
 */
#include <errno.h>
#include <getopt.h>
#include <unistd.h>

#include "base/sys.h"
#include "commands/command_config.h"
#include "commands/command_log.h"
#include "commands/command_spool.h"
#include "commands/postsuper_act.h"

#define REQUESTS_MAX 100000

struct request {
	enum postsuper_act act;
	const char *id;
};

struct options {
	bool purge, structure;
	int verbose;
	const char *config_dir;
	struct request *requests;
	size_t request_count;
	unsigned queues; /* bits of enum spool_queue; 0: the defaults of each act */
};

static void __attribute__((noreturn)) usage(void)
{
	command_die(EXIT_FAILURE,
		"usage: postsuper [-c config_dir] [-d queue_id (delete)] [-e queue_id (expire)] [-f queue_id "
		"(expire "
		"and/or un-hold)] [-h queue_id (hold)] [-H queue_id (un-hold)] [-p (purge temporary files)] "
		"[-r "
		"queue_id (requeue)] [-s (structure fix)] [-S (redundant structure fix)] [-v (verbose)] "
		"[queue...]");
}

static void add_request(struct options *o, enum postsuper_act act, const char *id)
{
	if (o->request_count >= REQUESTS_MAX)
		command_die(EXIT_FAILURE, "too many queue ids; give them on standard input");
	o->requests = x_realloc(o->requests, (o->request_count + 1) * sizeof(*o->requests));
	o->requests[o->request_count++] = (struct request){act, id};
}

static void parse_option(struct options *o, int letter)
{
	const char *place = strchr(postsuper_letters, letter);

	if (letter == 'c')
		o->config_dir = optarg;
	else if (letter == 'p')
		o->purge = true;
	else if (letter == 's' || letter == 'S')
		o->structure = true;
	else if (letter == 'v')
		o->verbose++;
	else if (place && *place)
		add_request(o, (enum postsuper_act)(place - postsuper_letters), optarg);
	else
		usage();
}

/* Directories of log files that other mail systems keep beside the queues: known, and without messages here.
 */
static bool holds_no_messages(const char *name)
{
	static const char *const names[] = {"bounce", "defer", "trace", "flush", "saved"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

static unsigned queue_bit(const char *name)
{
	for (enum spool_queue q = QUEUE_MAILDROP; q < QUEUE_COUNT; q++)
		if (strcmp(name, spool_queue_name(q)) == 0)
			return 1u << q;
	if (!holds_no_messages(name))
		command_die(EXIT_FAILURE, "invalid directory name: %s", name);
	return POSTSUPER_NO_QUEUE;
}

static void parse(int argc, char **argv, struct options *o)
{
	int letter;

	while ((letter = getopt(argc, argv, "+c:d:e:f:h:H:pr:sSv")) != -1)
		parse_option(o, letter);
	for (int i = optind; i < argc; i++)
		o->queues |= queue_bit(argv[i]);
	if (o->request_count == 0 && !o->purge && !o->structure)
		o->purge = o->structure = true;
}

/* ---- purge and structure */

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

static void repair(struct spool *spool, unsigned queues)
{
	struct spool_recovery found = {0};
	struct err err = {""};

	for (enum spool_queue q = QUEUE_MAILDROP; q < QUEUE_CORRUPT; q++)
		if ((queues == 0 || (queues & 1u << q)) && !spool_recover_queue(spool, q, &found, &err))
			command_die(EXIT_FAILURE, "%s", err.text);
	if (found.leftovers > 0)
		command_say(LOGL_INFO, "Removed unfinished files: %zu file%s", found.leftovers,
			plural(found.leftovers));
	if (found.misplaced > 0)
		command_say(LOGL_INFO, "Moved to the right place: %zu message%s", found.misplaced,
			plural(found.misplaced));
	if (found.damaged > 0)
		command_say(LOGL_WARNING, "Damaged and moved to the corrupt queue: %zu file%s", found.damaged,
			plural(found.damaged));
}

/* ---- messages */

static void act_on_input(struct postsuper *s, enum postsuper_act act, unsigned queues)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) >= 0) {
		struct str id = str_trim((struct str){line, (size_t)n});

		line[(size_t)(id.p - line) + id.n] = '\0';
		postsuper_one(s, act, id.p, queues);
	}
	if (ferror(stdin))
		command_die(EXIT_FAILURE, "read standard input: %s", strerror(errno));
	free(line);
}

static void act(struct postsuper *s, const struct request *r, unsigned queues)
{
	postsuper_ask(s, r->act);
	if (strcmp(r->id, "-") == 0)
		act_on_input(s, r->act, queues);
	else if (strcmp(r->id, "ALL") == 0)
		postsuper_all(s, r->act, queues);
	else
		postsuper_one(s, r->act, r->id, queues);
}

/* The superuser, or the user to whom a whole private mail system belongs. The files are then handled as their
 * owner: what he may have planted between them gives him nothing that is not his. */
static void become_owner(const struct config *cfg)
{
	struct err err = {""};
	uid_t owner;
	gid_t group;

	if (!sys_user(cfg->mail_owner, &owner, &group, &err))
		command_die(EXIT_FAILURE, "mail_owner: %s", err.text);
	if (geteuid() != 0 && geteuid() != owner)
		command_die(EXIT_FAILURE, "use of this command is reserved for the superuser");
	if (geteuid() == 0 && owner != 0 && !sys_become(owner, group, NULL, 0, &err))
		command_die(EXIT_FAILURE, "%s", err.text);
}

static const struct config *prepare(const struct options *o)
{
	struct err err = {""};
	const struct config *cfg = command_config_load("postsuper", o->config_dir, &err);

	if (!cfg)
		command_die(EXIT_FAILURE, "%s", err.text);
	command_log_open(cfg, "postsuper", o->verbose);
	if (chdir(cfg->queue_directory) < 0)
		command_die(EXIT_FAILURE, "chdir %s: %s", cfg->queue_directory, strerror(errno));
	become_owner(cfg);
	return cfg;
}

int main(int argc, char **argv)
{
	struct options o = {0};
	const struct config *cfg;
	struct postsuper s = {0};
	struct err err = {""};

	parse(argc, argv, &o);
	cfg = prepare(&o);
	s.queue_service = cfg->queue_service_name;
	s.spool = command_spool_open(cfg, &err);
	if (!s.spool)
		command_die(EXIT_FAILURE, "%s", err.text);
	if (o.purge || o.structure)
		repair(s.spool, o.queues);
	for (size_t i = 0; i < o.request_count; i++)
		act(&s, &o.requests[i], o.queues);
	postsuper_tell(&s);
	postsuper_report(&s);
	postsuper_end(&s);
	free(o.requests);
	config_free(&cfg);
	return EXIT_SUCCESS;
}
