/* postconf: shows and edits main.cf and master.cf. */
#include "commands/postconf.h"
#include "base/mem.h"
#include "commands/command_log.h"
#include <unistd.h>

#define OPTIONS "+aAbc:C:deEfFhHijlmMno:pPtT:vxX#"

static const char usage[] =
	"usage: postconf [-a (server SASL types)] [-A (client SASL types)] [-b (bounce templates)] [-c "
	"config_dir] "
	"[-C param_class] [-d (parameter defaults)] [-e (edit configuration)] [-f (fold lines)] [-F "
	"(master.cf fields)] "
	"[-h (no names)] [-H (no values)] [-i (set without effect)] [-j (JSON)] [-l (lock types)] [-m (map "
	"types)] "
	"[-M (master.cf)] [-n (non-default parameters)] [-o name=value (override parameter value)] [-p "
	"(main.cf, default)] "
	"[-P (master.cf parameters)] [-t (bounce templates)] [-T "
	"compile-version|run-version|public-key-algorithms] "
	"[-v (verbose)] [-x (expand parameter values)] [-X (exclude)] [-# (comment-out)] [name...]";

static const struct {
	char letter;
	unsigned flag;
} letters[] = {
	{'d', PC_DEFAULTS},
	{'e', PC_EDIT},
	{'n', PC_SET},
	{'X', PC_EXCLUDE},
	{'#', PC_COMMENT},
	{'f', PC_FOLD},
	{'F', PC_MASTER_FIELDS},
	{'M', PC_MASTER},
	{'p', PC_MAIN},
	{'P', PC_MASTER_PARAMS},
	{'h', PC_HIDE_NAME},
	{'H', PC_HIDE_VALUE},
	{'x', PC_EXPAND},
	{'j', PC_JSON},
	{'i', PC_INERT},
	{'o', PC_OVERRIDE},
};

enum { LETTER_COUNT = sizeof(letters) / sizeof(letters[0]) };

struct arguments {
	unsigned flags, classes;
	const char *directory, *fact_argument;
	int fact; /* one of -a -A -b -l -m -t -T, 0: none */
	char **overrides;
	size_t override_count;
};

static unsigned flag_of(int letter)
{
	for (size_t i = 0; i < LETTER_COUNT; i++) {
		if (letters[i].letter == letter)
			return letters[i].flag;
	}
	return 0;
}

static unsigned parse_classes(const char *text)
{
	static const struct {
		const char *word;
		unsigned class;
	} words[] = {{"builtin", CLASS_BUILTIN}, {"service", CLASS_SERVICE}, {"user", CLASS_USER},
		{"all", CLASS_ALL}};
	struct str rest = str_c(text), word;
	unsigned classes = 0;

	while (str_word(&rest, ", \t\r\n", &word)) {
		size_t i = 0;

		while (i < 4 && !str_case_is(word, words[i].word))
			i++;
		if (i == 4)
			command_die(
				1, "unknown -C option value \"" STR_FMT "\" in \"%s\"", STR_ARG(word), text);
		classes |= words[i].class;
	}
	return classes;
}

static void take_option(struct arguments *a, int letter)
{
	if (postconf_is_fact(letter)) {
		if (a->fact && a->fact != letter)
			command_die(1, "specify one of -%c -%c", a->fact, letter);
		a->fact = letter;
		a->fact_argument = optarg;
	} else if (letter == 'c') {
		a->directory = optarg;
	} else if (letter == 'C') {
		a->classes = parse_classes(optarg);
	} else if (letter == 'o') {
		a->flags |= PC_OVERRIDE;
		a->overrides = x_realloc(a->overrides, (a->override_count + 1) * sizeof(*a->overrides));
		a->overrides[a->override_count++] = optarg;
	} else if (flag_of(letter)) {
		a->flags |= flag_of(letter);
	} else if (letter != 'v') {
		command_die(1, "%s", usage);
	}
}

static void only_one(unsigned flags, unsigned group)
{
	char given[4 * LETTER_COUNT + 1];
	size_t len = 0, count = 0;

	for (size_t i = 0; i < LETTER_COUNT; i++) {
		if (!(flags & group & letters[i].flag))
			continue;
		len += (size_t)snprintf(given + len, sizeof(given) - len, " -%c", letters[i].letter);
		count++;
	}
	if (count > 1)
		command_die(1, "specify one of%s", given);
}

