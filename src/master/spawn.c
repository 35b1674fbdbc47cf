#include "master/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

#define FIRST_FD 3
#define ASIDE 100 /* above every number that a descriptor is given in the child */

/* After fork: only calls that are safe there. First out of the way, then into place, so that no source is
 * overwritten. */
static void place_descriptors(const struct spawn *p)
{
	int aside[ASIDE];

	for (int i = 0; i < p->count; i++)
		aside[i] = p->fds[i] < 0 ? -1 : fcntl(p->fds[i], F_DUPFD_CLOEXEC, ASIDE);
	for (int i = 0; i < p->count; i++) {
		if (aside[i] >= 0)
			dup2(aside[i], FIRST_FD + i);
		else
			close(FIRST_FD + i);
	}
	close_range((unsigned)(FIRST_FD + p->count), ~0u, 0);
}

static void reset_signals(void)
{
	sigset_t none;

	for (int n = 1; n < NSIG; n++)
		signal(n, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static void close_standard(void)
{
	int null = open("/dev/null", O_RDWR);

	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
}

static void __attribute__((noreturn)) run(const struct spawn *p)
{
	reset_signals();
	if (p->quiet)
		close_standard();
	if (p->silent)
		dup2(STDIN_FILENO, STDERR_FILENO);
	place_descriptors(p);
	execve(p->file, p->argv, p->envp);
	_exit(127);
}

pid_t spawn_program(const struct spawn *p, struct err *err)
{
	pid_t pid;

	if (p->count >= ASIDE - FIRST_FD) {
		err_set(err, "%s: too many listening sockets", p->file);
		return -1;
	}
	pid = fork();
	if (pid == 0)
		run(p);
	if (pid < 0)
		err_errno(err, "fork for %s", p->file);
	return pid;
}

struct environment {
	char **list;
	size_t n;
};

static void add(struct environment *e, char *owned)
{
	e->list = x_realloc(e->list, (e->n + 2) * sizeof(char *));
	e->list[e->n++] = owned;
	e->list[e->n] = NULL;
}

/* MAIL_CONFIG and PATH are ours to set. */
static void import_name(struct environment *e, struct str name)
{
	char *text = x_strndup(name.p, name.n);
	const char *value = getenv(text);

	if (value && !str_is(name, "MAIL_CONFIG") && !str_is(name, "PATH"))
		add(e, x_asprintf("%s=%s", text, value));
	x_free(&text);
}

static void import_word(struct environment *e, struct str word)
{
	ptrdiff_t eq = str_find(word, '=');
	struct str name = str_trim(str_first(word, eq < 0 ? word.n : (size_t)eq));
	struct str value = str_trim(str_from(word, (size_t)(eq + 1)));

	if (eq < 0)
		import_name(e, name);
	else if (name.n > 0)
		add(e, x_asprintf(STR_FMT "=" STR_FMT, STR_ARG(name), STR_ARG(value)));
}

static struct str without_braces(struct str word)
{
	if (word.n >= 2 && word.p[0] == '{' && word.p[word.n - 1] == '}')
		return str_trim(str_first(str_from(word, 1), word.n - 2));
	return word;
}

char **spawn_environment(const char *import, const char *config_dir)
{
	struct environment e = {0};
	struct str rest = str_c(import), word;

	add(&e, x_asprintf("MAIL_CONFIG=%s", config_dir));
	add(&e, x_strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"));
	while (str_group(&rest, ", \t\r\n", &word))
		import_word(&e, without_braces(word));
	return e.list;
}

void spawn_free_environment(char ***envp)
{
	for (char **p = *envp; p && *p; p++)
		x_free(p);
	x_free(envp);
}
