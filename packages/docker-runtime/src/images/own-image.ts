import { once } from 'node:events';
import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type ByteStream, OpencodeToolsError, isOpencodeToolsError, printable } from '@opencode-tools/core';
import { type Extract, type Header, type Pack, extract, pack } from 'tar-stream';
import type { EngineClient } from '../engine/engine-client.ts';
import { readLines } from './progress-lines.ts';

/** What an image becomes that another engine saved. */
export interface OwnImage {
  readonly tag: string;
  readonly labels: Readonly<Record<string, string>>;
  /** What the engine runs on, as Go names it. */
  readonly architecture: string;
}

const descriptions: ReadonlySet<string> = new Set(['manifest.json', 'repositories', 'index.json', 'oci-layout']);
const longestText = 1024 * 1024;
const mostTexts = 2_000;
const manifestName = 'manifest.json';
const configName = 'opencode-tools.json';
const layerLink = /^(\.\.\/)?[0-9a-f]{64}\/layer\.tar$/;

/**
 * Rewrites a tar that an engine saved an image to, which may be hostile: its one image gets this name and these labels and no other, and of
 * what it says about itself only what a program needs to run. Nothing in it is run.
 *
 * @returns a stream that breaks off with `OCT_INVALID_ARGUMENT`, or with `OCT_CAPABILITY_UNSUPPORTED` for another architecture
 */
export function asOwnImage(saved: ByteStream, as: OwnImage): Readable {
  const [incoming, out] = [extract(), pack()];
  const reading = pipeline(Readable.from(saved), incoming as unknown as Writable);
  Promise.all([reading, new ImageRewriter(out, as).read(incoming)]).catch((error: unknown) => {
    const cause = isOpencodeToolsError(error) ? error : refused('it is cut off or damaged', error);
    incoming.destroy(cause);
    out.destroy(cause);
  });
  return out as unknown as Readable;
}

/** Sends an image to the engine. @throws what the image breaks off with, rather than what the engine makes of it */
export async function loadImage(client: EngineClient, image: Readable, signal: AbortSignal | undefined): Promise<void> {
  const query = { quiet: 1 };
  try {
    const answer = await client.stream({
      method: 'POST',
      path: '/images/load',
      query,
      file: image,
      moves: true,
      signal,
    });
    await readLines(answer, () => undefined);
  } catch (error) {
    throw isOpencodeToolsError(image.errored) ? image.errored : error;
  }
}

class ImageRewriter {
  readonly #out: Pack;
  readonly #as: OwnImage;
  readonly #passedOn = new Set<string>();
  /** Everything that is short, since what a configuration is called is only known at the end. */
  readonly #texts = new Map<string, Buffer>();

  constructor(out: Pack, as: OwnImage) {
    this.#out = out;
    this.#as = as;
  }

