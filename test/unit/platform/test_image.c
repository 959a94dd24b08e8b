/* test_image: images in all three forms are read and unpacked, and one that is damaged or for another machine is
 * refused with the cure. What runs of one: test_image_program. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../gzip.h"
#include "image_recipe.h"

/* "": it is read; else the error. */
static const char *outcome(const char *reference)
{
    struct image image;
    bool ok = image_read(&image, reference, beside, &err);
    image_finish(&image);
    return ok ? "" : err.text;
}

static void expect(const char *reference, const char *text)
{
    const char *found = outcome(reference);
    if (text == NULL ? found[0] != '\0' : strstr(found, text) == NULL)
        fail_msg("%s: found \"%s\", not \"%s\"", reference, found, text != NULL ? text : "");
}

static void test_names(void **state)
{
    assert_true(image_is_local("oci:a") && image_is_local("oci-archive:a:b") && image_is_local("docker-archive:a"));
    assert_false(image_is_local("gcr.io/a/b:oci") || image_is_local("oci") || image_is_local("file:///a"));
    expect("oci:", "has no path");
    expect("oci:none", "there is no folder");
    expect("oci-archive:none", "there is no file");
    recipe_begin();
    layout_write();
    expect("oci:layout", NULL);
    expect("oci:layout:latest", NULL);
    expect("oci:layout:v2", "no image with the tag v2");
    expect("oci:layout:v2", "tags there: latest");
    made.other = "{\"digest\":\"sha256:0\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"v2\"}},";
    layout_write();
    expect("oci:layout", NULL);
    made.tag = "v1";
    layout_write();
    expect("oci:layout", "more than one image");
    expect("oci:layout:v1", NULL);
}

static void test_what_is_damaged(void **state)
{
    recipe_begin();
    layout_write();
    file_write("layout/index.json", SPAN_LIT("{"));
    expect("oci:layout", "index.json; make it anew");
    file_write("layout/index.json", SPAN_LIT("{\"manifests\":[{\"digest\":\"md5:1\"}]}"));
    expect("oci:layout", "a digest that is not sha256's");
    file_write("layout/index.json", SPAN_LIT("[]"));
    expect("oci:layout", "names no configuration");
    recipe_begin();
    layout_write();
    struct image image;
    assert_true(image_read(&image, "oci:layout", beside, &err));
    assert_int_equal(unlink(image.layers[0].blob.path), 0);
    expect("oci:layout", "a layer is missing");
    image_finish(&image);
    file_write("x.tar", SPAN_LIT("no archive"));
    expect("oci-archive:x.tar", "no tar archive, or a damaged one");
    file_write("x.tar", SPAN_LIT("\x1f\x8b"));
    expect("docker-archive:x.tar", "not compressed as a whole");
}

static void test_what_does_not_run_here(void **state)
{
    recipe_begin();
    made.arch = "sparc";
    layout_write();
    expect("oci:layout", "is for \"sparc\", and this machine is linux/");
}

/* The image's files in DIR/root; the error, or "". */
static const char *unpack(void)
{
    struct image image;
    char *root = mem_printf("%s/root", folder);
    tree_remove(root);
    assert_int_equal(mkdir(root, 0755), 0);
    bool ok = image_read(&image, "oci:layout", beside, &err) && image_unpack_into(&image, root, NULL, &err);
    image_finish(&image);
    free(root);
    return ok ? "" : err.text;
}

static bool is_there(const char *path)
{
    char *root = mem_printf("%s/root", folder);
    bool found = rootfs_is_there(root, path);
    free(root);
    return found;
}

