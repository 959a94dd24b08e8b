/* test_image_program: which program of an image runs, where and as whom; and why one does not, where the kernel's words
 * mislead. */
#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image_recipe.h"
#include "platform/command.h"
#include "platform/environment.h"
#include "platform/image_exec.h"
#include "platform/image_program.h"

/* The file's fields, of a service with an image. */
static struct service_spec spec_of(const char *more)
{
    struct service_spec spec;
    char *text =
        mem_printf("apiVersion: serving.knative.dev/v1\nkind: Service\nmetadata: {name: a}\nspec: {template: {spec: "
                   "{containers: [{image: 'oci:layout'%s}]}}}\n",
                   more);
    if (!service_spec_parse(&spec, beside, span_str(text), &err))
        fail_msg("%s", err.text);
    free(text);
    return spec;
}

/* The words of the program with bars between, or the error. */
static const char *program_of(const char *more, const char *root)
{
    static char shown[2048];
    struct service_spec spec = spec_of(more);
    struct command command;
    struct image_program program = {0};
    struct words env = {0};
    size_t at = 0;
    bool ok = command_find(&command, &spec, beside, NULL, &err);
    if (ok) {
        image_environment(&env, &command.image);
        ok = image_program_find(&program, &command.image, root, &spec, &env, &err);
    }
    snprintf(shown, sizeof shown, "%s", ok ? "" : err.text);
    for (size_t i = 0; ok && i < program.argv.count; i++)
        at += (size_t)snprintf(shown + at, sizeof shown - at, "%s|", program.argv.list[i]);
    if (ok)
        snprintf(shown + at, sizeof shown - at, " %s %u:%u %s", program.directory, program.uid, program.gid,
                 program.home);
    image_program_finish(&program);
    words_finish(&env);
    command_finish(&command);
    service_spec_finish(&spec);
    return shown;
}

static void test_the_program(void **state)
{
    char *root = mem_printf("%s/root", folder);
    recipe_begin();
    layout_write();
    file_write("root/bin/one", SPAN_LIT(""));
    file_write("root/usr/bin/two", SPAN_LIT(""));
    file_write("root/etc/passwd", SPAN_LIT("root:x:0:0::/root:/bin/sh\nnode:x:1000:1001::/home/node:/bin/sh\n"));
    file_write("root/etc/group", SPAN_LIT("root:x:0:\nstaff:x:50:node\n"));
    char *one = mem_printf("%s/bin/one", root), *two = mem_printf("%s/usr/bin/two", root);
    chmod(one, 0755);
    chmod(two, 0755);
    assert_string_equal(program_of("", root), "/bin/one|two| /srv 0:0 /root");
    assert_string_equal(program_of(", args: [x, y]", root), "/bin/one|x|y| /srv 0:0 /root");
    assert_string_equal(program_of(", command: [two]", root), "/usr/bin/two| /srv 0:0 /root");
    assert_string_equal(program_of(", command: [../bin/one], args: [x], workingDir: /usr", root),
                        "/usr/../bin/one|x| /usr 0:0 /root");
    assert_non_null(strstr(program_of(", command: [three]", root),
                           "no program \"three\" (looked for in its PATH, \"/usr/local/sbin:"));
    static const struct {
        const char *user, *wanted;
    } users[] = {{"node", "/bin/one|/ 1000:1001 /home/node"},
                 {"1000", "1000:1001 /home/node"},
                 {"node:staff", "1000:50 /home/node"},
                 {"node:7", "1000:7 /home/node"},
                 {"65532:65533", "65532:65533 /"},
                 {"nobody", "0:0 /root"}};
    for (size_t i = 0; i < sizeof users / sizeof users[0]; i++) {
        char config[128];
        const char *wanted = strchr(users[i].wanted, ' ');
        snprintf(config, sizeof config, "\"Cmd\":[\"/bin/one\"],\"User\":\"%s\"", users[i].user);
        made.config = config;
        layout_write();
        const char *found = program_of("", root);
        if (strstr(found, i == 0 ? wanted : users[i].wanted) == NULL)
            fail_msg("%s: %s", users[i].user, found);
    }
    made.config = "\"Cmd\":[\"/bin/one\"],\"User\":\"node\"";
    layout_write();
    assert_non_null(strstr(program_of(", securityContext: {runAsUser: 2020}", root), " 2020:0 /"));
    assert_non_null(
        strstr(program_of(", securityContext: {runAsUser: 1000, runAsGroup: 7}", root), " 1000:7 /home/node"));
    assert_non_null(strstr(program_of(", securityContext: {runAsNonRoot: true}", root), " 1000:1001 /home/node"));
    made.config = "\"Cmd\":[\"/bin/one\"]";
    layout_write();
    assert_non_null(strstr(program_of(", securityContext: {runAsNonRoot: true}", root), "the image runs as root"));
    made.config = "\"Env\":[\"PATH=/usr/bin\"]";
    layout_write();
    assert_non_null(strstr(program_of("", root), "has neither ENTRYPOINT nor CMD: say which program it runs"));
    assert_string_equal(program_of(", command: [two]", root), "/usr/bin/two| / 0:0 /root");
    assert_non_null(strstr(program_of(", command: [one]", root), "no program"));
    file_write("root/plain", SPAN_LIT(""));
    assert_non_null(strstr(program_of(", command: [/plain]", root), "nobody may execute the image's \"/plain\""));
    free(one);
    free(two);
    free(root);
}

