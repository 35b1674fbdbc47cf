#include "commands/map_command.h"

#include <getopt.h>

#include "base/mem.h"
#include "base/utf8.h"
#include "commands/command_config.h"
#include "commands/command_log.h"
#include "mail/address.h"

char *map_spec(const struct map_command *m, const char *map)
{
	if (strchr(map, ':'))
		return x_strdup(map);
	return x_asprintf("%s:%s", m->cfg->default_database_type, map);
}

bool map_bad_utf8(const struct map_command *m, struct str text)
{
	bool content = m->header_keys || m->body_keys;

	if (!m->cfg->smtputf8_enable || m->no_utf8 || (content && !m->force_utf8))
		return false;
	return str_has_8bit(text) && !utf8_valid(text);
}

char *map_printable(struct str text)
{
	char *out = x_strndup(text.p, text.n);

	utf8_hide_controls(out, strlen(out), '?');
	return out;
}

void map_refuse_key(const char *spec, struct str key)
{
	char *shown = map_printable(key);

	command_say(
		LOGL_WARNING, "%s: non-UTF-8 key \"%s\": malformed UTF-8 or invalid codepoint", spec, shown);
	x_free(&shown);
}

static void set_mode(struct map_command *m, enum map_mode mode, const char *key)
{
	if (m->mode != MAP_BUILD)
		command_die(EXIT_FAILURE, "specify only one of -d -i -q or -s");
	m->mode = mode;
	m->key = key;
}

static bool set_flag(struct map_command *m, int letter)
{
	const struct {
		int letter;
		bool *flag, value;
	} rows[] = {
		{'b', &m->body_keys, true},
		{'f', &m->no_fold, true},
		{'F', &m->files, true},
		{'h', &m->header_keys, true},
		{'j', &m->json, true},
		{'m', &m->mime, true},
		{'N', &m->with_nul, true},
		{'n', &m->with_nul, false},
		{'o', &m->keep_root, true},
		{'p', &m->fixed_mode, true},
		{'r', &m->replace, true},
		{'u', &m->no_utf8, true},
		{'U', &m->force_utf8, true},
		{'w', &m->ignore, true},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		if (rows[i].letter == letter) {
			*rows[i].flag = rows[i].value;
			return true;
		}
	}
	return false;
}

static void check_content_options(struct map_command *m)
{
	const bool content = m->header_keys || m->body_keys;

	if ((content || m->mime) && (m->mode != MAP_QUERY || strcmp(m->key, "-") != 0))
		command_die(EXIT_FAILURE, "specify -b -h or -m only with \"-q -\"");
	if (m->mime && !content)
		command_say(LOGL_WARNING, "ignoring -m option without -b or -h");
}

static void parse(struct map_command *m, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, m->letters)) != -1) {
		switch (c) {
		case 'c':
			m->config_dir = optarg;
			break;
		case 'd':
			set_mode(m, MAP_DELETE, optarg);
			break;
		case 'i':
			set_mode(m, MAP_INCREMENT, NULL);
			break;
		case 'q':
			set_mode(m, MAP_QUERY, optarg);
			break;
		case 's':
			set_mode(m, MAP_LIST, NULL);
			break;
		case 'v':
			m->verbose++;
			break;
		default:
			if (!set_flag(m, c))
				command_die(EXIT_FAILURE, "usage: %s", m->usage);
		}
	}
	check_content_options(m);
	m->maps = argv + optind;
	if (optind == argc)
		command_die(EXIT_FAILURE, "usage: %s", m->usage);
}

static int told(int status)
{
	if (fflush(stdout) != 0 || ferror(stdout))
		command_die(EXIT_FAILURE, "write standard output: %m");
	return status;
}

static int run(const struct map_command *m)
{
	switch (m->mode) {
	case MAP_QUERY:
		return told(map_query(m));
	case MAP_DELETE:
		return map_delete(m);
	case MAP_LIST:
		return told(map_list(m));
	case MAP_BUILD:
	case MAP_INCREMENT:
		break;
	}
	return map_build(m);
}

/* What tables say while they are asked: a debug: table, or one whose source has changed. */
static void report(enum log_level level, const char *text)
{
	command_say(level, "%s", text);
}

int map_command_main(struct map_command *m, int argc, char **argv)
{
	struct err err = {""};
	int status;

	parse(m, argc, argv);
	m->cfg = command_config_load(m->program, m->config_dir, &err);
	if (!m->cfg)
		command_die(EXIT_FAILURE, "%s", err.text);
	command_log_open(m->cfg, m->program, m->verbose);
	table_report_to(report);
	status = run(m);
	config_free(&m->cfg);
	return status;
}
