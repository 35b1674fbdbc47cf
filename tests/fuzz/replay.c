/* Runs a harness once for each file named, or for each file of a directory named: replays a corpus or a crash
 * without libFuzzer. */
#include <dirent.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/sys.h"

#define INPUT_MAX (64 * 1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	struct buf input = BUF(INPUT_MAX);
	struct err err;
	bool ok = sys_read_file(path, &input, &err);

	if (ok)
		LLVMFuzzerTestOneInput((const uint8_t *)buf_cstr(&input), input.len);
	else
		fprintf(stderr, "%s\n", err.text);
	buf_free(&input);
	return ok ? 0 : 1;
}

static int replay(const char *path)
{
	struct stat st;
	struct dirent *e;
	DIR *dir = stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
	int status = 0;

	if (!dir)
		return replay_file(path);
	while ((e = readdir(dir))) {
		char *file = x_asprintf("%s/%s", path, e->d_name);

		if (e->d_name[0] != '.')
			status |= replay_file(file);
		x_free(&file);
	}
	closedir(dir);
	return status;
}

int main(int argc, char **argv)
{
	int status = 0;

	for (int i = 1; i < argc; i++)
		status |= replay(argv[i]);
	return status;
}
