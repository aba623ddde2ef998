/* base/cpu_sys: see cpu_sys.h. Topology and caches are what the kernel exports below /sys/devices/system/cpu
 * (Documentation/ABI/testing/sysfs-devices-system-cpu). */
#include "base/cpu_sys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A processor is "big" when its capacity is at least 60 % of the largest (a prime core does not make the others small),
 * or, where only frequencies are known, 80 % (cores of one kind differ by some turbo steps). */
enum { CPU_BIG_CAPACITY_PERCENT = 60, CPU_BIG_FREQUENCY_PERCENT = 80 };

int cpu_mask_count(const cpu_mask *m) {
  int n = 0;
  for (int i = 0; i < CPU_MASK_BITS / 64; i++) n += __builtin_popcountll(m->words[i]);
  return n;
}

cpu_mask cpu_mask_parse(const char *list) {
  cpu_mask m = {{0}};
  while (*list >= '0' && *list <= '9') {
    char *end;
    long first = strtol(list, &end, 10), last = first;
    if (*end == '-') last = strtol(end + 1, &end, 10);
    if (last >= CPU_MASK_BITS) last = CPU_MASK_BITS - 1;
    for (long cpu = first; cpu <= last; cpu++) cpu_mask_add(&m, (int)cpu);
    if (*end != ',') break;
    list = end + 1;
  }
  return m;
}