static void exec_expect(struct span bytes, const char *wanted)
{
    char *root = mem_printf("%s/root", folder);
    file_write("root/bin/app", bytes);
    snprintf(err.text, sizeof err.text, "the kernel's");
    assert_false(image_exec_explain(root, "/bin/app", &err));
    if (strstr(err.text, wanted) == NULL)
        fail_msg("found \"%s\", not \"%s\"", err.text, wanted);
    free(root);
}

/* The kernel says "No such file or directory" of what is there, and lacks something. */
static void test_what_is_not_executed(void **state)
{
    struct {
        Elf64_Ehdr head;
        Elf64_Phdr segment;
        char loader[24];
    } file = {.head = {.e_ident = ELFMAG, .e_machine = EM_X86_64, .e_phoff = sizeof file.head, .e_phnum = 1},
              .segment = {.p_type = PT_INTERP, .p_offset = sizeof file.head + sizeof file.segment, .p_filesz = 15},
              .loader = "/lib/ld-some.so"};
    file.segment.p_filesz = sizeof "/lib/ld-some.so";
#if defined(__aarch64__)
    file.head.e_machine = EM_AARCH64;
#endif
    file.head.e_ident[EI_CLASS] = ELFCLASS64;
    struct span bytes = span_of(&file, sizeof file);
    exec_expect(bytes, "/bin/app needs the loader \"/lib/ld-some.so\", which the image does not have");
    exec_expect(span_sub(bytes, 0, sizeof file.head), "the kernel's");
    exec_expect(span_sub(bytes, 0, 10), "/bin/app is cut off");
    file.segment.p_offset = UINT64_MAX;
    exec_expect(bytes, "the kernel's");
    file.head.e_phoff = UINT64_MAX;
    exec_expect(bytes, "the kernel's");
    file.head.e_machine = EM_SPARC;
    exec_expect(bytes, "is a program for another processor, and this machine is linux/");
    file.head.e_machine = EM_RISCV;
    exec_expect(bytes, "is a program for riscv64, and this machine is linux/");
    exec_expect(SPAN_LIT("#! /bin/none -x\necho"),
                "the first line of /bin/app names \"/bin/none\", which the image does not");
    exec_expect(SPAN_LIT("#!/bin/app\r\necho"), "its lines end in CR LF");
    exec_expect(SPAN_LIT("#!"), "the kernel's");
    exec_expect(SPAN_LIT(""), "/bin/app is no program: it is no ELF file");
    file_write("root/bin/there", SPAN_LIT("#!/bin/app"));
    char *there = mem_printf("%s/root/bin/there", folder);
    chmod(there, 0755);
    exec_expect(SPAN_LIT("#!/bin/there"), "the kernel's");
    free(there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_program, begin, finish),
        cmocka_unit_test_setup_teardown(test_what_is_not_executed, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
