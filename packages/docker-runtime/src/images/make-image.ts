import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  type BuildProgress,
  type ByteStream,
  type ImageFacts,
  type ImageRecipe,
  OpencodeToolsError,
  sha256,
} from '@opencode-tools/core';
import { type Header, extract, pack } from 'tar-stream';
import type { EngineClient } from '../engine/engine-client.ts';
import { fullLabels, labelKeys } from '../plan/labels.ts';
import { ignoredBy } from './ignored-by.ts';
import { buildOnEngine } from './build-on-engine.ts';

export interface MakeOptions {
  readonly force?: boolean;
  readonly signal?: AbortSignal | undefined;
  readonly onLine: BuildProgress;
}

/** What making an image asks of the images that there are. */
export interface KnownImages {
  ensure(reference: string): Promise<ImageFacts>;
  list(labels: Readonly<Record<string, string>>): Promise<readonly ImageFacts[]>;
  tag(id: string, repository: string, tag: string): Promise<void>;
}

const nameForm = /^[a-z0-9]+(?:[._/-][a-z0-9]+)*$/;
const digestLength = 12;

/**
 * Makes an image in two steps, each of which is kept by the digest of what goes into it: a Dockerfile with its context, then setup
 * steps on that, or on a base. What was made before is found again and nothing is built; the name leads to it afterwards.
 *
 * @returns the reference of the image
 */
export async function makeImage(
  client: EngineClient,
  known: KnownImages,
  recipe: ImageRecipe,
  options: MakeOptions,
): Promise<string> {
  assertRecipe(recipe);
  const { name, setup } = recipe;
  const below =
    recipe.context === undefined ? await baseOf(known, recipe) : await fromDockerfile(client, known, recipe, options);
  const inputs = sha256(JSON.stringify([below.id, setup]));
  const existing = options.force === true || setup.length === 0 ? undefined : await versionWith(known, name, inputs);
  let { id } = existing ?? below;
  if (existing !== undefined) options.onLine(`${name} is made already: ${inputs.slice(0, digestLength)}`);
  else if (setup.length > 0 || recipe.context === undefined) {
    options.onLine(`Making ${name} on ${below.reference}`);
    const context = contextOf(dockerfileOf(below, setup, labelsOf(recipe, inputs, below)));
    id = await buildOnEngine(client, { context, ...cacheUse(options) }, options);
    await known.tag(id, name, `inputs-${inputs.slice(0, digestLength)}`);
  }
  await known.tag(id, name, 'latest');
  return id;
}

interface Below {
  readonly id: string;
  readonly reference: string;
  readonly user: string;
}

async function baseOf(known: KnownImages, { base }: ImageRecipe): Promise<Below> {
  const reference = base ?? '';
  const { id, user } = await known.ensure(reference);
  return { id, reference, user };
}

async function fromDockerfile(
  client: EngineClient,
  known: KnownImages,
  recipe: ImageRecipe,
  options: MakeOptions,
): Promise<Below> {
  const { name, context, dockerfile = 'Dockerfile', setup } = recipe;
  if (context === undefined) throw new Error('a recipe with a Dockerfile has a context');
  const leaveOut = await ignoredBy(context, posix.normalize(dockerfile));
  const inputs = sha256(JSON.stringify(['dockerfile', dockerfile, await digestOf(context(leaveOut))]));
  const existing = options.force === true ? undefined : await versionWith(known, name, inputs);
  if (existing !== undefined)
    options.onLine(`The Dockerfile of ${name} is built already: ${inputs.slice(0, digestLength)}`);
  else options.onLine(`Building the Dockerfile of ${name}`);
  const reference = `the Dockerfile of ${name}`;
  if (existing !== undefined) return { id: existing.id, reference, user: existing.user };
  const labels = { [labelKeys.recipe]: name, [labelKeys.inputs]: inputs, [labelKeys.home]: '', [labelKeys.base]: '' };
  const id = await buildOnEngine(
    client,
    { context: Readable.from(context(leaveOut)), dockerfile, labels, ...cacheUse(options) },
    options,
  );
  await known.tag(id, name, `${setup.length > 0 ? 'dockerfile' : 'inputs'}-${inputs.slice(0, digestLength)}`);
  return { id, reference, user: (await known.ensure(id)).user };
}

async function versionWith(known: KnownImages, name: string, inputs: string): Promise<ImageFacts | undefined> {
  const [found] = await known.list({ [labelKeys.recipe]: name, [labelKeys.inputs]: inputs });
  return found;
}

/**
 * Each step is a layer of its own; what the image runs as stays. The exec form keeps a step as it is, lines and quotes included. All
 * labels are one instruction: of those that a builder is told apart, each makes an image on the way.
 */
function dockerfileOf({ id, user }: Below, setup: readonly string[], labels: Readonly<Record<string, string>>): string {
  const steps = setup.map((step) => `RUN ${JSON.stringify(['/bin/sh', '-ec', step])}\n`);
  const label = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `FROM ${id}\nUSER 0\n${steps.join('')}USER ${user === '' ? '0' : user}\nLABEL ${label.join(' ')}\n`;
}

function labelsOf({ name }: ImageRecipe, inputs: string, below: Below): Record<string, string> {
  // Who owns the directories in it is as in what it is made of.
  const { [labelKeys.owner]: _owner, ...labels } = fullLabels({
    kind: 'image',
    recipe: name,
    inputs,
    base: `${below.reference} ${below.id}`,
  });
  return labels;
}

/** By force nothing is taken from the engine's own cache either: steps that fetch get what there is now. */
function cacheUse({ force }: MakeOptions): { readonly noCache?: true } {
  return force === true ? { noCache: true } : {};
}

function contextOf(dockerfile: string): Readable {
  const tar = pack();
  tar.entry({ name: 'Dockerfile', mode: 0o644, mtime: new Date(0) }, dockerfile);
  tar.finalize();
  return tar as unknown as Readable;
}

/** Over names, kinds, modes and contents: when a file was written makes no difference. */
async function digestOf(tar: ByteStream): Promise<string> {
  const entries = extract();
  const lines: string[] = [];
  const reading = (async () => {
    for await (const entry of entries as unknown as AsyncIterable<AsyncIterable<Uint8Array> & { header: Header }>) {
      const { name, type, mode, linkname } = entry.header;
      const content = createHash('sha256');
      for await (const chunk of entry) content.update(chunk);
      lines.push(JSON.stringify([name, type, mode, linkname ?? null, content.digest('hex')]));
    }
  })();
  await Promise.all([reading, pipeline(Readable.from(tar), entries as unknown as Writable)]);
  return sha256(lines.sort().join('\n'));
}

function assertRecipe({ name, base, context, setup }: ImageRecipe): void {
  if (!nameForm.test(name) || name.startsWith('opencode-sandbox-')) {
    throw refused(
      'name',
      `Not a name for an image of your own: ${name}`,
      'Use lower case letters and digits, with . _ - / between them.',
    );
  }
  if ((base === undefined) === (context === undefined))
    throw refused('base', 'An image is made either from a base or from a Dockerfile', 'Give one of the two.');
  if (setup.some((step) => step.trim() === '' || step.includes('\0')))
    throw refused('setup', 'A setup step is empty or holds a NUL character', 'Give a command for `sh`.');
}

function refused(argument: string, message: string, remedy: string): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', message, { remedy, details: { argument } });
}