static int cpu_sys_open(const char *root, const char *path) {
  char whole[CPU_SYS_PATH + 256];
  int n = snprintf(whole, sizeof whole, "%s%s", root, path);
  if (n < 0 || (size_t)n >= sizeof whole) return -1;
  return open(whole, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

static ssize_t cpu_sys_read(int file, void *to, size_t size) {
  ssize_t n;
  do n = read(file, to, size);
  while (n < 0 && errno == EINTR);
  return n;
}

bool cpu_sys_text(const char *root, const char *path, char *text, size_t size) {
  int file = cpu_sys_open(root, path);
  if (file < 0) return false;
  size_t used = 0;
  ssize_t n = 0;
  while (used < size && (n = cpu_sys_read(file, text + used, size - used)) > 0) used += (size_t)n;
  close(file);
  if (n < 0 || used >= size) return false;
  while (used && (text[used - 1] == '\n' || !text[used - 1])) used--;
  text[used] = 0;
  return true;
}

bool cpu_sys_number(const char *root, const char *path, int64_t *ret_number) {
  char text[64], *end;
  if (!cpu_sys_text(root, path, text, sizeof text)) return false;
  errno = 0;
  long long n = strtoll(text, &end, 10);
  if (end == text || *end || errno) return false;
  *ret_number = n;
  return true;
}

bool cpu_lines_open(cpu_lines *l, const char *root, const char *path) {
  l->file = cpu_sys_open(root, path);
  l->used = l->size = 0;
  return l->file >= 0;
}

char *cpu_lines_next(cpu_lines *l, char *line, size_t size) {
  size_t n = 0;
  for (bool any = false;; any = true) {
    if (l->used == l->size) {
      ssize_t got = cpu_sys_read(l->file, l->buffer, sizeof l->buffer);
      if (got <= 0) {
        line[n] = 0;
        return any ? line : NULL;
      }
      l->used = 0;
      l->size = (size_t)got;
    }
    char c = l->buffer[l->used++];
    if (c == '\n') break;
    if (n + 1 < size) line[n++] = c;
  }
  line[n] = 0;
  return line;
}

void cpu_lines_close(cpu_lines *l) {
  if (l->file >= 0) close(l->file);
  l->file = -1;
}

static bool cpu_number_of(const char *root, int cpu, const char *name, int64_t *ret_number) {
  char path[128];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, name);
  return cpu_sys_number(root, path, ret_number);
}

/* The processors of `allowed` whose number `name` is at least `percent` of the largest; false unless all have one. */
static bool cpu_big_by(const char *root, const cpu_mask *allowed, const char *name, int percent, cpu_mask *ret_big) {
  int64_t largest = 0, n;
  for (int cpu = 0; cpu < CPU_MASK_BITS; cpu++) {
    if (!cpu_mask_has(allowed, cpu)) continue;
    if (!cpu_number_of(root, cpu, name, &n) || n <= 0 || n > INT64_MAX / 100) return false;
    if (n > largest) largest = n;
  }
  *ret_big = (cpu_mask){{0}};
  for (int cpu = 0; cpu < CPU_MASK_BITS; cpu++)
    if (cpu_mask_has(allowed, cpu) && cpu_number_of(root, cpu, name, &n) && n * 100 >= largest * percent)
      cpu_mask_add(ret_big, cpu);
  return largest > 0;
}

/* Intel's hybrid processors name their performance cores. */
static bool cpu_big_hybrid(const char *root, const cpu_mask *allowed, cpu_mask *ret_big) {
  char list[1024];
  if (!cpu_sys_text(root, "/sys/devices/cpu_core/cpus", list, sizeof list)) return false;
  cpu_mask big = cpu_mask_parse(list);
  for (int i = 0; i < CPU_MASK_BITS / 64; i++) big.words[i] &= allowed->words[i];
  if (!cpu_mask_count(&big)) return false;
  *ret_big = big;
  return true;
}

static cpu_mask cpu_big(const char *root, const cpu_mask *allowed) {
  cpu_mask big;
  if (cpu_big_hybrid(root, allowed, &big)) return big;
  if (cpu_big_by(root, allowed, "cpu_capacity", CPU_BIG_CAPACITY_PERCENT, &big)) return big;
  if (cpu_big_by(root, allowed, "cpufreq/cpuinfo_max_freq", CPU_BIG_FREQUENCY_PERCENT, &big)) return big;
  return *allowed;
}

/* Hyper-threads count for the first of them that is in the mask. */
static int cpu_cores(const char *root, const cpu_mask *m) {
  int n = 0;
  for (int cpu = 0; cpu < CPU_MASK_BITS; cpu++) {
    if (!cpu_mask_has(m, cpu)) continue;
    char path[128], list[1024];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/thread_siblings_list", cpu);
    bool first = true;
    if (cpu_sys_text(root, path, list, sizeof list)) {
      cpu_mask siblings = cpu_mask_parse(list);
      for (int other = 0; other < cpu && first; other++)
        if (cpu_mask_has(&siblings, other) && cpu_mask_has(m, other)) first = false;
    }
    n += first;
  }
  return n;
}

cpu_topology cpu_topology_read(const char *root, const cpu_mask *allowed) {
  char list[1024];
  cpu_topology t = {.allowed = cpu_mask_count(allowed)};
  cpu_mask big = cpu_big(root, allowed);
  t.big = cpu_mask_count(&big);
  t.cores = cpu_cores(root, &big);
  if (cpu_sys_text(root, "/sys/devices/system/cpu/online", list, sizeof list)) {
    cpu_mask online = cpu_mask_parse(list);
    t.online = cpu_mask_count(&online);
  }
  if (t.online < t.allowed) t.online = t.allowed;
  t.quota = cpu_cgroup_quota(root);
  return t;
}

/* "48K" and the like to bytes; 0 where malformed. */
static size_t cpu_size_parse(const char *text) {
  char *end;
  unsigned long long n = strtoull(text, &end, 10);
  unsigned shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
  return end == text || n > SIZE_MAX >> shift ? 0 : (size_t)n << shift;
}

static cpu_caches cpu_caches_of(const char *root, int cpu) {
  cpu_caches c = {0};
  for (int i = 0; i < 16; i++) {
    char name[64], path[128], type[32], size[32];
    int64_t level;
    snprintf(name, sizeof name, "cache/index%d/level", i);
    if (!cpu_number_of(root, cpu, name, &level)) break;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/type", cpu, i);
    if (!cpu_sys_text(root, path, type, sizeof type) || !strcmp(type, "Instruction")) continue;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/cache/index%d/size", cpu, i);
    if (!cpu_sys_text(root, path, size, sizeof size)) continue;
    size_t bytes = cpu_size_parse(size);
    if (level == 1) c.l1d_bytes = bytes;
    if (level == 2) c.l2_bytes = bytes;
    if (level == 3) c.l3_bytes = bytes;
  }
  return c;
}

cpu_caches cpu_caches_read(const char *root, const cpu_mask *allowed) {
  cpu_mask big = cpu_big(root, allowed);
  for (int cpu = 0; cpu < CPU_MASK_BITS; cpu++)
    if (cpu_mask_has(&big, cpu)) return cpu_caches_of(root, cpu);
  return (cpu_caches){0};
}

/* What Arm's part numbers are called; /proc/cpuinfo gives only the numbers. */
static const char *cpu_arm_part(long part) {
  static const struct {
    long part;
    const char *name;
  } parts[] = {{0xc07, "Cortex-A7"},   {0xc08, "Cortex-A8"},   {0xc09, "Cortex-A9"},   {0xc0f, "Cortex-A15"},
               {0xd03, "Cortex-A53"},  {0xd04, "Cortex-A35"},  {0xd05, "Cortex-A55"},  {0xd07, "Cortex-A57"},
               {0xd08, "Cortex-A72"},  {0xd09, "Cortex-A73"},  {0xd0a, "Cortex-A75"},  {0xd0b, "Cortex-A76"},
               {0xd0c, "Neoverse-N1"}, {0xd0d, "Cortex-A77"},  {0xd40, "Neoverse-V1"}, {0xd41, "Cortex-A78"},
               {0xd44, "Cortex-X1"},   {0xd46, "Cortex-A510"}, {0xd47, "Cortex-A710"}, {0xd48, "Cortex-X2"},
               {0xd49, "Neoverse-N2"}, {0xd4f, "Neoverse-V2"}, {0xd80, "Cortex-A520"}, {0xd81, "Cortex-A720"}};
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
    if (parts[i].part == part) return parts[i].name;
  return NULL;
}

/* The text after ':' of a line of /proc/cpuinfo that begins with `key`, or NULL. */
static const char *cpu_info_value(const char *line, const char *key) {
  size_t n = strlen(key);
  if (strncmp(line, key, n)) return NULL;
  line += n;
  while (*line == ' ' || *line == '\t') line++;
  if (*line++ != ':') return NULL;
  while (*line == ' ' || *line == '\t') line++;
  return line;
}

bool cpu_model_read(const char *root, char *text, size_t size) {
  char line[256], name[128] = "", board[128] = "";
  long implementer = 0, part = -1, fastest = -1;
  cpu_lines lines;
  if (cpu_lines_open(&lines, root, "/proc/cpuinfo")) {
    while (cpu_lines_next(&lines, line, sizeof line)) {
      const char *v;
      if (!name[0] && ((v = cpu_info_value(line, "model name")) || (v = cpu_info_value(line, "uarch"))))
        snprintf(name, sizeof name, "%s", v);
      if ((v = cpu_info_value(line, "CPU implementer"))) implementer = strtol(v, NULL, 0);
      if ((v = cpu_info_value(line, "CPU part"))) part = strtol(v, NULL, 0);
      if (part > fastest) fastest = part; /* the later design is the bigger core, near enough for a name */
    }
    cpu_lines_close(&lines);
  }
  const char *arm = implementer == 0x41 ? cpu_arm_part(fastest) : NULL;
  if (arm) snprintf(name, sizeof name, "%s", arm);
  if (!cpu_sys_text(root, "/proc/device-tree/model", board, sizeof board)) board[0] = 0;
  if (board[0] && name[0])
    snprintf(text, size, "%s (%s)", board, name);
  else
    snprintf(text, size, "%s", name[0] ? name : board);
  return name[0] || board[0];
}
