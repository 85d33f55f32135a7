import { Readable, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ImageRecipe } from '@opencode-tools/core';
import { extract } from 'tar-stream';
import { parseDockerIgnore } from './docker-ignore.ts';

/** Where a context says what is not sent: the first of these that is there counts. */
const ignoreFiles = (dockerfile: string): readonly string[] => [`${dockerfile}.dockerignore`, '.dockerignore'];

/** Says of a path in a context whether it is left out, by the context's own `.dockerignore` or the Dockerfile's. */
export async function ignoredBy(
  context: NonNullable<ImageRecipe['context']>,
  dockerfile: string,
): Promise<(path: string) => boolean> {
  const names = ignoreFiles(dockerfile);
  const found = new Map<string, string>();
  const entries = extract();
  const reading = (async () => {
    for await (const entry of entries) {
      const name = entry.header.name.replace(/^\.\//, '');
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry as AsyncIterable<Uint8Array>) if (names.includes(name)) chunks.push(chunk);
      if (names.includes(name)) found.set(name, Buffer.concat(chunks).toString('utf8'));
    }
  })();
  const within = (path: string): boolean => names.some((name) => name === path || name.startsWith(`${path}/`));
  const tar = context((path) => !within(path));
  await Promise.all([reading, pipeline(Readable.from(tar), entries as unknown as Writable)]);
  const text = names.map((name) => found.get(name)).find((one) => one !== undefined) ?? '';
  return parseDockerIgnore(text, [dockerfile, ...names]);
}
