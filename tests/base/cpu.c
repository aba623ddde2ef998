/* Made-up machines: boards of big and little cores, hyper-threads, containers of both cgroup versions. */
#include "base/cpu.h"

#include "base/cpu_sys.h"
#include "test.h"
#include "tree.h"

static void put_cpu(const tree *t, int cpu, const char *file, const char *text) {
  char path[256];
  snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/%s", cpu, file);
  tree_file(t, path, text);
}

static cpu_topology topology(const tree *t, const char *allowed) {
  cpu_mask m = cpu_mask_parse(allowed);
  return cpu_topology_read(t->root, &m);
}

static void test_mask(void) {
  cpu_mask m = cpu_mask_parse("0-3,8,10-11");
  CHECK_INT(cpu_mask_count(&m), 7);
  CHECK(cpu_mask_has(&m, 3) && !cpu_mask_has(&m, 4) && cpu_mask_has(&m, 8) && cpu_mask_has(&m, 11));
  CHECK(!cpu_mask_has(&m, -1) && !cpu_mask_has(&m, CPU_MASK_BITS));
  m = cpu_mask_parse("");
  CHECK_INT(cpu_mask_count(&m), 0);
  m = cpu_mask_parse("5,x");
  CHECK_INT(cpu_mask_count(&m), 1);
  m = cpu_mask_parse("0-99999999999999999999");
  CHECK_INT(cpu_mask_count(&m), CPU_MASK_BITS);
}

/* Two big and four little cores, as on an RK3399. */
static void test_big_little(void) {
  tree t = tree_create();
  tree_file(&t, "/sys/devices/system/cpu/online", "0-5\n");
  for (int cpu = 0; cpu < 6; cpu++) put_cpu(&t, cpu, "cpu_capacity", cpu < 4 ? "381\n" : "1024\n");
  cpu_topology all = topology(&t, "0-5"), little = topology(&t, "0-3"), some = topology(&t, "0,1,5");
  CHECK_INT(all.online, 6);
  CHECK_INT(all.allowed, 6);
  CHECK_INT(all.big, 2);
  CHECK_INT(all.cores, 2);
  CHECK(all.quota == 0);
  CHECK_INT(little.big, 4);
  CHECK_INT(some.allowed, 3);
  CHECK_INT(some.big, 1);
  tree_remove(&t);
}

/* One prime core does not make the three beside it small; where only frequencies are known they decide. */
static void test_three_kinds(void) {
  tree t = tree_create();
  for (int cpu = 0; cpu < 8; cpu++) put_cpu(&t, cpu, "cpu_capacity", cpu < 4 ? "290" : cpu < 7 ? "850" : "1024");
  CHECK_INT(topology(&t, "0-7").big, 4);
  tree_remove(&t);
  t = tree_create();
  for (int cpu = 0; cpu < 8; cpu++)
    put_cpu(&t, cpu, "cpufreq/cpuinfo_max_freq", cpu < 4 ? "1400000\n" : cpu < 7 ? "2200000\n" : "2400000\n");
  CHECK_INT(topology(&t, "0-7").big, 4);
  put_cpu(&t, 5, "cpufreq/cpuinfo_max_freq", "nonsense\n"); /* not all known: all are taken */
  CHECK_INT(topology(&t, "0-7").big, 8);
  tree_remove(&t);
}

static void test_hybrid_and_threads(void) {
  tree t = tree_create(); /* two performance cores of two threads each, then four efficient ones */
  tree_file(&t, "/sys/devices/cpu_core/cpus", "0-3\n");
  for (int cpu = 0; cpu < 8; cpu++) {
    const char *siblings = cpu < 2 ? "0-1\n" : cpu < 4 ? "2-3\n" : cpu == 4 ? "4\n" : "5\n";
    put_cpu(&t, cpu, "topology/thread_siblings_list", siblings);
  }
  cpu_topology all = topology(&t, "0-7");
  CHECK_INT(all.big, 4);
  CHECK_INT(all.cores, 2);
  CHECK_INT(topology(&t, "1,3").cores, 2); /* one thread of each */
  CHECK_INT(topology(&t, "4-5").big, 2);   /* none of the performance cores is allowed */
  tree_remove(&t);
}

