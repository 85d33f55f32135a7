import { createHash } from 'node:crypto';
import { readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Pack, pack } from 'tar-stream';

interface ContextFile {
  readonly name: string;
  readonly mode: number;
  readonly content: Buffer;
}

/** What is sent to the engine to build an image. */
export interface BuildContext {
  /** SHA-256 over names, modes and contents of the shipped files. */
  readonly digest: string;
  /** @param extra further files, such as the host's package sources; not part of the digest */
  tar(extra: Readonly<Record<string, string>>): Pack;
}

export async function readBuildContext(directory: string): Promise<BuildContext> {
  const names = (await readdir(directory)).sort();
  const files = await Promise.all(names.map(async (name) => readContextFile(directory, name)));
  const hash = createHash('sha256');
  for (const { name, mode, content } of files) hash.update(`${name}\0${mode}\0${content.length}\0`).update(content);
  return { digest: hash.digest('hex'), tar: (extra) => packContext(files, extra) };
}

async function readContextFile(directory: string, name: string): Promise<ContextFile> {
  const path = join(directory, name);
  const content = await readFile(path);
  const script = content.subarray(0, 2).toString('latin1') === '#!';
  return { name, content, mode: script || (await stat(path)).mode & 0o100 ? 0o755 : 0o644 };
}

function packContext(files: readonly ContextFile[], extra: Readonly<Record<string, string>>): Pack {
  const tar = pack();
  const mtime = new Date(0);
  for (const { name, mode, content } of files) tar.entry({ name, mode, mtime }, content);
  tar.entry({ name: 'apt/', type: 'directory', mode: 0o755, mtime });
  for (const [name, content] of Object.entries(extra)) tar.entry({ name: `apt/${name}`, mode: 0o644, mtime }, content);
  tar.finalize();
  return tar;
}
