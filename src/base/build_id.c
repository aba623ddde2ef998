/* base/build_id: see build_id.h. */
#include "base/build_id.h"

#include <elf.h>
#include <link.h>
#include <string.h>

static const char anchor[] = "ledge"; /* of the object that is looked for */

typedef struct build_id_search {
  uint8_t *into;
  size_t size;
} build_id_search;

static int is_ours(const struct dl_phdr_info *info) {
  uintptr_t at = (uintptr_t)anchor;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_LOAD && at >= info->dlpi_addr + p->p_vaddr && at < info->dlpi_addr + p->p_vaddr + p->p_memsz)
      return 1;
  }
  return 0;
}

static void read_notes(const char *at, size_t size, build_id_search *s) {
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) n;
    memcpy(&n, at, sizeof n);
    at += sizeof n, size -= sizeof n;
    size_t name = ((size_t)n.n_namesz + 3) & ~(size_t)3, body = ((size_t)n.n_descsz + 3) & ~(size_t)3;
    if (name > size || body > size - name) return;
    if (n.n_type == NT_GNU_BUILD_ID && n.n_namesz == 4 && !memcmp(at, "GNU", 4) && n.n_descsz <= BUILD_ID_MAX) {
      memcpy(s->into, at + name, n.n_descsz);
      s->size = n.n_descsz;
      return;
    }
    at += name + body, size -= name + body;
  }
}

static int visit(struct dl_phdr_info *info, size_t size, void *data) {
  (void)size;
  if (!is_ours(info)) return 0;
  for (int i = 0; i < info->dlpi_phnum; i++) {
    const ElfW(Phdr) *p = &info->dlpi_phdr[i];
    if (p->p_type == PT_NOTE) read_notes((const char *)(info->dlpi_addr + p->p_vaddr), p->p_memsz, data);
  }
  return 1;
}

size_t build_id_get(uint8_t ret[BUILD_ID_MAX]) {
  build_id_search s = {.into = ret};
  dl_iterate_phdr(visit, &s);
  return s.size;
}

uint64_t build_id_offset(const void *object) { return (uint64_t)((uintptr_t)object - (uintptr_t)anchor); }
