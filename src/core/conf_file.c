/* Reads the files that a configuration names, and looks at who else may read or write them. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include "conf_internal.h"
#include "snowgate/crypt.h"
#include "snowgate/file.h"

const char *conf_getenv(const struct loading *l, const char *name)
{
	return l->sealed ? NULL : getenv(name);
}

struct slice conf_read_file(struct loading *l, const char *path, size_t ceiling, int *error)
{
	struct slice none = {NULL, 0};
	size_t n = 0;
	*error = EPERM;
	if (l->sealed)
		return none;
	char *data = file_read(path, ceiling, &n);
	*error = data ? 0 : errno;
	return data ? (struct slice){data, n} : none;
}

const char *conf_read_error(int error)
{
	return error == EFBIG ? "it is too large" : error == EINVAL ? "it is no regular file" : strerror(error);
}

void secret_free(struct slice s)
{
	if (!s.data)
		return;
	crypt_wipe((char *)s.data, s.n);
	free((char *)s.data);
}

bool file_check_mode(struct loading *l, const char *path, bool secret, const struct node *at, const char *key)
{
	struct stat st;
	if (l->sealed || stat(path, &st) != 0 || !S_ISREG(st.st_mode))
		return true;
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		conf_fault(l, at, key, "%s may be written by group or others (mode %03o); run: chmod go-w %s", path,
			   (unsigned)st.st_mode & 0777, path);
		return false;
	}
	if (secret && (st.st_mode & (S_IRGRP | S_IROTH)))
		conf_warn(l, at, key,
			  "%s holds secrets and may be read by group or others (mode %03o); run: chmod 600 %s", path,
			  (unsigned)st.st_mode & 0777, path);
	return true;
}

const char *path_home(struct loading *l, const char *path)
{
	const char *home = conf_getenv(l, "HOME");
	if (path[0] != '~' || path[1] != '/' || !home)
		return path;
	return conf_text(l, "%.4096s%.4096s", home, path + 1);
}

const char *path_resolve(struct loading *l, const char *path, const char *file)
{
	path = path_home(l, path);
	const char *slash = file ? strrchr(file, '/') : NULL;
	if (!*path || *path == '/' || !slash)
		return path;
	return conf_text(l, "%.*s%.4096s", (int)(slash + 1 - file), file, path);
}

const char *secret_read(struct loading *l, const char *path, const struct node *at, const char *key)
{
	int error;
	struct slice text = conf_read_file(l, path, CONF_SECRET_BYTES, &error);
	if (!text.data) {
		conf_fault(l, at, key, "cannot read %s: %s", path, conf_read_error(error));
		return NULL;
	}
	size_t n = text.n;
	while (n && (text.data[n - 1] == '\n' || text.data[n - 1] == '\r'))
		n--;
	const char *secret = NULL;
	if (!n)
		conf_fault(l, at, key, "%s is empty; write the secret into it", path);
	else if (memchr(text.data, '\0', n))
		conf_fault(l, at, key, "%s is not a text file", path);
	else if (file_check_mode(l, path, true, at, key))
		secret = memcpy(conf_need(l->arena, n + 1), text.data, n);
	secret_free(text);
	return secret;
}