static void test_layers_lie_over_each_other(void **state)
{
    recipe_begin();
    made.layer_count = 2;
    member(&made.layers[0], "./a/gone", '0', 0644, SPAN_LIT("x"), "");
    member(&made.layers[0], "b/old", '0', 0644, SPAN_LIT("x"), "");
    member(&made.layers[0], "b/also/old", '0', 0644, SPAN_LIT("x"), "");
    member(&made.layers[0], "c/", '5', 0755, SPAN_LIT(""), "");
    member(&made.layers[1], "/a/.wh.gone", '0', 0644, SPAN_LIT(""), "");
    member(&made.layers[1], "b/anew", '0', 0644, SPAN_LIT("y"), "");
    member(&made.layers[1], "b/.wh..wh..opq", '0', 0644, SPAN_LIT(""), "");
    member(&made.layers[1], "b/new", '1', 0644, SPAN_LIT(""), "bin/one");
    member(&made.layers[1], "c/.wh..", '0', 0644, SPAN_LIT(""), "");
    layout_write();
    assert_string_equal(unpack(), "");
    assert_true(is_there("/a") && is_there("/b/anew") && is_there("/b/new") && is_there("/bin/one") && is_there("/c"));
    assert_false(is_there("/a/gone") || is_there("/b/old") || is_there("/b/also") || is_there("/a/.wh.gone"));
}

static void as_gzip(struct buf *layer)
{
    struct buf packed = {0};
    gzip_append(&packed, buf_span(layer));
    buf_clear(layer);
    buf_append(layer, buf_span(&packed));
    buf_finish(&packed);
}

/* One block, as it is (RFC 8878, 3.1.1): of 128 KiB at most. */
static void as_zstd(struct buf *layer)
{
    struct buf packed = {0};
    uint32_t len = (uint32_t)layer->len, block = len << 3 | 1; /* both little-endian */
    char rest[] = {(char)len,   (char)(len >> 8),   (char)(len >> 16),  (char)(len >> 24),
                   (char)block, (char)(block >> 8), (char)(block >> 16)};
    buf_append(&packed, SPAN_LIT("\x28\xb5\x2f\xfd\xa0"));
    buf_append(&packed, span_of(rest, sizeof rest));
    buf_append(&packed, buf_span(layer));
    buf_finish(layer);
    *layer = packed;
}

/* The digest is that of the tar archive, with what stands behind its end, however much that is. */
static void test_layers_are_packed(void **state)
{
    void (*const ways[])(struct buf *) = {as_gzip, as_zstd, NULL};
    for (size_t i = 0; i < 3; i++) {
        recipe_begin();
        for (int j = 0; j < 100000; j++)
            buf_append_char(&made.layers[0], j < 1024 ? '\0' : 'x');
        sha256_of(buf_span(&made.layers[0]), made.digests[0]);
        if (ways[i] != NULL)
            ways[i](&made.layers[0]);
        layout_write();
        assert_string_equal(unpack(), "");
        assert_true(is_there("/bin/one"));
    }
    recipe_begin();
    as_zstd(&made.layers[0]);
    made.layers[0].len -= 100;
    layout_write();
    assert_non_null(strstr(unpack(), "it is cut off"));
    recipe_begin();
    buf_clear(&made.layers[0]);
    buf_append(&made.layers[0], SPAN_LIT("\x28\xb5\x2f\xfd\x60 and so on"));
    layout_write();
    assert_non_null(strstr(unpack(), "its zstd is damaged ("));
    recipe_begin();
    as_gzip(&made.layers[0]);
    as_gzip(&made.layers[0]);
    layout_write();
    assert_non_null(strstr(unpack(), "its gzip is damaged (compressed more than once)"));
}

/* zstd asks for a window of 128 MiB where a layer was packed with --long; more is refused. */
static void test_a_large_window(void **state)
{
    for (int log = 27; log <= 28; log++) {
        struct buf packed = {0};
        recipe_begin();
        sha256_of(buf_span(&made.layers[0]), made.digests[0]);
        uint32_t block = (uint32_t)made.layers[0].len << 3 | 1;
        const char rest[] = {(char)((log - 10) << 3), (char)block, (char)(block >> 8), (char)(block >> 16)};
        buf_append(&packed, SPAN_LIT("\x28\xb5\x2f\xfd\0"));
        buf_append(&packed, span_of(rest, sizeof rest));
        buf_append(&packed, buf_span(&made.layers[0]));
        buf_finish(&made.layers[0]);
        made.layers[0] = packed;
        layout_write();
        const char *found = unpack();
        if (log == 27 ? found[0] != '\0' : strstr(found, "its zstd is damaged (") == NULL)
            fail_msg("%d: %s", log, found);
    }
}

