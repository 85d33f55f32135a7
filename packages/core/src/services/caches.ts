import { type HomeId, shortId } from '../domain/ids.ts';
import type { JsonObject } from '../domain/json.ts';
import type { Task } from '../domain/task.ts';
import { isOpencodeToolsError } from '../errors/opencode-tools-error.ts';
import type { SandboxMount } from '../ports/sandbox-runtime.ts';
import type { VolumePort } from '../ports/volume-port.ts';
import type { CacheFacts, CacheService } from './cache-contract.ts';
import type { Call } from './call.ts';
import { type Kernel, draft } from './kernel.ts';
import { invalid } from './validate.ts';

const prefix = 'io.opencode-tools.';
export const cacheKind = 'cache';
const measureLimitMs = 30_000;

/** Checks names of caches against those that the configuration has. */
export function cacheNames(kernel: Kernel, names: readonly string[]): readonly string[] {
  const configured = kernel.deps.defaults.caches ?? {};
  const unknown = names.find((name) => !Object.hasOwn(configured, name));
  if (unknown === undefined) return [...new Set(names)];
  const known = Object.keys(configured);
  throw invalid(
    'caches',
    `names ${JSON.stringify(unknown.slice(0, 80))}, which is not configured`,
    known.length === 0
      ? 'Name it under `caches` in the user configuration, such as `npm: default`.'
      : `Use of ${known.join(', ')}.`,
  );
}

/** The mounts of a task's caches; one that the configuration does not have any more is left out. Users have volumes of their own. */
export function cacheMounts({ deps }: Kernel, { sandboxSpec }: Task): readonly SandboxMount[] {
  const configured = deps.defaults.caches ?? {};
  return (sandboxSpec.caches ?? []).flatMap((name) => {
    const target = Object.hasOwn(configured, name) ? configured[name] : undefined;
    if (target === undefined) return [];
    const volume = `oct-cache-${shortId(deps.homeId)}-${name}-${sandboxSpec.user.uid}`;
    return [{ kind: 'volume', volume, target, readOnly: false, create: labels(deps.homeId) } as const];
  });
}

export function createCacheService(kernel: Kernel): CacheService {
  const { deps } = kernel;
  const budgetBytes = deps.defaults.cacheBudgetBytes ?? null;
  /** Null also when files come and go too fast, or are too many. */
  const measure = async (volume: string): Promise<number | null> => {
    try {
      return await sizeOf(deps.runtime.volumes, volume, AbortSignal.timeout(measureLimitMs));
    } catch (error) {
      deps.logger.info('A cache could not be measured', { volume, error: String(error) });
      return null;
    }
  };
  const list = async ({ sizes = false } = {}): Promise<readonly CacheFacts[]> => {
    const found = await deps.runtime.volumes.list({ [`${prefix}home`]: deps.homeId, [`${prefix}kind`]: cacheKind });
    const caches: CacheFacts[] = [];
    for (const { name: volume, createdAt } of found) {
      const [, name, uid] = /^oct-cache-[0-9a-z]{8}-(.+)-(\d+)$/.exec(volume) ?? [];
      if (name === undefined) continue;
      const path = deps.defaults.caches?.[name] ?? null;
      const bytes = sizes ? await measure(volume) : null;
      caches.push({ name, path, volume, uid: Number(uid), createdAt, bytes, budgetBytes });
    }
    return caches.toSorted((one, other) => (one.volume < other.volume ? -1 : 1));
  };
  const remove = async ({ name, volume, bytes }: CacheFacts, call: Call, detail: JsonObject = {}): Promise<void> => {
    await deps.runtime.volumes.remove(volume);
    const said = { kind: cacheKind, name, volume, ...(bytes === null ? {} : { bytes }), ...detail };
    await kernel.commit({ records: [draft({ stream: 'home', type: 'object.removed', call, detail: said })] });
  };
  return {
    list,
    remove: async (name, call) => {
      const found = (await list()).filter((cache) => cache.name === name);
      if (found.length === 0)
        throw invalid(
          'cache',
          `${JSON.stringify(name.slice(0, 80))} has no volume`,
          'See `opencode-tools caches list`.',
        );
      for (const cache of found) await remove(cache, call);
      return found;
    },
    trim: async (call) => {
      if (budgetBytes === null) return [];
      const removed: CacheFacts[] = [];
      for (const cache of await list({ sizes: true })) {
        if (!isOverBudget(cache)) continue;
        try {
          await remove(cache, call, { budgetBytes });
          removed.push(cache);
        } catch (error) {
          if (!isOpencodeToolsError(error, 'OCT_INVALID_ARGUMENT')) throw error;
          deps.logger.info('A cache over its budget stays while a sandbox has it', { cache: cache.name });
        }
      }
      return removed;
    },
  };
}

export function isOverBudget({ bytes, budgetBytes }: CacheFacts): boolean {
  return bytes !== null && budgetBytes !== null && bytes > budgetBytes;
}

/** Files that have several names count once. */
async function sizeOf(volumes: VolumePort, volume: string, signal: AbortSignal): Promise<number | null> {
  await using listing = await volumes.listTree(volume, signal);
  if (listing === null) return null;
  const seen = new Set<string>();
  let bytes = 0;
  for (const { type, size, links, identity } of listing.nodes) {
    if (type !== 'file' || (links > 1 && seen.has(identity))) continue;
    if (links > 1) seen.add(identity);
    bytes += size;
  }
  return bytes;
}

function labels(homeId: HomeId): Readonly<Record<string, string>> {
  return {
    [`${prefix}home`]: homeId,
    [`${prefix}task`]: '',
    [`${prefix}operation`]: '',
    [`${prefix}kind`]: cacheKind,
  };
}
