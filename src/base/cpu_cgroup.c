/* base/cpu_cgroup: what the control groups of this process grant it.
 *
 *   /proc/self/mountinfo   where each hierarchy is mounted, and which of its folders that mount shows as its root
 *   /proc/self/cgroup      the group of this process in each hierarchy
 *   group folder = mount point + (group's path below the mount's root); a limit may stand there or on any level above
 * it
 *
 * Version 2 (Documentation/admin-guide/cgroup-v2.rst): cpu.max, memory.max, memory.high, memory.current. Version 1
 * (admin-guide/cgroup-v1): cpu.cfs_quota_us / cpu.cfs_period_us, memory.limit_in_bytes, memory.usage_in_bytes. Both may
 * be mounted at once, each with its own controllers. */
#include "base/cpu_sys.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cgroup_want {
  const char *root;       /* stands for "/" */
  const char *controller; /* version 1's name: "cpu", "memory" */
  bool v2;
} cgroup_want;
/* Called for a group's folder and each one above it, down to the mount point. */
typedef void (*cgroup_visit)(const cgroup_want *want, const char *folder, void *arg);

/* Whether `word` is one of the comma-separated words of `list`. */
static bool cgroup_listed(const char *list, const char *word) {
  size_t n = strlen(word);
  for (const char *at = list; at; at = strchr(at, ',')) {
    if (*at == ',') at++;
    if (!strncmp(at, word, n) && (at[n] == ',' || !at[n])) return true;
  }
  return false;
}

/* Splits off the next word; NULL at the end. */
static char *cgroup_word(char **rest) {
  char *word = *rest;
  if (!word) return NULL;
  char *space = strchr(word, ' ');
  if (space) *space++ = 0;
  *rest = space;
  return word;
}

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void cgroup_unescape(char *text) {
  char *to = text;
  for (const char *from = text; *from; to++) {
    if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' &&
        from[3] <= '7') {
      *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
      from += 4;
    } else {
      *to = *from++;
    }
  }
  *to = 0;
}

/* The path of this process's group in the wanted hierarchy. */
static bool cgroup_path(const cgroup_want *want, char *path, size_t size) {
  cpu_lines lines;
  char line[CPU_SYS_PATH];
  bool found = false;
  if (!cpu_lines_open(&lines, want->root, "/proc/self/cgroup")) return false;
  while (!found && cpu_lines_next(&lines, line, sizeof line)) {
    char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) continue;
    *group++ = 0;
    controllers++;
    found = want->v2 ? !*controllers : cgroup_listed(controllers, want->controller);
    if (found) snprintf(path, size, "%s", group);
  }
  cpu_lines_close(&lines);
  return found;
}

/* Visits `mount` + `below` and every folder between. `below` is "" or "/a/b". */
static void cgroup_climb(const cgroup_want *want, const char *mount, const char *below, cgroup_visit visit, void *arg) {
  char folder[CPU_SYS_PATH];
  int n = snprintf(folder, sizeof folder, "%s%s", mount, below);
  if (n < 0 || (size_t)n >= sizeof folder) return;
  size_t floor = strlen(mount), at = (size_t)n;
  while (at > floor && folder[at - 1] == '/') folder[--at] = 0;
  for (;;) {
    visit(want, folder, arg);
    if (at == floor) return;
    while (at > floor && folder[at - 1] != '/') at--;
    while (at > floor && folder[at - 1] == '/') at--;
    folder[at] = 0;
  }
}

static void cgroup_visit_mounts(const cgroup_want *want, const char *path, cgroup_visit visit, void *arg) {
  cpu_lines lines;
  char line[CPU_SYS_PATH];
  if (!cpu_lines_open(&lines, want->root, "/proc/self/mountinfo")) return;
  while (cpu_lines_next(&lines, line, sizeof line)) {
    /* 36 35 98:0 ROOT MOUNT options [fields] - TYPE source SUPER_OPTIONS */
    char *rest = line, *root = NULL, *mount = NULL, *word;
    for (int i = 0; i < 5 && (word = cgroup_word(&rest)); i++) {
      if (i == 3) root = word;
      if (i == 4) mount = word;
    }
    while ((word = cgroup_word(&rest)) && strcmp(word, "-")) continue;
    char *type = cgroup_word(&rest), *source = cgroup_word(&rest), *options = cgroup_word(&rest);
    if (!root || !mount || !type || !source || strcmp(type, want->v2 ? "cgroup2" : "cgroup")) continue;
    if (!want->v2 && (!options || !cgroup_listed(options, want->controller))) continue;
    cgroup_unescape(root);
    cgroup_unescape(mount);
    /* A group that the mount does not show (a container's view from outside) is judged by the mount's own root. */
    size_t n = strcmp(root, "/") ? strlen(root) : 0;
    bool shown = !strncmp(path, root, n) && (path[n] == '/' || !path[n]) && !strstr(path, "/..");
    cgroup_climb(want, strcmp(mount, "/") ? mount : "", shown ? path + n : "", visit, arg);
  }
  cpu_lines_close(&lines);
}