/* Options that say how to show, and those that change a file; what is shown by default takes no -o. */
static void check_combinations(unsigned flags)
{
	static const unsigned changes = PC_EDIT | PC_EXCLUDE | PC_COMMENT;
	static const unsigned groups[] = {PC_DEFAULTS | changes | PC_SET, changes | PC_FOLD,
		changes | PC_HIDE_NAME | PC_HIDE_VALUE, PC_HIDE_VALUE | PC_JSON, changes | PC_JSON,
		changes | PC_INERT, changes | PC_EXPAND, PC_DEFAULTS | changes | PC_OVERRIDE,
		PC_MASTER_FIELDS | PC_MASTER | PC_MAIN | PC_MASTER_PARAMS};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		only_one(flags, groups[i]);
}

/* The options that make no sense with -M, -F or -P. */
static void check_master_options(unsigned flags)
{
	static const struct {
		unsigned mode, allowed;
	} modes[] = {
		{PC_MASTER, PC_FOLD | PC_EDIT | PC_COMMENT | PC_EXCLUDE | PC_EXPAND | PC_JSON | PC_OVERRIDE},
		{PC_MASTER_FIELDS,
			PC_FOLD | PC_EDIT | PC_HIDE_NAME | PC_HIDE_VALUE | PC_EXPAND | PC_JSON | PC_OVERRIDE},
		{PC_MASTER_PARAMS, PC_FOLD | PC_EDIT | PC_EXCLUDE | PC_HIDE_NAME | PC_HIDE_VALUE | PC_EXPAND |
					   PC_JSON | PC_OVERRIDE},
	};

	for (size_t m = 0; m < 3; m++) {
		if (!(flags & modes[m].mode))
			continue;
		for (size_t i = 0; i < LETTER_COUNT; i++) {
			if (flags & letters[i].flag & ~(modes[m].mode | modes[m].allowed))
				command_die(1, "with option -%c, do not specify -%c",
					m == 0	 ? 'M'
					: m == 1 ? 'F'
						 : 'P',
					letters[i].letter);
		}
	}
}

static void check_options(struct arguments *a, char *const *operands)
{
	bool change = a->flags & (PC_EDIT | PC_EXCLUDE | PC_COMMENT);

	if (*operands && strchr(*operands, '=')) {
		a->flags |= PC_EDIT;
		change = true;
	}
	check_combinations(a->flags);
	check_master_options(a->flags);
	if (change && !*operands)
		command_die(1,
			a->flags & PC_EDIT ? "-e requires name=value argument" : "missing service argument");
}

static void show(struct postconf *pc, const struct arguments *a, char *const *operands)
{
	bool master = pc->flags & (PC_MASTER | PC_MASTER_FIELDS | PC_MASTER_PARAMS);

	postconf_load(pc, a->overrides, a->override_count);
	if (!(pc->flags & PC_DEFAULTS))
		postconf_check(pc);
	if (master)
		postconf_show_master(pc, operands);
	else
		postconf_show_main(pc, operands);
	fflush(stdout);
	if (!(pc->flags & PC_DEFAULTS)) {
		if (!master)
			postconf_warn_unused_main(pc);
		postconf_warn_unused_master(pc);
	}
}

static void run(const struct arguments *a, char *const *operands)
{
	struct postconf pc = {.flags = a->flags, .classes = a->classes, .directory = a->directory};
	const char *directory;

	if (!pc.directory)
		pc.directory = getenv("MAIL_CONFIG");
	directory = pc.directory ? pc.directory : DEFAULT_CONFIG_DIRECTORY;
	pc.main_path = x_asprintf("%s/main.cf", directory);
	pc.master_path = x_asprintf("%s/master.cf", directory);
	if (!(a->flags & (PC_EDIT | PC_EXCLUDE | PC_COMMENT)))
		show(&pc, a, operands);
	else if (a->flags & (PC_MASTER | PC_MASTER_FIELDS | PC_MASTER_PARAMS))
		postconf_edit_master(pc.master_path, a->flags, operands);
	else
		postconf_edit_main(pc.main_path, a->flags, operands);
	postconf_free(&pc);
}

int main(int argc, char **argv)
{
	struct arguments a = {.classes = CLASS_ALL};
	int letter, status = 0;

	while ((letter = getopt(argc, argv, OPTIONS)) > 0)
		take_option(&a, letter);
	if (a.fact == 'b' || a.fact == 't') {
		status = postconf_templates(a.fact, a.directory, argv[optind]);
	} else if (a.fact) {
		status = postconf_facts(a.fact, a.fact_argument);
	} else {
		check_options(&a, argv + optind);
		run(&a, argv + optind);
	}
	x_free(&a.overrides);
	if (fflush(stdout) != 0 || ferror(stdout))
		command_die(1, "write error on standard output");
	return status;
}