static void test_caches(void) {
  tree t = tree_create();
  cpu_mask m = cpu_mask_parse("0-1");
  CHECK_INT(cpu_caches_read(t.root, &m).l1d_bytes, 0);
  static const char *const rows[][3] = {
      {"1", "Data", "48K"}, {"1", "Instruction", "64K"}, {"2", "Unified", "2048K"}, {"3", "Unified", "32M"}};
  for (int i = 0; i < 4; i++)
    for (int k = 0; k < 3; k++) {
      char name[64];
      snprintf(name, sizeof name, "cache/index%d/%s", i, k == 0 ? "level" : k == 1 ? "type" : "size");
      put_cpu(&t, 1, name, rows[i][k]);
    }
  put_cpu(&t, 0, "cpu_capacity", "100");
  put_cpu(&t, 1, "cpu_capacity", "1024");
  cpu_caches c = cpu_caches_read(t.root, &m);
  CHECK_INT(c.l1d_bytes, 48 << 10);
  CHECK_INT(c.l2_bytes, 2 << 20);
  CHECK_INT(c.l3_bytes, 32 << 20);
  tree_remove(&t);
}

static void test_model(void) {
  tree t = tree_create();
  char text[128];
  CHECK(!cpu_model_read(t.root, text, sizeof text));
  tree_file(&t, "/proc/cpuinfo", "processor\t: 0\nmodel name\t: Some Processor 9000\n");
  CHECK(cpu_model_read(t.root, text, sizeof text));
  CHECK_STR(text, "Some Processor 9000");
  tree_file(&t, "/proc/cpuinfo", "processor : 0\nCPU implementer\t: 0x41\nCPU part\t: 0xd03\n\nCPU part\t: 0xd08\n");
  tree_bytes(&t, "/proc/device-tree/model", "Some Board", 11); /* ends in a zero byte */
  CHECK(cpu_model_read(t.root, text, sizeof text));
  CHECK_STR(text, "Some Board (Cortex-A72)");
  tree_remove(&t);
}

#define MOUNT_V2 "30 23 0:26 %s /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"

static void put_v2(const tree *t, const char *mount_root, const char *group) {
  char text[512];
  snprintf(text, sizeof text, "22 27 0:21 / /proc rw - proc proc rw\n" MOUNT_V2, mount_root);
  tree_file(t, "/proc/self/mountinfo", text);
  snprintf(text, sizeof text, "0::%s\n", group);
  tree_file(t, "/proc/self/cgroup", text);
}

static void test_quota_v2(void) {
  tree t = tree_create();
  CHECK(cpu_cgroup_quota(t.root) == 0);
  put_v2(&t, "/", "/system.slice/ledge.service");
  CHECK(cpu_cgroup_quota(t.root) == 0);
  tree_file(&t, "/sys/fs/cgroup/system.slice/ledge.service/cpu.max", "max 100000\n");
  CHECK(cpu_cgroup_quota(t.root) == 0);
  tree_file(&t, "/sys/fs/cgroup/system.slice/cpu.max", "150000 100000\n"); /* a level above */
  CHECK_NEAR(cpu_cgroup_quota(t.root), 1.5, 0);
  tree_file(&t, "/sys/fs/cgroup/system.slice/ledge.service/cpu.max", "20000 50000\n"); /* the least counts */
  CHECK_NEAR(cpu_cgroup_quota(t.root), 0.4, 0);
  tree_file(&t, "/sys/fs/cgroup/cpu.max", "10000 100000\n"); /* the mount's own level: a container's limit */
  CHECK_NEAR(cpu_cgroup_quota(t.root), 0.1, 0);
  tree_file(&t, "/sys/fs/cgroup/cpu.max", "rubbish\n");
  CHECK_NEAR(cpu_cgroup_quota(t.root), 0.4, 0);
  tree_remove(&t);
}