static void cgroup_each_level(const char *root, const char *controller, cgroup_visit visit, void *arg) {
  for (int v2 = 0; v2 < 2; v2++) {
    cgroup_want want = {.root = root, .controller = controller, .v2 = v2 != 0};
    char path[CPU_SYS_PATH];
    if (cgroup_path(&want, path, sizeof path)) cgroup_visit_mounts(&want, path, visit, arg);
  }
}

static bool cgroup_text(const cgroup_want *want, const char *folder, const char *file, char *text, size_t size) {
  char path[CPU_SYS_PATH + 64];
  snprintf(path, sizeof path, "%s/%s", folder, file);
  return cpu_sys_text(want->root, path, text, size);
}

/* A file of one number; "max", an absent file and version 1's largest number are "no limit". */
static uint64_t cgroup_bytes(const cgroup_want *want, const char *folder, const char *file) {
  char text[64], *end;
  if (!cgroup_text(want, folder, file, text, sizeof text)) return UINT64_MAX;
  unsigned long long n = strtoull(text, &end, 10);
  return end == text || *end || n > UINT64_MAX / 4 ? UINT64_MAX : n;
}

static void cgroup_quota_level(const cgroup_want *want, const char *folder, void *arg) {
  double *quota = arg;
  char text[64], *end;
  long long granted = 0, period = 0;
  if (want->v2) {
    if (!cgroup_text(want, folder, "cpu.max", text, sizeof text)) return;
    granted = strtoll(text, &end, 10); /* "max 100000": no number */
    if (end == text) return;
    period = strtoll(end, NULL, 10);
  } else {
    if (!cgroup_text(want, folder, "cpu.cfs_quota_us", text, sizeof text)) return;
    granted = strtoll(text, NULL, 10); /* -1: no limit */
    if (!cgroup_text(want, folder, "cpu.cfs_period_us", text, sizeof text)) return;
    period = strtoll(text, NULL, 10);
  }
  if (granted <= 0 || period <= 0) return;
  double cpus = (double)granted / (double)period;
  if (!*quota || cpus < *quota) *quota = cpus;
}

double cpu_cgroup_quota(const char *root) {
  double quota = 0;
  cgroup_each_level(root, "cpu", cgroup_quota_level, &quota);
  return quota;
}

/* The page cache that the group could give back at once. */
static uint64_t cgroup_inactive(const cgroup_want *want, const char *folder) {
  char path[CPU_SYS_PATH + 64], line[128];
  const char *key = want->v2 ? "inactive_file " : "total_inactive_file ";
  uint64_t bytes = 0;
  cpu_lines lines;
  snprintf(path, sizeof path, "%s/memory.stat", folder);
  if (!cpu_lines_open(&lines, want->root, path)) return 0;
  while (!bytes && cpu_lines_next(&lines, line, sizeof line))
    if (!strncmp(line, key, strlen(key))) bytes = strtoull(line + strlen(key), NULL, 10);
  cpu_lines_close(&lines);
  return bytes;
}

static void cgroup_memory_level(const cgroup_want *want, const char *folder, void *arg) {
  uint64_t *least = arg;
  uint64_t limit = cgroup_bytes(want, folder, want->v2 ? "memory.max" : "memory.limit_in_bytes");
  if (want->v2) {
    uint64_t high = cgroup_bytes(want, folder, "memory.high"); /* beyond it the group is slowed down */
    if (high < limit) limit = high;
  }
  if (limit == UINT64_MAX) return;
  uint64_t used = cgroup_bytes(want, folder, want->v2 ? "memory.current" : "memory.usage_in_bytes");
  if (used == UINT64_MAX) used = 0;
  uint64_t inactive = cgroup_inactive(want, folder);
  used = used > inactive ? used - inactive : 0;
  uint64_t left = limit > used ? limit - used : 0;
  if (left < *least) *least = left;
}

uint64_t cpu_cgroup_memory(const char *root) {
  uint64_t least = UINT64_MAX;
  cgroup_each_level(root, "memory", cgroup_memory_level, &least);
  return least;
}

uint64_t cpu_memory_read(const char *root) {
  uint64_t least = cpu_cgroup_memory(root);
  cpu_lines lines;
  char line[128];
  if (!cpu_lines_open(&lines, root, "/proc/meminfo")) return least;
  while (cpu_lines_next(&lines, line, sizeof line)) {
    if (strncmp(line, "MemAvailable:", 13)) continue;
    uint64_t kib = strtoull(line + 13, NULL, 10);
    if (kib < UINT64_MAX / 1024 && kib * 1024 < least) least = kib * 1024;
    break;
  }
  cpu_lines_close(&lines);
  return least;
}
