import { resolve } from 'node:path';
import type { ImageFacts, ImageVersion } from '@opencode-tools/core';
import { given } from '../arguments/input.ts';
import { integer, path, text } from '../arguments/values.ts';
import type { Command, CommandContext } from '../command.ts';
import { formatBytes, formatTime, lines, oneLine } from '../render/format.ts';
import { table } from '../render/table.ts';

const nameParameter = { name: 'name', summary: 'name of the image, without a tag' };
const pageSize = 200;

export const imagesMake: Command<{ readonly image: ImageFacts }> = {
  name: 'images make',
  summary: 'make an image of your own from a base or a Dockerfile, and setup steps',
  notes: [
    'What was made from the same is found again, by the digest of base or context and steps: nothing is built, and no network is needed. The name leads to the image afterwards, so that `create-task --image NAME` uses it; versions made before stay.',
    'Steps run as root by `sh -e`, one layer each. The files of the context are sent to the engine, without those that its `.dockerignore` names. A name alone makes what the key `images` of the configuration says.',
  ],
  parameters: [nameParameter],
  options: [
    { name: 'base', value: text('image'), summary: 'make it from this image' },
    { name: 'context', value: path('directory'), summary: 'make it from the Dockerfile in this directory' },
    { name: 'dockerfile', value: text('file'), summary: 'with --context: another file in it' },
    { name: 'setup', value: text('script'), repeatable: true, summary: 'setup step, in order' },
    { name: 'force', summary: 'build even when nothing changed, without a cache' },
  ],
  async run({ input, home, call, json, terminal, cwd }) {
    const directory = input.get<string>('context');
    const from = directory === undefined ? undefined : resolve(cwd, directory);
    const recipe = {
      name: input.text('name'),
      setup: input.list('setup'),
      ...given({
        base: input.get<string>('base'),
        context:
          from === undefined
            ? undefined
            : (leaveOut: (path: string) => boolean) => home.hostFiles.pack(from, '.', call.signal, leaveOut),
        dockerfile: input.get<string>('dockerfile'),
      }),
    };
    const options = {
      force: input.flag('force'),
      ...given({ signal: call.signal }),
      ...(json ? {} : { onProgress: (line: string) => terminal.writeError(`${oneLine(line, 200)}\n`) }),
    };
    return { image: await home.images.make(recipe, options) };
  },
  render: ({ image }, style) =>
    `${style.good('made')} ${oneLine(image.references[0] ?? image.id, 80)} ${style.dim(formatBytes(image.sizeBytes))}`,
};

export const imagesVersions: Command<{ readonly versions: readonly ImageVersion[] }> = {
  name: 'images versions',
  summary: 'list what was made for a name, newest first',
  notes: ['stale: the reference of its base leads to another image by now. `images make` again to follow it.'],
  parameters: [nameParameter],
  options: [],
  run: async ({ input, home }) => ({ versions: await home.images.versions(input.text('name')) }),
  render: ({ versions }, style) =>
    versions.length === 0
      ? style.dim('No versions.')
      : table(
          versions,
          [
            { title: 'VERSION', text: ({ id }) => shortDigest(id) },
            { title: 'SIZE', align: 'right', text: ({ sizeBytes }) => formatBytes(sizeBytes) },
            { title: 'CREATED', text: ({ createdAt }) => formatTime(createdAt) },
            { title: 'STATE', text: stateOf },
          ],
          style,
        ),
};

export const imagesRollback: Command<{ readonly version: ImageVersion }> = {
  name: 'images rollback',
  summary: 'let a name lead to the version before its current one, or to the one that is named',
  notes: ['Tasks keep the version that they were created with.'],
  parameters: [nameParameter, { name: 'version', summary: 'as `images versions` shows it, or a tag', optional: true }],
  options: [],
  run: async ({ input, home }) => ({
    version: await home.images.rollBack(input.text('name'), input.get<string>('version')),
  }),
  render: ({ version }, style) => `${style.good('current')} ${shortDigest(version.id)}`,
};

interface Pruned {
  readonly removed: readonly ImageVersion[];
  readonly kept: readonly {
    readonly version: ImageVersion;
    readonly why: 'current' | 'recent' | 'of a task' | 'in use';
  }[];
}

export const imagesPrune: Command<Pruned> = {
  name: 'images prune',
  summary: 'remove old versions of an image of your own that nothing needs',
  notes: [
    'Kept are the current one, the newest, those that a task was created with, and whatever the engine says is in use.',
  ],
  parameters: [nameParameter],
  options: [
    { name: 'keep', value: integer('count', 0, 1_000), summary: 'how many of the newest stay (default: 3)' },
    { name: 'dry-run', summary: 'only say what would be removed' },
  ],
  async run(context) {
    const { input, home } = context;
    const versions = await home.images.versions(input.text('name'));
    const needed = await imagesOfTasks(context);
    const removed: ImageVersion[] = [];
    const kept: Pruned['kept'][number][] = [];
    for (const [place, version] of versions.entries()) {
      const why = version.current
        ? 'current'
        : place < (input.get<number>('keep') ?? 3)
          ? 'recent'
          : needed.has(version.id)
            ? 'of a task'
            : undefined;
      if (why !== undefined) kept.push({ version, why });
      else if (input.flag('dry-run') || (await home.images.removeVersion(version))) removed.push(version);
      else kept.push({ version, why: 'in use' });
    }
    return { removed, kept };
  },
  render: ({ removed, kept }, style) =>
    lines(
      ...removed.map(({ id, sizeBytes }) => `${style.good('removed')} ${shortDigest(id)} ${formatBytes(sizeBytes)}`),
      ...kept.map(({ version, why }) => style.dim(`kept ${shortDigest(version.id)}: ${why}`)),
    ),
};

async function imagesOfTasks({ services }: CommandContext): Promise<ReadonlySet<string>> {
  const found = new Set<string>();
  let cursor: string | null = null;
  do {
    const page = { limit: pageSize, ...(cursor === null ? {} : { cursor }) };
    const { items, next } = await services.tasks.list({}, page);
    for (const { sandboxSpec } of items) if (sandboxSpec.imageId !== null) found.add(sandboxSpec.imageId);
    cursor = next;
  } while (cursor !== null);
  return found;
}

function stateOf({ current, stale }: ImageVersion): string {
  return [current && 'current', stale === true && 'stale'].filter(Boolean).join(', ');
}

function shortDigest(id: string): string {
  return id.replace('sha256:', '').slice(0, 12);
}
