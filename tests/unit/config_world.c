/*
 * The world of the config tests.
 */
#include "tests/unit/config_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/common/file.h"
#include "core/common/log.h"
#include "core/common/text.h"

const char world_plugins[] = "plugins: {\n"
                             "  src: { plugin = \"source_a\"; };\n"
                             "  ear: { plugin = \"stt_a\"; };\n"
                             "  out: { plugin = \"publish_a\"; dir = \"clips\"; };\n"
                             "};\n";
const char world_pipeline[] =
    "pipeline: (\n"
    "  { step = \"fetch\"; stage = \"source\"; use = [ \"src\" ]; },\n"
    "  { step = \"words\"; stage = \"stt\"; use = [ \"ear\" ]; after = [ \"fetch\" ]; },\n"
    "  { step = \"post\"; stage = \"publish\"; use = [ \"target\" ]; after = [ \"words\" ]; each = \"target\"; }\n"
    ");\n";

static const char worker[] =
    "#!/bin/sh\n"
    "case $2 in\n"
    "*/source_a.so) echo '{\"name\":\"source_a\",\"reach\":\"local\",\"stage\":\"source\",\"options\":[],"
    "\"stage_facts\":{\"schemes\":\"file http https\"}}';;\n"
    "*/stt_a.so) echo '{\"name\":\"stt_a\",\"reach\":\"local\",\"stage\":\"stt\",\"options\":["
    "{\"name\":\"model\",\"type\":\"string\",\"required\":false,\"default\":\"\",\"help\":\"h\"},"
    "{\"name\":\"beams\",\"type\":\"int\",\"required\":false,\"default\":\"4\",\"min\":1,\"max\":9,\"help\":\"h\"},"
    "{\"name\":\"wait\",\"type\":\"time\",\"required\":false,\"default\":\"1s\",\"help\":\"h\"},"
    "{\"name\":\"share\",\"type\":\"real\",\"required\":false,\"default\":\"0.5\",\"help\":\"h\"},"
    "{\"name\":\"fast\",\"type\":\"bool\",\"required\":false,\"default\":\"false\",\"help\":\"h\"},"
    "{\"name\":\"key\",\"type\":\"secret\",\"required\":false,\"default\":\"\",\"help\":\"h\"}],"
    "\"stage_facts\":{\"languages\":\"en\",\"needs_captions\":false}}';;\n"
    "*/publish_a.so) echo '{\"name\":\"publish_a\",\"reach\":\"local\",\"stage\":\"publish\",\"options\":["
    "{\"name\":\"dir\",\"type\":\"path\",\"required\":true,\"writable\":true,\"default\":null,\"help\":\"the "
    "folder\"}],"
    "\"stage_facts\":{\"settle\":4,\"settle_ms\":100,\"can_find\":true}}';;\n"
    "*/crash.so) kill -SEGV $$;;\n"
    "*/words.so) echo 'it has no ops' >&2; exit 78;;\n"
    "*/garbage.so) echo '{\"reach\":\"local\",\"stage\":';;\n"
    "*/stage.so) echo '{\"reach\":\"local\",\"stage\":\"cooking\"}';;\n"
    "esac\n";

void world_open(struct world *world)
{
    *world = (struct world){.folder = "/tmp/clipmaker-config-XXXXXX"};
    if (!mkdtemp(world->folder)) {
        abort();
    }
    cm_log_open("test", CM_LOG_PLAIN, 4);
    static const char *const plugins[] = {"source_a", "stt_a", "publish_a", "crash", "words", "garbage", "stage"};
    for (size_t i = 0; i < sizeof plugins / sizeof *plugins; i++) {
        char name[64];
        snprintf(name, sizeof name, "plugins/%s.so", plugins[i]);
        world_write(world, name, "");
    }
    world_write(world, "worker", worker);
    char *path = world_path(world, "worker");
    chmod(path, 0700);
    free(path);
    world->registry = cm_registry_new();
}

void world_close(struct world *world)
{
    cm_config_free(world->config);
    cm_complaints_free(&world->complaints);
    cm_registry_free(world->registry);
    cm_folder_remove(world->folder);
}

char *world_path(struct world *world, const char *name)
{
    return cm_path_join(world->folder, name);
}

void world_write(struct world *world, const char *name, const char *text)
{
    char *path = world_path(world, name);
    char *folder = cm_strndup(path, (size_t)(strrchr(path, '/') - path));
    if (cm_folder_make(folder) || cm_file_write(path, text, strlen(text))) {
        abort();
    }
    free(folder);
    free(path);
}

void world_write_config(struct world *world, const char *rest)
{
    char *text = cm_format("worker = \"worker\"; plugin_folder = \"plugins\";\nstate = \"state\";\n%s", rest);
    world_write(world, "clipmaker.conf", text);
    free(text);
}

void world_load(struct world *world)
{
    cm_config_free(world->config);
    cm_complaints_free(&world->complaints);
    char *path = world_path(world, "clipmaker.conf");
    world->config = cm_config_load(path, &world->overrides, world->registry, &world->complaints);
    free(path);
}

int world_complains(struct world *world, const char *name, int line, const char *words)
{
    char *place = line ? cm_format("%s/%s:%d: ", world->folder, name, line) : cm_strdup("");
    int found = 0;
    for (size_t i = 0; i < world->complaints.count; i++) {
        found |= cm_starts_with(world->complaints.lines[i], place) && strstr(world->complaints.lines[i], words);
    }
    for (size_t i = 0; !found && i < world->complaints.count; i++) {
        fprintf(stderr, "has: %s\n", world->complaints.lines[i]);
    }
    if (!found) {
        fprintf(stderr, "not: %s%s\n", place, words);
    }
    free(place);
    return found;
}
