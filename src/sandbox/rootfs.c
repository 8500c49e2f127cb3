#include "sandbox/rootfs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/read_file.h"
#include "sandbox/files.h"

enum { MOUNTINFO_MAX = 4 * 1024 * 1024 };

/* Part 1: the host's disks, copy-on-write. */

static bool has_prefix(const char *path, const char *dir)
{
	size_t len = strlen(dir);
	return strncmp(path, dir, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

/* What is not a disk, or is made anew, or is another container's. */
static bool is_skipped(const char *at, const char *type)
{
	static const char *const places[] = {"/proc",
					     "/sys",
					     "/dev",
					     "/run",
					     "/tmp",
					     "/var/run",
					     "/etc/hosts",
					     "/etc/hostname",
					     "/etc/resolv.conf",
					     "/var/lib/docker",
					     "/var/lib/containers",
					     "/var/lib/kubelet"};
	static const char *const types[] = {
		"proc",    "sysfs",       "devtmpfs",        "devpts",     "cgroup",
		"cgroup2", "autofs",      "debugfs",         "tracefs",    "securityfs",
		"pstore",  "bpf",         "mqueue",          "hugetlbfs",  "configfs",
		"fusectl", "binfmt_misc", "efivarfs",        "rpc_pipefs", "nsfs",
		"overlay", "fuse.lxcfs",  "fuse.gvfsd-fuse", "fuse.portal"};
	for (size_t i = 0; i < N_ELEMS(places); i++)
		if (has_prefix(at, places[i]))
			return true;
	for (size_t i = 0; i < N_ELEMS(types); i++)
		if (strcmp(type, types[i]) == 0)
			return true;
	return strcmp(at, "/") == 0;
}

static bool is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* proc_pid_mountinfo(5): blanks and the like stand as \ooo. */
static void unescape(char *s)
{
	char *to = s;
	for (const char *at = s; *at; at++) {
		if (at[0] == '\\' && is_octal(at[1]) && is_octal(at[2]) && is_octal(at[3])) {
			*to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

static bool overlay(const char *lower, const char *layer, unsigned n, const char *target,
		    struct err *err)
{
	char up[NODE_PATH_LEN], work[NODE_PATH_LEN], options[3 * PATH_MAX];
	if (!path_make(up, err, "%s/%u", layer, n) || !folders_make(up, 0755, err) ||
	    !path_make(up, err, "%s/%u/up", layer, n) || !folders_make(up, 0755, err) ||
	    !path_make(work, err, "%s/%u/work", layer, n) || !folders_make(work, 0755, err))
		return false;
	/* The top folder of an overlay is that of its upper layer. */
	struct stat st;
	if (stat(lower, &st) < 0)
		return err_sys(err, "%s", lower);
	if (chmod(up, st.st_mode & 07777) < 0 || chown(up, st.st_uid, st.st_gid) < 0)
		return err_sys(err, "%s", up);
	if (snprintf(options, sizeof(options), "lowerdir=%s,upperdir=%s,workdir=%s", lower, up,
		     work) >= (int)sizeof(options))
		return err_set(err, ERR_LIMIT, "path too long: %s", lower);
	if (mount("overlay", target, "overlay", MS_NODEV, options) < 0)
		return err_sys(err, "overlay over %s", lower);
	return true;
}

/* As it is, but not to be written to. */
static bool bind_read_only(const char *from, const char *target)
{
	return mount(from, target, NULL, MS_BIND, NULL) == 0 &&
	       mount(NULL, target, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0;
}

static void show_disk(const char *layer, const char *root, unsigned n, const char *at)
{
	char target[PATH_MAX];
	struct stat st;
	if (snprintf(target, sizeof(target), "%s%s", root, at) >= (int)sizeof(target) ||
	    stat(at, &st) < 0)
		return;                           /* hidden below another mount */
	bool plain = strpbrk(at, ",:\\") == NULL; /* means something in overlay's options */
	if (S_ISDIR(st.st_mode) && plain && overlay(at, layer, n, target, NULL))
		return;
	if (!bind_read_only(at, target))
		return; /* then it is not there: a container seldom needs the host's odd mounts */
}

static bool show_disks(const char *layer, const char *root, struct err *err)
{
	struct buf info;
	buf_init(&info, MOUNTINFO_MAX);
	if (!read_file("/proc/self/mountinfo", &info, err)) {
		buf_fini(&info);
		return false;
	}
	struct slice rest = buf_slice(&info);
	for (unsigned n = 1; rest.len; n++) {
		char line[2 * PATH_MAX], at[PATH_MAX], type[64];
		struct slice text = slice_cut(&rest, '\n');
		const char *after;
		if (text.len >= sizeof(line))
			continue; /* longer than the kernel's paths */
		memcpy(line, text.at, text.len);
		line[text.len] = '\0';
		after = strstr(line, " - ");
		if (sscanf(line, "%*s %*s %*s %*s %4095s", at) != 1 || !after ||
		    sscanf(after, " - %63s", type) != 1)
			continue; /* no line of that file looks so */
		unescape(at);
		if (!is_skipped(at, type))
			show_disk(layer, root, n, at);
	}
	buf_fini(&info);
	return true;
}

/* Part 2: what every container has of its own. Paths are still those of the node. */

static bool mount_at(const char *root, const char *where, const char *type, unsigned long flags,
		     const char *options, struct err *err)
{
	char target[NODE_PATH_LEN];
	if (!path_make(target, err, "%s%s", root, where) || !folders_make(target, 0755, err))
		return false;
	if (mount(type, target, type, flags, options) < 0)
		return err_sys(err, "mounting %s", where);
	return true;
}

static bool device_files(const char *root, struct err *err)
{
	static const char *const names[] = {"null", "zero", "full", "random", "urandom", "tty"};
	static const char *const links[][2] = {{"/proc/self/fd", "fd"},
					       {"/proc/self/fd/0", "stdin"},
					       {"/proc/self/fd/1", "stdout"},
					       {"/proc/self/fd/2", "stderr"},
					       {"pts/ptmx", "ptmx"}};
	char from[NODE_PATH_LEN], to[NODE_PATH_LEN];
	for (size_t i = 0; i < N_ELEMS(names); i++) {
		if (!path_make(from, err, "/dev/%s", names[i]) ||
		    !path_make(to, err, "%s/dev/%s", root, names[i]) ||
		    !file_write(to, (struct slice){0}, 0666, err))
			return false;
		/* Bound and not made: making devices is forbidden in many sandboxes. */
		if (mount(from, to, NULL, MS_BIND, NULL) < 0)
			return err_sys(err, "%s", from);
	}
	for (size_t i = 0; i < N_ELEMS(links); i++) {
		if (!path_make(to, err, "%s/dev/%s", root, links[i][1]))
			return false;
		if (symlink(links[i][0], to) < 0)
			return err_sys(err, "/dev/%s", links[i][1]);
	}
	return true;
}

/* Files of /proc through which root could change or read what is not the container's. */
static void guard_proc(const char *root)
{
	static const char *const read_only[] = {"sys", "sysrq-trigger", "irq",  "bus",
						"fs",  "acpi",          "scsi", "asound"};
	static const char *const hidden[] = {"kcore", "keys", "timer_list", "kmsg"};
	char target[NODE_PATH_LEN];
	for (size_t i = 0; i < N_ELEMS(read_only); i++)
		if (!path_make(target, NULL, "%s/proc/%s", root, read_only[i]) ||
		    !bind_read_only(target, target))
			continue; /* this kernel has no such file */
	for (size_t i = 0; i < N_ELEMS(hidden); i++)
		if (!path_make(target, NULL, "%s/proc/%s", root, hidden[i]) ||
		    mount("/dev/null", target, NULL, MS_BIND, NULL) < 0)
			continue; /* as above */
}

static bool own_mounts(const char *root, struct err *err)
{
	const unsigned long quiet = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	if (!mount_at(root, "/proc", "proc", quiet, NULL, err) ||
	    !mount_at(root, "/dev", "tmpfs", MS_NOSUID | MS_NODEV | MS_STRICTATIME,
		      "mode=755,size=64k", err) ||
	    !device_files(root, err) ||
	    !mount_at(root, "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
		      "newinstance,ptmxmode=0666,mode=620,gid=5", err) ||
	    !mount_at(root, "/dev/shm", "tmpfs", quiet, "mode=1777,size=64m", err) ||
	    !mount_at(root, "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755", err) ||
	    !mount_at(root, "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777", err))
		return false;
	struct err why = {0};
	char lock[NODE_PATH_LEN];
	if (!path_make(lock, err, "%s/run/lock", root) || !folders_make(lock, 0755, err))
		return false;
	if (chmod(lock, 01777) < 0)
		return err_sys(err, "/run/lock");
	/* Without these a container can do nearly everything; some sandboxes refuse them. */
	if (!mount_at(root, "/dev/mqueue", "mqueue", quiet, NULL, &why) ||
	    !mount_at(root, "/sys", "sysfs", quiet | MS_RDONLY, NULL, &why))
		why.kind = ERR_NONE;
	guard_proc(root);
	return true;
}

/* The host's folder AT, if it is seen in here at all, with nothing in it. */
static bool hide(const char *root, const char *at, struct err *err)
{
	char target[PATH_MAX];
	struct stat st;
	if (!at || !*at)
		return true;
	if (snprintf(target, sizeof(target), "%s%s", root, at) >= (int)sizeof(target))
		return err_set(err, ERR_LIMIT, "%s: the path is too long", at);
	if (lstat(target, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR || err_sys(err, "%s", at);
	if (mount("tmpfs", target, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY,
		  "mode=700,size=4k") < 0)
		return err_sys(err, "hiding %s", at);
	return true;
}

static bool etc_files(const struct rootfs_config *cfg, const char *root, struct err *err)
{
	char hostname[80];
	MUST(snprintf(hostname, sizeof(hostname), "%s\n", cfg->hostname) < (int)sizeof(hostname));
	const struct {
		const char *name, *text;
	} files[] = {
		{"hostname", hostname}, {"hosts", cfg->hosts}, {"resolv.conf", cfg->resolv_conf}};
	for (size_t i = 0; i < N_ELEMS(files); i++) {
		char path[NODE_PATH_LEN];
		if (!files[i].text)
			continue;
		if (!path_make(path, err, "%s/etc/%s", root, files[i].name) ||
		    !file_write(path, slice_of(files[i].text), 0644, err))
			return false;
	}
	return true;
}

/* Part 3: volumes. Their sources are picked up before the host's tree is left, and put into place
 * afterwards, when no link in a target can lead out of the container. */

static int open_below(int dir, const char *path, uint64_t flags)
{
	struct open_how how = {.flags = flags | O_CLOEXEC,
			       .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS};
	return (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
}

/* The folders of SUB below DIR, none of which may lead out of it; the last one is opened. */
static int make_below(int dir, const char *sub)
{
	struct slice rest = slice_of(sub);
	int at = dup(dir);
	while (at >= 0 && rest.len) {
		char name[NAME_MAX + 1];
		struct slice part = slice_cut(&rest, '/');
		if (part.len == 0)
			continue;
		if (part.len > NAME_MAX) {
			errno = ENAMETOOLONG;
			break;
		}
		memcpy(name, part.at, part.len);
		name[part.len] = '\0';
		int next = -1;
		if (mkdirat(at, name, 0755) == 0 || errno == EEXIST)
			next = open_below(at, name, O_PATH);
		int why = errno;
		(void)close(at); /* a folder */
		errno = why;
		at = next;
	}
	return at;
}

static int pick_up(const struct container_mount *m, struct err *err)
{
	int source = open(m->source, O_PATH | O_CLOEXEC);
	if (source < 0) {
		(void)err_sys(err, "%s", m->source); /* -1 says so too */
		return -1;
	}
	if (m->sub_path && *m->sub_path) {
		int sub = open_below(source, m->sub_path, O_PATH);
		if (sub < 0 && errno == ENOENT)
			sub = make_below(source, m->sub_path);
		if (sub < 0)
			(void)err_sys(err, "subPath %s of %s", m->sub_path,
				      m->source); /* as above */
		(void)close(source);              /* a folder */
		source = sub;
	}
	if (source < 0)
		return -1;
	int tree = open_tree(source, "",
			     AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree < 0)
		(void)err_sys(err, "%s", m->source); /* as above */
	(void)close(source);                         /* a folder */
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (tree >= 0 && m->read_only &&
	    mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0) {
		(void)err_sys(err, "making %s read-only", m->source); /* as above */
		(void)close(tree);                                    /* a mount handle */
		return -1;
	}
	return tree;
}

static bool put_down(const struct container_mount *m, int tree, struct err *err)
{
	struct stat source, target;
	if (!m->source) {
		if (!folders_make(m->target, 0755, err))
			return false;
		if (mount("tmpfs", m->target, "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777") < 0)
			return err_sys(err, "tmpfs");
		return true;
	}
	if (fstatat(tree, "", &source, AT_EMPTY_PATH) < 0)
		return err_sys(err, "%s", m->source);
	if (S_ISDIR(source.st_mode)) {
		if (!folders_make(m->target, 0755, err))
			return false;
	} else if (stat(m->target, &target) < 0) {
		if (!folders_above(m->target, 0755, err) ||
		    !file_write(m->target, (struct slice){0}, 0644, err))
			return false;
	} else if (S_ISDIR(target.st_mode)) {
		return err_set(err, ERR_CONFLICT, "%s is a file and the place for it a folder",
			       m->source);
	}
	if (move_mount(tree, "", AT_FDCWD, m->target, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_sys(err, "mount");
	return true;
}

static bool check_mount(const struct container_mount *m, struct err *err)
{
	struct slice rest = slice_of(m->sub_path);
	if (m->target[0] != '/' || m->target[1] == '\0')
		return err_set(err, ERR_BAD_INPUT, "expected an absolute path below /");
	if (rest.len && rest.at[0] == '/')
		return err_set(err, ERR_BAD_INPUT, "subPath %s: expected a relative path",
			       m->sub_path);
	while (rest.len)
		if (slice_is(slice_cut(&rest, '/'), ".."))
			return err_set(err, ERR_BAD_INPUT, "subPath %s: must not contain ..",
				       m->sub_path);
	return true;
}

struct picked_up {
	const struct container_mount *m;
	int tree;
};

/* What is mounted inside another mount comes after it. */
static int by_depth(const void *a, const void *b)
{
	const struct picked_up *x = a, *y = b;
	size_t lx = strlen(x->m->target), ly = strlen(y->m->target);
	return lx < ly ? -1 : lx > ly;
}

static struct picked_up *pick_up_all(const struct rootfs_config *cfg, struct err *err)
{
	struct picked_up *all = mem_array(cfg->n_mounts + 1, sizeof(*all));
	for (size_t i = 0; i < cfg->n_mounts; i++) {
		const struct container_mount *m = &cfg->mounts[i];
		all[i] = (struct picked_up){m, -1};
		if (check_mount(m, err) && (!m->source || (all[i].tree = pick_up(m, err)) >= 0))
			continue;
		(void)err_wrap(err, "mount %s", m->target); /* NULL says so too */
		free(all);                                  /* the process ends with its handles */
		return NULL;
	}
	qsort(all, cfg->n_mounts, sizeof(*all), by_depth);
	return all;
}

static bool put_down_all(const struct rootfs_config *cfg, struct picked_up *all, struct err *err)
{
	for (size_t i = 0; i < cfg->n_mounts; i++) {
		if (!put_down(all[i].m, all[i].tree, err))
			return err_wrap(err, "mount %s", all[i].m->target);
		if (all[i].tree >= 0)
			(void)close(all[i].tree); /* a mount handle */
	}
	return true;
}

static bool pivot(const char *root, struct err *err)
{
	/* pivot_root(2): "." over ".", so that no folder for the old root is needed. */
	if (chdir(root) < 0 || syscall(SYS_pivot_root, ".", ".") < 0 ||
	    umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return err_sys(err, "entering the file system");
	return true;
}

bool rootfs_enter(const struct rootfs_config *cfg, struct err *err)
{
	char root[NODE_PATH_LEN];
	if (!path_make(root, err, "%s/root", cfg->layer) || !folders_make(root, 0755, err))
		return false;
	struct picked_up *volumes = pick_up_all(cfg, err);
	if (!volumes)
		return false;
	bool ok = overlay("/", cfg->layer, 0, root, err) && show_disks(cfg->layer, root, err) &&
		  own_mounts(root, err) && hide(root, cfg->hidden, err) &&
		  etc_files(cfg, root, err) && pivot(root, err) && put_down_all(cfg, volumes, err);
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	if (ok && cfg->read_only && mount_setattr(AT_FDCWD, "/", 0, &attr, sizeof(attr)) < 0)
		ok = err_sys(err, "making / read-only");
	free(volumes);
	return ok;
}
