#include "service/service_args.h"

#include <getopt.h>

#include "base/mem.h"
#include "base/str.h"

#define OWN_LETTERS "c:n:t:ujfm:s:i:w:vo:"
#define COUNT_MAX 1000000

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static bool parse_type(const char *text, enum service_type *out, struct err *err)
{
	static const enum service_type types[] = {
		SERVICE_INET, SERVICE_UNIX, SERVICE_FIFO, SERVICE_PASS, SERVICE_UNIX_DGRAM};

	for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
		if (strcmp(text, service_type_name(types[i])) == 0) {
			*out = types[i];
			return true;
		}
	}
	return err_set(err, "unknown service type \"%s\"", text);
}

static bool parse_number(int letter, const char *text, int *out, struct err *err)
{
	int64_t n;

	if (!str_to_i64(str_c(text), -1, COUNT_MAX, &n))
		return err_set(err, "bad number \"%s\" for option -%c", text, letter);
	*out = (int)n;
	return true;
}

static bool add_override(struct service_args *a, const char *text, struct err *err)
{
	const char *eq = strchr(text, '=');

	if (!eq || eq == text)
		return err_set(err, "option -o needs name=value, not \"%s\"", text);
	a->overrides = x_realloc(a->overrides, (a->override_count + 1) * sizeof *a->overrides);
	a->overrides[a->override_count++] =
		(struct config_pair){x_strndup(text, (size_t)(eq - text)), x_strdup(eq + 1)};
	return true;
}

static bool take_option(struct service_args *a, int letter, const char *value, struct err *err)
{
	switch (letter) {
	case 'c':
		a->config_dir = value;
		return true;
	case 'n':
		a->name = value;
		return true;
	case 't':
		return parse_type(value, &a->type, err);
	case 'u':
		return a->unprivileged = true;
	case 'j':
		return a->chroot = true;
	case 'f':
		return a->log_fd = true;
	case 'm':
		return parse_number(letter, value, &a->slots, err);
	case 's':
		return parse_number(letter, value, &a->listeners, err);
	case 'i':
		return parse_number(letter, value, &a->service, err);
	case 'w':
		return parse_number(letter, value, &a->worker, err);
	case 'v':
		a->verbose++;
		return true;
	case 'o':
		return add_override(a, value, err);
	default:
		return err_set(err, "unknown option");
	}
}

bool service_args_parse(int argc, char **argv, const char *extra, service_option_fn option, void *arg,
	struct service_args *out, struct err *err)
{
	char *letters = x_asprintf("+%s%s", OWN_LETTERS, extra ? extra : "");
	bool ok = true;
	int c;

	*out = (struct service_args){.program = base_name(argv[0]), .slots = 1, .service = -1, .worker = -1};
	while (ok && (c = getopt(argc, argv, letters)) != -1) {
		if (strchr(OWN_LETTERS, c) || !extra || !strchr(extra, c))
			ok = take_option(out, c, optarg, err);
		else if (option)
			option(arg, c, optarg);
	}
	x_free(&letters);
	out->rest = argv + optind;
	if (ok && !out->name)
		ok = err_set(err, "no service name: this program is started by master");
	return ok;
}

void service_args_free(struct service_args *a)
{
	for (size_t i = 0; i < a->override_count; i++) {
		free((void *)(uintptr_t)a->overrides[i].name);
		free((void *)(uintptr_t)a->overrides[i].value);
	}
	x_free(&a->overrides);
	a->override_count = 0;
}

struct argv {
	char **list;
	size_t n;
};

static void argv_add(struct argv *v, char *owned)
{
	v->list = x_realloc(v->list, (v->n + 2) * sizeof *v->list);
	v->list[v->n++] = owned;
	v->list[v->n] = NULL;
}

static void argv_flag(struct argv *v, bool on, const char *flag)
{
	if (on)
		argv_add(v, x_strdup(flag));
}

static void argv_text(struct argv *v, const char *flag, const char *value)
{
	if (!value)
		return;
	argv_add(v, x_strdup(flag));
	argv_add(v, x_strdup(value));
}

static void argv_number(struct argv *v, const char *flag, int value)
{
	argv_add(v, x_strdup(flag));
	argv_add(v, x_asprintf("%d", value));
}

char **service_argv_make(const struct service_args *a, char *const *own)
{
	struct argv v = {0};

	argv_add(&v, x_strdup(a->program));
	argv_text(&v, "-n", a->name);
	argv_text(&v, "-t", service_type_name(a->type));
	argv_text(&v, "-c", a->config_dir);
	argv_flag(&v, a->unprivileged, "-u");
	argv_flag(&v, a->chroot, "-j");
	argv_flag(&v, a->log_fd, "-f");
	argv_number(&v, "-m", a->slots);
	argv_number(&v, "-s", a->listeners);
	argv_number(&v, "-i", a->service);
	argv_number(&v, "-w", a->worker);
	for (int i = 0; i < a->verbose; i++)
		argv_add(&v, x_strdup("-v"));
	for (size_t i = 0; i < a->override_count; i++) {
		argv_add(&v, x_strdup("-o"));
		argv_add(&v, x_asprintf("%s=%s", a->overrides[i].name, a->overrides[i].value));
	}
	for (; own && *own; own++)
		argv_add(&v, x_strdup(*own));
	return v.list;
}

void service_argv_free(char ***argv)
{
	for (char **p = *argv; p && *p; p++)
		x_free(p);
	x_free(argv);
}
