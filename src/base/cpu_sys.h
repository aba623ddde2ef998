/* base/cpu_sys: the parsers behind cpu.h. Each takes the folder that stands for "/": "" for the running system; a test
 * gives one that holds a made-up /sys and /proc. They read with open and read alone and allocate nothing. */
#ifndef BASE_CPU_SYS_H
#define BASE_CPU_SYS_H

#include "base/cpu.h"

enum { CPU_SYS_PATH = 4096, CPU_MASK_BITS = 8192 };

/* A set of logical processors. */
typedef struct cpu_mask {
  uint64_t words[CPU_MASK_BITS / 64];
} cpu_mask;
static inline bool cpu_mask_has(const cpu_mask *m, int cpu) {
  return cpu >= 0 && cpu < CPU_MASK_BITS && ((m->words[cpu / 64] >> (cpu % 64)) & 1);
}
static inline void cpu_mask_add(cpu_mask *m, int cpu) {
  if (cpu >= 0 && cpu < CPU_MASK_BITS) m->words[cpu / 64] |= UINT64_C(1) << (cpu % 64);
}
int cpu_mask_count(const cpu_mask *m);
/* The kernel's list form, such as "0-3,8,10-11"; what is malformed ends it. */
cpu_mask cpu_mask_parse(const char *list);

/* The start of a file, as text without the newlines at its end; false where it cannot be read or does not fit. */
bool cpu_sys_text(const char *root, const char *path, char *text, size_t size);
/* A file that holds one decimal number. */
bool cpu_sys_number(const char *root, const char *path, int64_t *ret_number);
/* A file line by line: a line longer than the buffer is cut. */
typedef struct cpu_lines {
  int file;
  size_t used, size;
  char buffer[CPU_SYS_PATH];
} cpu_lines;
bool cpu_lines_open(cpu_lines *l, const char *root, const char *path);
/* The next line without its newline, or NULL at the end. The text stands until the next call. */
char *cpu_lines_next(cpu_lines *l, char *line, size_t size);
void cpu_lines_close(cpu_lines *l);

/* What `allowed` has: see cpu_topology; the quota comes from cpu_cgroup_quota. */
cpu_topology cpu_topology_read(const char *root, const cpu_mask *allowed);
/* Data caches of the fastest of `allowed`; all 0 where the system does not say. */
cpu_caches cpu_caches_read(const char *root, const cpu_mask *allowed);
/* From /proc/cpuinfo and the device tree; false where neither says. */
bool cpu_model_read(const char *root, char *text, size_t size);
/* CPUs that the cgroups of this process grant (versions 1 and 2; the least of all levels up to the mount), 0: no limit.
 */
double cpu_cgroup_quota(const char *root);
/* Bytes that the cgroups of this process have left, counting their inactive page cache as free; UINT64_MAX: no limit.
 */
uint64_t cpu_cgroup_memory(const char *root);
/* The least of MemAvailable and the cgroups; UINT64_MAX where neither says. */
uint64_t cpu_memory_read(const char *root);
/* LEDGE_ISA's value to the bits that it allows. NULL, "" or an unknown name: all. */
uint32_t cpu_isa_cap(const char *text);

#endif
