/* image_exec: reads the program's first bytes as the kernel does: ELF's header and the path of its loader (elf(5)), or
 * `#!` and an interpreter (execve(2)). */
#include "platform/image_exec.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/shown.h"
#include "loop/rootfs.h"
#include "platform/image.h"

enum { FRONT_BYTES = 4096 };

/* As images name them. "": another. */
static const char *machine_name(unsigned machine)
{
    static const struct {
        unsigned machine;
        const char *name;
    } names[] = {{EM_X86_64, "amd64"},  {EM_AARCH64, "arm64"}, {EM_386, "386"},   {EM_ARM, "arm"},
                 {EM_RISCV, "riscv64"}, {EM_PPC64, "ppc64le"}, {EM_S390, "s390x"}};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].machine == machine)
            return names[i].name;
    return "";
}

/* The loader that an ELF file of 64 bits names; empty: none, or not here. */
static struct span loader_of(struct span front, const Elf64_Ehdr *head)
{
    Elf64_Phdr segment;
    for (size_t i = 0; i < head->e_phnum; i++) {
        struct span bytes = span_sub(front, head->e_phoff + i * sizeof segment, sizeof segment);
        if (head->e_phoff > front.len || bytes.len < sizeof segment)
            break;
        memcpy(&segment, bytes.data, sizeof segment);
        if (segment.p_type != PT_INTERP || segment.p_offset > front.len || segment.p_filesz == 0)
            continue;
        struct span path = span_sub(front, segment.p_offset, segment.p_filesz - 1);
        return span_find(path, '\0') < 0 ? path : (struct span){0};
    }
    return (struct span){0};
}

static bool is_missing(const char *root, struct span path)
{
    char *text = mem_text(path);
    bool missing = !rootfs_is_program(root, text);
    free(text);
    return missing;
}

static bool elf_explain(const char *root, const char *path, struct span front, struct err *err)
{
    Elf64_Ehdr head;
    if (front.len < sizeof head)
        return err_set(err, "%.300s is cut off: it is an ELF file of %zu bytes; make the image anew", path, front.len);
    memcpy(&head, front.data, sizeof head);
    const char *name = machine_name(head.e_machine);
    if (strcmp(name, image_architecture()) != 0)
        return err_set(err,
                       "%.300s is a program for %s, and this machine is linux/%s: build it with --platform linux/%s",
                       path, name[0] != '\0' ? name : "another processor", image_architecture(), image_architecture());
    struct span loader = head.e_ident[EI_CLASS] == ELFCLASS64 ? loader_of(front, &head) : (struct span){0};
    if (loader.len == 0 || !is_missing(root, loader))
        return false;
    return err_set(
        err,
        "%.300s needs the loader %s, which the image does not have: link the program statically, or build it "
        "on the image that it runs on (glibc and musl have loaders of their own)",
        path, SHOWN_FOUND(loader));
}

static bool script_explain(const char *root, const char *path, struct span front, struct err *err)
{
    struct span line, interpreter;
    front = span_from(front, 2);
    span_next(&front, '\n', &line);
    line = span_trim(line);
    bool has_return = line.len > 0 && line.data[line.len - 1] == '\r';
    if (!span_next(&line, ' ', &interpreter) || interpreter.len == 0 || !is_missing(root, interpreter))
        return false;
    return err_set(
        err, "the first line of %.300s names %s, which the image does not have: %s", path, SHOWN_FOUND(interpreter),
        has_return ? "its lines end in CR LF; save it with LF alone" : "install that in the image, or name another");
}

bool image_exec_explain(const char *root, const char *path, struct err *err)
{
    char bytes[FRONT_BYTES];
    size_t len = sizeof bytes;
    rootfs_read(root, path, bytes, &len); /* false: the file is larger than its front */
    struct span front = span_of(bytes, len);
    if (span_starts_with(front, SPAN_LIT(ELFMAG)))
        return elf_explain(root, path, front, err);
    if (span_starts_with(front, SPAN_LIT("#!")))
        return script_explain(root, path, front, err);
    return err_set(err, "%.300s is no program: it is no ELF file, and does not begin with #! and an interpreter", path);
}