  async read(incoming: Extract): Promise<void> {
    for await (const member of incoming) {
      const name = member.header.name.replace(/^\.\//, '');
      await this.#take({ ...member.header, name }, member as AsyncIterable<Buffer>);
    }
    const { config, layers } = describe(this.#texts, this.#passedOn, this.#as);
    await this.#text(configName, config);
    await this.#text(manifestName, json([{ Config: configName, RepoTags: [this.#as.tag], Layers: layers }]));
    this.#out.finalize();
  }

  async #take({ name, type, size, linkname }: Header, content: AsyncIterable<Buffer>): Promise<void> {
    if (this.#passedOn.has(name) || name === configName) throw refused(`it has a member twice: ${shown(name)}`);
    if (type === 'symlink' && layerLink.test(linkname ?? '')) {
      this.#passedOn.add(name);
      this.#out.entry({ ...plain, name, type, linkname: linkname ?? '' });
    } else if (type === 'file' && size <= longestText) {
      if (this.#texts.size >= mostTexts) throw refused('it has too many members');
      const bytes = await whole(content);
      this.#texts.set(name, bytes);
      if (!descriptions.has(name)) await this.#text(name, bytes);
      return;
    } else if (type === 'file' && !descriptions.has(name)) {
      this.#passedOn.add(name);
      await copy(content, this.#out.entry({ ...plain, name, size }));
      return;
    } else if (type !== 'directory') throw refused(`it has a member that no image has: ${shown(name)}`);
    for await (const _ of content);
  }

  async #text(name: string, bytes: Buffer): Promise<void> {
    this.#passedOn.add(name);
    await copy([bytes], this.#out.entry({ ...plain, name, size: bytes.length }));
  }
}

const plain = { mode: 0o644, mtime: new Date(0) };

async function copy(
  content: AsyncIterable<Buffer> | Iterable<Buffer>,
  entry: ReturnType<Pack['entry']>,
): Promise<void> {
  for await (const bytes of content) if (!entry.write(bytes)) await once(entry, 'drain');
  entry.end(null);
}

async function whole(content: AsyncIterable<Buffer>): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of content) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function shown(name: string): string {
  return JSON.stringify(printable(name.slice(0, 120)));
}

type Loose = Readonly<Record<string, unknown>>;

function describe(
  texts: ReadonlyMap<string, Buffer>,
  there: ReadonlySet<string>,
  as: OwnImage,
): { readonly config: Buffer; readonly layers: readonly string[] } {
  const [image, ...others] = listIn(parse(texts, manifestName), 'its manifest');
  if (others.length > 0) throw refused('it has more than one image');
  const { Config: configOf, Layers } = objectIn(image, 'its manifest');
  const layers = listIn(Layers, 'its layers').map((layer) => textIn(layer, 'a layer'));
  if (layers.some((layer) => !there.has(layer))) throw refused('it lacks a layer');
  const said = objectIn(parse(texts, textIn(configOf, 'its configuration')), 'its configuration');
  const { architecture, os, created, config = {}, rootfs, history } = said;
  if (os !== 'linux') throw refused('it is not for Linux');
  if (architecture !== as.architecture) throw otherArchitecture(architecture, as.architecture);
  const digests = listIn(objectIn(rootfs, 'its layers')['diff_ids'], 'its layers');
  if (digests.length !== layers.length) throw refused('its layers are not those that it names');
  const { Env, User, WorkingDir, Cmd } = objectIn(config, 'its configuration');
  const runs = { Env: Env ?? [], User: User ?? '', WorkingDir: WorkingDir ?? '', Cmd: Cmd ?? ['/bin/sh'] };
  const own = { architecture, os, created, config: { ...runs, Labels: as.labels }, rootfs, history };
  return { config: json(own), layers };
}

function parse(texts: ReadonlyMap<string, Buffer>, name: string): unknown {
  const bytes = texts.get(name);
  if (bytes === undefined) throw refused(`it lacks ${shown(name)}`);
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch (error) {
    throw refused(`${shown(name)} is no JSON`, error);
  }
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value));
}

function objectIn(value: unknown, what: string): Loose {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Loose;
  throw refused(`${what} cannot be read`);
}

function listIn(value: unknown, what: string): readonly unknown[] {
  if (Array.isArray(value) && value.length > 0) return value;
  throw refused(`${what} cannot be read`);
}

function textIn(value: unknown, what: string): string {
  if (typeof value === 'string') return value;
  throw refused(`${what} cannot be read`);
}

function otherArchitecture(found: unknown, ours: string): OpencodeToolsError {
  const message = `The image is for ${shown(String(found))}; this engine runs ${ours}`;
  return new OpencodeToolsError('OCT_CAPABILITY_UNSUPPORTED', message, {
    remedy: 'Take the checkpoint in without its root file system, and install there what it needs.',
    details: { capability: 'architecture' },
  });
}

function refused(why: string, cause?: unknown): OpencodeToolsError {
  return new OpencodeToolsError('OCT_INVALID_ARGUMENT', `The saved image is refused: ${why}`, {
    remedy: 'Export it again, and copy the file whole.',
    details: { argument: 'file' },
    ...(cause === undefined ? {} : { cause }),
  });
}