/* Each blob is compared with its digest before the first file is made. */
static void test_a_damaged_blob(void **state)
{
    struct image image;
    char *root = mem_printf("%s/root", folder);
    recipe_begin();
    made.layer_count = 2;
    member(&made.layers[1], "two", '0', 0644, SPAN_LIT("x"), "");
    layout_write();
    assert_true(image_read(&image, "oci:layout", beside, &err));
    int fd = open(image.layers[1].blob.path, O_WRONLY);
    assert_true(fd >= 0 && pwrite(fd, "y", 1, 512) == 1);
    close(fd);
    assert_int_equal(mkdir(root, 0755), 0);
    assert_false(image_unpack_into(&image, root, NULL, &err));
    assert_non_null(strstr(err.text, "layer 2 of 2"));
    assert_non_null(strstr(err.text, "it is damaged: its digest is not the one that its manifest says"));
    assert_false(is_there("/bin"));
    assert_int_equal(truncate(image.layers[1].blob.path, 600), 0);
    assert_false(image_unpack_into(&image, root, NULL, &err));
    assert_non_null(strstr(err.text, "it has changed meanwhile, or cannot be read whole"));
    image_finish(&image);
    free(root);
}

/* Devices come from this machine, and names are bytes. */
static void test_other_entries(void **state)
{
    char path[96];
    struct stat about;
    recipe_begin();
    member(&made.layers[0], "block", '4', 0666, SPAN_LIT(""), "");
    member(&made.layers[0], "null", '3', 0666, SPAN_LIT(""), "");
    member(&made.layers[0], "pipe", '6', 0666, SPAN_LIT(""), "");
    member(&made.layers[0], "PaxHeader", 'x', 0644, SPAN_LIT("16 path=\xc3\xa9/\xe6\x97\xa5\xff\n"), "");
    member(&made.layers[0], "e", '0', 04711, SPAN_LIT("x"), "");
    layout_write();
    assert_string_equal(unpack(), "");
    assert_false(is_there("/block") || is_there("/null") || is_there("/pipe"));
    snprintf(path, sizeof path, "%s/root/\xc3\xa9/\xe6\x97\xa5\xff", folder);
    assert_int_equal(stat(path, &about), 0);
    assert_true(about.st_mtime == 1700000000);
}

static void test_unpacking_stops(void **state)
{
    struct image image;
    atomic_bool stop = true;
    char *root = mem_printf("%s/root", folder);
    recipe_begin();
    layout_write();
    assert_int_equal(mkdir(root, 0755), 0);
    assert_true(image_read(&image, "oci:layout", beside, &err));
    assert_false(image_unpack_into(&image, root, &stop, &err));
    assert_non_null(strstr(err.text, "sennit up stops"));
    assert_false(is_there("/bin/one"));
    image_finish(&image);
    free(root);
}

static void test_layers_that_mean_harm(void **state)
{
    recipe_begin();
    member(&made.layers[0], "../out", '0', 0644, SPAN_LIT("x"), "");
    layout_write();
    assert_non_null(strstr(unpack(), "../out: a path leads out of the image"));
    recipe_begin();
    member(&made.layers[0], "hard", '1', 0644, SPAN_LIT(""), "../../etc/passwd");
    layout_write();
    assert_non_null(strstr(unpack(), "a link leads out of the image"));
    recipe_begin();
    member(&made.layers[0], "up", '2', 0777, SPAN_LIT(""), "../..");
    member(&made.layers[0], "up/out", '0', 0644, SPAN_LIT("x"), "");
    layout_write();
    assert_string_equal(unpack(), "");
    char *out = mem_printf("%s/out", folder);
    assert_false(file_exists(out));
    assert_true(is_there("/out"));
    free(out);
}

