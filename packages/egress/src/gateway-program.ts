import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The gateway's program as files, and how Node starts it. */
export interface GatewayProgram {
  readonly digest: string;
  readonly files: ReadonlyMap<string, string>;
  readonly main: string;
}

/**
 * Flags of its Node: hardly anything that the gateway makes outlives a request, and what is young may take up 3 MB in place of 48
 * before it is collected; `collectOften` needs the collector. The optimising compiler takes 5 MB for its own code and saves nothing that
 * was measured: what takes time is not JavaScript, and the other compilers stay.
 */
export const gatewayFlags: readonly string[] = ['--max-semi-space-size=1', '--no-turbofan', '--expose-gc'];

/**
 * Gives the program of the gateway's process: one bundle beside a built package, else the sources, which Node runs as they are. It
 * needs nothing but Node.
 */
export async function readGatewayProgram(): Promise<GatewayProgram> {
  const bundle = fileURLToPath(new URL('./gateway.cjs', import.meta.url));
  if (existsSync(bundle)) return program('gateway.cjs', new Map([['gateway.cjs', await readFile(bundle, 'utf8')]]));
  return program('egress/gateway/main.ts', await readSources());
}

/** Puts the program into a directory named by its digest, whole or not at all; programs of other versions go. */
export async function installGatewayProgram(
  directory: string,
  { digest, files, main }: GatewayProgram,
): Promise<string> {
  const target = join(directory, digest);
  if (!existsSync(join(target, main))) {
    const fresh = join(directory, `.${digest}-${process.pid}`);
    for (const [name, content] of files) {
      await mkdir(join(fresh, name, '..'), { recursive: true });
      await writeFile(join(fresh, name), content);
    }
    await rename(fresh, target).catch(async (error: unknown) => {
      await rm(fresh, { recursive: true, force: true });
      if (!existsSync(join(target, main))) throw error;
    });
  }
  return `${digest}/${main}`;
}

const fromCore = {
  'printable.ts': './errors/printable.ts',
  'redactor.ts': './services/redactor.ts',
  'pattern-finder.ts': './services/pattern-finder.ts',
  'wrapped-finder.ts': './services/wrapped-finder.ts',
};

function program(main: string, files: ReadonlyMap<string, string>): GatewayProgram {
  const hash = createHash('sha256').update(`${gatewayFlags.join(' ')}\0`);
  for (const [name, content] of files) hash.update(`${name}\0${content}\0`);
  return { main, files, digest: hash.digest('hex').slice(0, 16) };
}

/** The functions of core that the gateway runs, found by its package name because the directory has that name. */
async function readSources(): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>();
  const own = fileURLToPath(new URL('./', import.meta.url));
  for (const entry of await readdir(own, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile() && path.endsWith('.ts'))
      files.set(join('egress', path.slice(own.length)), await readFile(path, 'utf8'));
  }
  for (const [name, path] of Object.entries(fromCore))
    files.set(name, await readFile(new URL(path, import.meta.resolve('@opencode-tools/core')), 'utf8'));
  files.set(
    'core.ts',
    Object.keys(fromCore)
      .map((name) => `export * from './${name}';\n`)
      .join(''),
  );
  files.set('package.json', JSON.stringify({ name: '@opencode-tools/core', type: 'module', exports: './core.ts' }));
  return files;
}
