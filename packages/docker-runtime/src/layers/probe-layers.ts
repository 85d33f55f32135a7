import { createHash } from 'node:crypto';
import type { ArchiveRequest, LayerCapability, LayerPort, LayerStack } from '@opencode-tools/core';
import { absentAsUndefined } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { emptyImage, importEmptyImage } from '../volumes/helper-container.ts';
import { mountedTarget } from './layer-containers.ts';
import { mountCheck } from './layer-scripts.ts';

/** A name of the empty image says for which engine, version and kernel layers were tried and found good. */
const markRepository = 'opencode-tools-layers';

/** Raised when what is tried, or how layers are used, changes. */
const trialVersion = 5;

export async function whatItDependsOn(client: EngineClient): Promise<string> {
  const info = await client.call<Readonly<Record<string, unknown>>>({ method: 'GET', path: '/info' });
  const facts = ['ID', 'ServerVersion', 'KernelVersion', 'Driver', 'DockerRootDir'].map((key) => info[key]);
  return createHash('sha256')
    .update(JSON.stringify([trialVersion, ...facts]))
    .digest('hex')
    .slice(0, 32);
}

export async function wasAble(client: EngineClient, about: string): Promise<boolean> {
  const path = `/images/${encodeURIComponent(`${markRepository}:${about}`)}/json`;
  return (await absentAsUndefined(client.call({ method: 'GET', path }))) !== undefined;
}

export async function rememberAble(client: EngineClient, about: string): Promise<void> {
  const path = `/images/${encodeURIComponent(emptyImage)}/tag`;
  const query = { repo: markRepository, tag: about };
  const tag = async (): Promise<unknown> => client.call({ method: 'POST', path, query });
  if ((await absentAsUndefined(tag().then(() => true))) === undefined) {
    await importEmptyImage(client);
    await tag();
  }
}

export interface TrialTools {
  /** Begins the names of volumes; unique. */
  readonly prefix: string;
  /** By which whoever comes after a crash knows them. */
  readonly labels: Readonly<Record<string, string>>;
  /** Runs a script of `sh` as root in a container that has the volume at `mountedTarget`, and gives what it wrote. */
  run(volume: string, script: string): Promise<string>;
  remove(volume: string): Promise<void>;
}

const plant = [
  'mkdir -p dir/sub opaque',
  'echo first >a; ln a alias; echo deep >dir/sub/file; echo gone >gone; echo hidden >opaque/old; echo plain >plain',
  'chown 1000:1000 a dir plain; chmod 4750 plain; touch -d @1000000000.123456789 plain dir/sub; chmod 1770 dir',
];
const edit = [
  'mv dir moved; rm gone; rm -r opaque; mkdir opaque; echo new >opaque/new',
  'echo second >>a; ln alias third; rm plain; mkdir plain; echo inside >plain/file; truncate -s 1048576 sparse',
];
const editMore = ['echo more >moved/more; mkdir kept; echo one >kept/one; echo two >kept/two; ln kept/two kept/three'];
const editAgain = ['rm moved/sub/file kept/one; mv plain/file plain/renamed; chmod 700 opaque; echo too >>kept/three'];
const describe = [
  "{ find . -mindepth 1 -type d -printf '%y %m %U %G %T@ %P\\n' -o -mindepth 1 -printf '%y %m %U %G %n %s %T@ %P %l\\n'; find . -type f -exec sha256sum {} +; } | sort",
];

/**
 * Does once what layers are used for: stacks, writes, renames a lower directory, replaces one, removes, changes a file with
 * several names, archives in all three ways, stacks again, flattens; after each step the tree must be what it was.
 */
export async function tryLayers(layers: LayerPort, tools: TrialTools): Promise<LayerCapability> {
  const root = { mode: 0o755, uid: 1000, gid: 1000 };
  const volumes: string[] = [];
  const see = async (volume: string, { upper, lowers }: LayerStack, ...lines: readonly string[]): Promise<string> => {
    const names = [...(upper === null ? [] : [upper]), ...lowers];
    const script = ['set -eu; export LC_ALL=C', ...mountCheck(mountedTarget, names), `cd ${mountedTarget}`, ...lines];
    return tools.run(volume, script.join('\n'));
  };
  const stacked = async (upper: string, lowers: readonly string[]) => {
    const volume = `${tools.prefix}-${upper}`;
    volumes.push(volume);
    const stack = { upper, lowers };
    await layers.stack({ name: volume, labels: tools.labels }, stack);
    return { volume, stack };
  };
  try {
    await layers.makeEmpty('e');
    await layers.prepare(['u0', 'u1', 'u2', 'u3', 'u4'].map((name) => ({ name, root })));
    const archive = async (
      from: { readonly volume: string; readonly stack: LayerStack & { upper: string } },
      layer: string,
      previous: ArchiveRequest['previous'],
    ) => {
      const made = await layers.archive({ ...from, layer, previous, mayAdd: true, root, packFrom: 1 });
      await layers.unpack(layer);
      return made;
    };
    const first = await stacked('u0', ['e']);
    await see(first.volume, first.stack, ...plant);
    await archive(first, 'l0', null);
    const second = await stacked('u1', ['l0', 'e']);
    const edited = await see(second.volume, second.stack, ...edit, ...describe);
    await archive(second, 'l1', null);
    const third = await stacked('u2', ['l1', 'e']);
    if ((await see(third.volume, third.stack, ...describe)) !== edited) return unlike('an archive of hard links');
    await see(third.volume, third.stack, ...editMore);
    await archive(third, 'l2', null);
    const again = await see(third.volume, third.stack, ...editAgain, ...describe);
    const added = await archive(third, 'l3', 'l2');
    if (added.kind !== 'layer' || added.onto !== 'previous') return unlike('an addition to an archive');
    const fourth = await stacked('u3', ['l3', 'l2', 'l1', 'e']);
    if ((await see(fourth.volume, fourth.stack, ...describe)) !== again) return unlike('a second stack on an archive');
    await layers.flatten('l4', ['l3', 'l2', 'l1', 'e']);
    const last = await stacked('u4', ['l4']);
    if ((await see(last.volume, last.stack, ...describe)) !== again) return unlike('a flattened layer');
    return { able: true };
  } finally {
    for (const volume of volumes) await tools.remove(volume);
  }
}

function unlike(what: string): LayerCapability {
  return { able: false, reason: `the tree of ${what} is not what it was` };
}
