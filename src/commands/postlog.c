/* postlog(1): lines of scripts, in the form of the mail log. */
#include <getopt.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "commands/command_log.h"

#define LINE_MAX_BYTES 2000

static const struct {
	const char *name;
	enum log_level level;
} priorities[] = {
	{"info", LOGL_INFO},
	{"warn", LOGL_WARNING},
	{"warning", LOGL_WARNING},
	{"error", LOGL_ERROR},
	{"err", LOGL_ERROR},
	{"fatal", LOGL_FATAL},
	{"crit", LOGL_FATAL},
	{"panic", LOGL_PANIC},
};

static enum log_level parse_priority(const char *name)
{
	for (size_t i = 0; i < sizeof priorities / sizeof priorities[0]; i++) {
		if (strcasecmp(priorities[i].name, name) == 0)
			return priorities[i].level;
	}
	fprintf(stderr, "postlog: fatal: bad priority: %s\n", name);
	exit(1);
}

struct options {
	const char *config_dir, *tag;
	enum log_level level;
	int verbose;
};

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr, "usage: postlog [-iv] [-c config_directory] [-p priority] [-t tag] [text...]\n");
	exit(1);
}

static void parse(int argc, char **argv, struct options *o)
{
	int c;

	while ((c = getopt(argc, argv, "+c:ip:t:v")) != -1) {
		switch (c) {
		case 'c':
			o->config_dir = optarg;
			break;
		case 'p':
			o->level = parse_priority(optarg);
			break;
		case 't':
			o->tag = optarg;
			break;
		case 'v':
			o->verbose++;
			break;
		case 'i':
			break;
		default:
			usage();
		}
	}
}

/* "postfix/postlog" is the tag's default; a tag that is given replaces all of it. */
static void log_text(const struct options *o, bool to_terminal, const char *text)
{
	if (to_terminal)
		command_say(o->level, "%s", text);
	else
		log_line(o->level, "%s", text);
}

static void log_words(const struct options *o, bool to_terminal, char **words)
{
	struct buf text = BUF(LINE_MAX_BYTES);

	for (; *words; words++) {
		buf_puts(&text, *words);
		if (words[1])
			buf_putc(&text, ' ');
	}
	log_text(o, to_terminal, buf_cstr(&text));
	buf_free(&text);
}

static void log_stdin(const struct options *o, bool to_terminal)
{
	char *line = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = getline(&line, &size, stdin)) > 0) {
		line[strcspn(line, "\r\n")] = '\0';
		log_text(o, to_terminal, line);
	}
	free(line);
}

int main(int argc, char **argv)
{
	struct options o = {.tag = "postlog", .level = LOGL_INFO};
	struct config_source source = {.program = "postlog"};
	const struct config *cfg;
	struct err err = {""};
	bool opened;

	parse(argc, argv, &o);
	source.directory = o.config_dir;
	cfg = config_load(&source, NULL, NULL, &err);
	if (!cfg) {
		fprintf(stderr, "postlog: fatal: %s\n", err.text);
		return 1;
	}
	opened = command_log_open(cfg, o.tag, o.verbose);
	if (optind < argc)
		log_words(&o, opened && isatty(STDERR_FILENO), argv + optind);
	else
		log_stdin(&o, opened && isatty(STDERR_FILENO));
	config_free(&cfg);
	return 0;
}