/* A container without a namespace of its own sees the host's path, and a mount whose root is that path. */
static void test_quota_container(void) {
  tree t = tree_create();
  put_v2(&t, "/docker/abc", "/docker/abc");
  tree_file(&t, "/sys/fs/cgroup/cpu.max", "200000 100000\n");
  CHECK_NEAR(cpu_cgroup_quota(t.root), 2, 0);
  put_v2(&t, "/docker/abc", "/docker/abc/inner");
  tree_file(&t, "/sys/fs/cgroup/inner/cpu.max", "100000 100000\n");
  CHECK_NEAR(cpu_cgroup_quota(t.root), 1, 0);
  put_v2(&t, "/docker/abc", "/docker/abcdef"); /* another group: only the mount is known */
  CHECK_NEAR(cpu_cgroup_quota(t.root), 2, 0);
  put_v2(&t, "/", "/../../elsewhere"); /* seen from inside a namespace */
  CHECK_NEAR(cpu_cgroup_quota(t.root), 2, 0);
  tree_remove(&t);
}

static void put_v1(const tree *t) {
  tree_file(t, "/proc/self/mountinfo",
            "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct\n"
            "34 31 0:31 / /sys/fs/cgroup/mem\\040ory rw - cgroup cgroup rw,memory\n"
            "35 31 0:32 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  tree_file(t, "/proc/self/cgroup", "5:memory:/box\n4:cpu,cpuacct:/box/in\n0::/\n");
}

static void test_quota_v1(void) {
  tree t = tree_create();
  put_v1(&t);
  tree_file(&t, "/sys/fs/cgroup/cpu,cpuacct/box/in/cpu.cfs_quota_us", "-1\n");
  tree_file(&t, "/sys/fs/cgroup/cpu,cpuacct/box/in/cpu.cfs_period_us", "100000\n");
  CHECK(cpu_cgroup_quota(t.root) == 0);
  tree_file(&t, "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n");
  tree_file(&t, "/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "100000\n");
  CHECK_NEAR(cpu_cgroup_quota(t.root), 2.5, 0);
  tree_remove(&t);
}

static void test_memory(void) {
  tree t = tree_create();
  CHECK(cpu_memory_read(t.root) == UINT64_MAX);
  tree_file(&t, "/proc/meminfo", "MemTotal:  4000 kB\nMemAvailable:    1000 kB\n");
  CHECK_INT(cpu_memory_read(t.root), 1024000);
  put_v2(&t, "/", "/a/b");
  tree_file(&t, "/sys/fs/cgroup/a/memory.max", "900000\n");
  tree_file(&t, "/sys/fs/cgroup/a/memory.current", "500000\n");
  CHECK_INT(cpu_memory_read(t.root), 400000);
  tree_file(&t, "/sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 100000\nactive_file 7\n");
  CHECK_INT(cpu_memory_read(t.root), 500000);
  tree_file(&t, "/sys/fs/cgroup/a/b/memory.max", "max\n");
  tree_file(&t, "/sys/fs/cgroup/a/b/memory.high", "300000\n");
  tree_file(&t, "/sys/fs/cgroup/a/b/memory.current", "100000\n");
  CHECK_INT(cpu_memory_read(t.root), 200000);
  tree_file(&t, "/sys/fs/cgroup/a/b/memory.current", "300001\n");
  CHECK_INT(cpu_memory_read(t.root), 0);
  tree_remove(&t);

  t = tree_create();
  put_v1(&t);
  tree_file(&t, "/proc/meminfo", "MemAvailable:    1000 kB\n");
  tree_file(&t, "/sys/fs/cgroup/mem ory/box/memory.limit_in_bytes", "9223372036854771712\n");
  tree_file(&t, "/sys/fs/cgroup/mem ory/box/memory.usage_in_bytes", "1000\n");
  CHECK_INT(cpu_memory_read(t.root), 1024000);
  tree_file(&t, "/sys/fs/cgroup/mem ory/box/memory.limit_in_bytes", "5000\n");
  tree_file(&t, "/sys/fs/cgroup/mem ory/box/memory.stat", "inactive_file 1\ntotal_inactive_file 400\n");
  CHECK_INT(cpu_memory_read(t.root), 4400);
  tree_remove(&t);
}

/* A line that is longer than any buffer, and a last one without its newline. */
static void test_lines(void) {
  tree t = tree_create();
  static char text[3 * CPU_SYS_PATH];
  memset(text, 'x', sizeof text - 4);
  memcpy(text + sizeof text - 4, "\nab", 4);
  tree_file(&t, "/file", text);
  cpu_lines lines;
  char line[16];
  CHECK(cpu_lines_open(&lines, t.root, "/file"));
  CHECK_STR(cpu_lines_next(&lines, line, sizeof line), "xxxxxxxxxxxxxxx");
  CHECK_STR(cpu_lines_next(&lines, line, sizeof line), "ab");
  CHECK(cpu_lines_next(&lines, line, sizeof line) == NULL);
  cpu_lines_close(&lines);
  CHECK(!cpu_lines_open(&lines, t.root, "/none"));
  int64_t n = 7;
  tree_file(&t, "/n", "12a\n");
  CHECK(!cpu_sys_number(t.root, "/n", &n) && n == 7);
  tree_file(&t, "/n", "-12\n");
  CHECK(cpu_sys_number(t.root, "/n", &n) && n == -12);
  CHECK(!cpu_sys_text(t.root, "/file", line, sizeof line));
  tree_remove(&t);
}

static void test_cap(void) {
  CHECK(cpu_isa_cap(NULL) == UINT32_MAX);
  CHECK(cpu_isa_cap("") == UINT32_MAX);
  CHECK(cpu_isa_cap("warp9") == UINT32_MAX);
  CHECK(cpu_isa_cap("avx2+warp9") == UINT32_MAX);
  CHECK_INT(cpu_isa_cap("scalar"), 0);
  CHECK_INT(cpu_isa_cap("sse2"), CPU_ISA_SSE2);
  CHECK_INT(cpu_isa_cap("avx2"), CPU_ISA_SSE2 | CPU_ISA_AVX2);
  CHECK_INT(cpu_isa_cap("avx512"), CPU_ISA_SSE2 | CPU_ISA_AVX2 | CPU_ISA_AVX512);
  CHECK_INT(cpu_isa_cap("avx512+avxvnni"), CPU_ISA_SSE2 | CPU_ISA_AVX2 | CPU_ISA_AVX512 | CPU_ISA_AVXVNNI);
  CHECK(cpu_isa_cap("amx") & CPU_ISA_AMX_INT8);
  CHECK_INT(cpu_isa_cap("neon_dotprod"), CPU_ISA_NEON | CPU_ISA_NEON_FP16 | CPU_ISA_NEON_DOTPROD);
  CHECK(!(cpu_isa_cap("sve") & CPU_ISA_AVX2));
}

static void test_this_machine(void) {
  cpu_topology t = cpu_topology_get();
  CHECK(t.online >= t.allowed && t.allowed >= t.big && t.big >= t.cores && t.cores >= 1);
  CHECK(cpu_default_threads() >= 1 && cpu_default_threads() <= t.cores);
  CHECK_INT(cpu_usable((int[]){0}, 1, 0), t.allowed);
  CHECK_INT(cpu_usable((int[]){0, cpu_thread_id()}, 2, 0.2), 1);
  CHECK(cpu_memory_available() > 0);
  CHECK(cpu_model()[0] != 0);
  CHECK_STR(cpu_isa_name(CPU_ISA_AVX2), "avx2");
  CHECK_STR(cpu_isa_name(CPU_ISA_NEON_DOTPROD), "neon_dotprod");
  CHECK_STR(cpu_isa_name(CPU_ISA_NONE), "none");
  CHECK_STR(cpu_isa_name((cpu_isa)(CPU_ISA_AVX2 | CPU_ISA_NEON)), "?");
#if defined(__x86_64__)
  const char *cap = getenv("LEDGE_ISA");
  if (!cap || !*cap) CHECK(cpu_isa_available() & CPU_ISA_SSE2);
  CHECK(!(cpu_isa_available() & CPU_ISA_NEON));
#elif defined(__aarch64__)
  CHECK(!(cpu_isa_available() & CPU_ISA_SSE2));
#endif
}

TEST_MAIN({"mask", test_mask}, {"big_little", test_big_little}, {"three_kinds", test_three_kinds},
          {"hybrid_and_threads", test_hybrid_and_threads}, {"caches", test_caches}, {"model", test_model},
          {"quota_v2", test_quota_v2}, {"quota_container", test_quota_container}, {"quota_v1", test_quota_v1},
          {"memory", test_memory}, {"lines", test_lines}, {"cap", test_cap}, {"this_machine", test_this_machine})
