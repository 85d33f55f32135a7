import { createHash } from 'node:crypto';
import { createReadStream, realpathSync, statSync } from 'node:fs';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { OpencodeToolsError } from '@opencode-tools/core';
import { pack } from 'tar-stream';
import type { EngineClient } from '../engine/engine-client.ts';
import { absentAsUndefined } from '../engine/containers.ts';
import { readLines } from '../images/progress-lines.ts';
import { fullLabels } from '../plan/labels.ts';

const repository = 'opencode-tools-node';
const program = '/usr/bin/node';
/** What an engine calls the architectures that Node names. */
const architectures: Readonly<Record<string, string>> = {
  x64: 'x86_64',
  arm64: 'aarch64',
  ia32: 'i386',
  arm: 'armv7l',
};

interface NodeFiles {
  /** Where each file is on this host, by where it goes. */
  readonly files: ReadonlyMap<string, string>;
  readonly digest: string;
}

/**
 * Gives an image that holds the Node of this very process and nothing else: the program and the libraries that it has loaded.
 * No registry is asked; every machine that runs this can make it. Made once per version of Node.
 *
 * @throws OpencodeToolsError `OCT_CAPABILITY_UNSUPPORTED` when the engine cannot run the programs of this host
 */
export async function ensureNodeImage(client: EngineClient): Promise<string> {
  await assertSamePlatform(client);
  const node = nodeFiles();
  const tag = `${process.versions.node}-${node.digest.slice(0, 12)}`;
  const found = await absentAsUndefined(
    client.call<{ Id: string }>({ method: 'GET', path: `/images/${repository}:${tag}/json` }),
  );
  if (found !== undefined) return found.Id;
  return importFiles(client, node, tag);
}

async function assertSamePlatform(client: EngineClient): Promise<void> {
  const { OSType, Architecture } = await client.call<{ OSType: string; Architecture: string }>({
    method: 'GET',
    path: '/info',
  });
  const own = architectures[process.arch] ?? process.arch;
  if (process.platform === 'linux' && OSType === 'linux' && [own, process.arch].includes(Architecture)) return;
  throw new OpencodeToolsError(
    'OCT_CAPABILITY_UNSUPPORTED',
    `The engine (${OSType}, ${Architecture}) cannot run the Node of this host (${process.platform}, ${process.arch}), of which the egress gateway is made`,
    { remedy: 'Name an image that has Node 22.18 or newer as `node`, such as node:24-slim, by the key egress.image.' },
  );
}

/** The program and what it has loaded; addresses of network interfaces are left out of the report, which makes it quick. */
function nodeFiles(): NodeFiles {
  const report = process.report as typeof process.report & { excludeNetwork: boolean };
  report.excludeNetwork = true;
  const { sharedObjects } = report.getReport() as unknown as { sharedObjects: readonly string[] };
  const libraries = sharedObjects.filter((path) => path.startsWith('/') && !path.endsWith('.node'));
  const files = new Map([[program, realpathSync(process.execPath)]]);
  for (const path of libraries) files.set(path, realpathSync(path));
  const hash = createHash('sha256').update(process.version);
  for (const [path, source] of [...files].sort(([one], [other]) => (one < other ? -1 : 1))) {
    const { size, mtimeMs } = statSync(source);
    hash.update(`\0${path}\0${size}\0${Math.trunc(mtimeMs)}`);
  }
  return { files, digest: hash.digest('hex') };
}

async function importFiles(client: EngineClient, { files, digest }: NodeFiles, tag: string): Promise<string> {
  const tar = pack();
  const filled = fill(tar, files);
  filled.catch((error: unknown) => tar.destroy(error as Error));
  const labels = Object.entries(fullLabels({ kind: 'node', inputs: digest }));
  const changes = labels.map(([name, value]) => `LABEL ${name}=${JSON.stringify(value)}`);
  const answer = await client.stream({
    method: 'POST',
    path: '/images/create',
    query: { fromSrc: '-', repo: repository, tag, changes },
    file: Readable.from(tar),
    limitMs: 300_000,
  });
  await readLines(answer, () => undefined);
  await filled;
  return (await client.call<{ Id: string }>({ method: 'GET', path: `/images/${repository}:${tag}/json` })).Id;
}

/** A binary that was linked against another place still finds its libraries: each goes where it was loaded from. */
async function fill(tar: ReturnType<typeof pack>, files: ReadonlyMap<string, string>): Promise<void> {
  tar.entry({ name: 'tmp/', type: 'directory', mode: 0o1777 });
  tar.entry({ name: 'egress/', type: 'directory', mode: 0o755 });
  for (const [path, source] of files) {
    const { size } = statSync(source);
    const entry = tar.entry({ name: path.slice(1), size, mode: 0o755, mtime: new Date(0) });
    await pipeline(createReadStream(source), entry);
  }
  tar.finalize();
}