static void test_layers_that_are_not_what_was_said(void **state)
{
    recipe_begin();
    memset(made.digests[0], 'a', SHA256_HEX_LEN);
    layout_write();
    assert_non_null(strstr(unpack(), "layer 1 of 1"));
    assert_non_null(strstr(err.text, "its digest is not the one that the image's configuration says"));
    recipe_begin();
    made.layers[0].len -= 300;
    layout_write();
    assert_non_null(strstr(unpack(), "it is cut off"));
    recipe_begin();
    buf_clear(&made.layers[0]);
    buf_append(&made.layers[0], SPAN_LIT("\x1f\x8b\x08\0 12345\x07 and more"));
    layout_write();
    assert_non_null(strstr(unpack(), "its gzip is damaged"));
    recipe_begin();
    buf_clear(&made.layers[0]);
    for (int i = 0; i < 512; i++)
        buf_append_char(&made.layers[0], 'x');
    layout_write();
    assert_non_null(strstr(unpack(), "no tar archive"));
    recipe_begin();
    for (size_t i = 0; i < 2; i++)
        buf_finish(&made.layers[i]);
}

/* Docker's: a layer that is there twice is a link. */
static void test_docker_archives(void **state)
{
    struct buf archive = {0}, config = {0}, manifest = {0};
    recipe_begin();
    char hex[SHA256_HEX_LEN + 1];
    sha256_of(buf_span(&made.layers[0]), hex);
    buf_printf(&config, "{\"config\":{%s},\"rootfs\":{\"diff_ids\":[\"sha256:%s\",\"sha256:%s\"]}}", made.config, hex,
               hex);
    buf_printf(&manifest,
               "[{\"Config\":\"c.json\",\"RepoTags\":[\"a:1\"],\"Layers\":[\"l/layer.tar\",\"m/layer.tar\"]}]");
    member(&archive, "l/layer.tar", '0', 0644, buf_span(&made.layers[0]), "");
    member(&archive, "m/layer.tar", '2', 0644, SPAN_LIT(""), "../l/layer.tar");
    member(&archive, "n", '2', 0644, SPAN_LIT(""), "../../../etc/passwd");
    member(&archive, "c.json", '0', 0644, buf_span(&config), "");
    member(&archive, "manifest.json", '0', 0644, buf_span(&manifest), "");
    file_write("docker.tar", buf_span(&archive));
    expect("docker-archive:docker.tar", NULL);
    expect("docker-archive:docker.tar:a:1", NULL);
    expect("docker-archive:docker.tar:a:2", "no image called a:2");
    expect("oci-archive:docker.tar", "has no index.json");
    struct image image;
    char *root = mem_printf("%s/root", folder);
    assert_int_equal(mkdir(root, 0755), 0);
    assert_true(image_read(&image, "docker-archive:docker.tar", beside, &err));
    assert_true(image_unpack_into(&image, root, NULL, &err));
    assert_true(is_there("/bin/one"));
    image_finish(&image);
    file_write("cut.tar", span_sub(buf_span(&archive), 0, archive.len - 100));
    expect("docker-archive:cut.tar", "it is cut off");
    file_write("cut.tar", span_sub(buf_span(&archive), 0, archive.len - 1000));
    expect("docker-archive:cut.tar", "it is cut off");
    memset(archive.data + archive.off + archive.len - 1024, 'x', 100);
    file_write("damaged.tar", buf_span(&archive));
    expect("docker-archive:damaged.tar", "no tar archive, or a damaged one (");
    buf_finish(&archive);
    buf_finish(&config);
    buf_finish(&manifest);
    recipe_begin();
    for (size_t i = 0; i < 2; i++)
        buf_finish(&made.layers[i]);
    free(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_names, begin, finish),
        cmocka_unit_test_setup_teardown(test_what_is_damaged, begin, finish),
        cmocka_unit_test_setup_teardown(test_what_does_not_run_here, begin, finish),
        cmocka_unit_test_setup_teardown(test_layers_lie_over_each_other, begin, finish),
        cmocka_unit_test_setup_teardown(test_layers_are_packed, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_large_window, begin, finish),
        cmocka_unit_test_setup_teardown(test_a_damaged_blob, begin, finish),
        cmocka_unit_test_setup_teardown(test_other_entries, begin, finish),
        cmocka_unit_test_setup_teardown(test_unpacking_stops, begin, finish),
        cmocka_unit_test_setup_teardown(test_layers_that_mean_harm, begin, finish),
        cmocka_unit_test_setup_teardown(test_layers_that_are_not_what_was_said, begin, finish),
        cmocka_unit_test_setup_teardown(test_docker_archives, begin, finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
