import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { OpencodeToolsError, type StandardImage } from '@opencode-tools/core';

/** Beside a built module; above the sources when they run unbuilt. */
const places = ['./images/', '../../../../docker-images/'];

/** Finds the directory that an image of ours is built from. */
export function findDockerfiles(name: StandardImage): string {
  for (const place of places) {
    const directory = fileURLToPath(new URL(`${place}${name}`, import.meta.url));
    if (existsSync(directory)) return directory;
  }
  throw new OpencodeToolsError(
    'OCT_INTERNAL',
    `The files that ${name} is built from are missing from this installation`,
    {
      remedy: 'Install the package again.',
    },
  );
}
