import { type HomeId, shortId } from '../domain/ids.ts';
import type { Task } from '../domain/task.ts';
import type { SandboxMount } from '../ports/sandbox-runtime.ts';
import type { CacheFacts, CacheService } from './cache-contract.ts';
import { type Kernel, draft } from './kernel.ts';
import { invalid } from './validate.ts';

const prefix = 'io.opencode-tools.';
export const cacheKind = 'cache';

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
  const list = async (): Promise<readonly CacheFacts[]> => {
    const volumes = await deps.runtime.volumes.list({
      [`${prefix}home`]: deps.homeId,
      [`${prefix}kind`]: cacheKind,
    });
    return volumes
      .flatMap(({ name: volume, createdAt }) => {
        const [, name, uid] = /^oct-cache-[0-9a-z]{8}-(.+)-(\d+)$/.exec(volume) ?? [];
        const path = deps.defaults.caches?.[name ?? ''] ?? null;
        return name === undefined ? [] : [{ name, path, volume, uid: Number(uid), createdAt }];
      })
      .toSorted((one, other) => (one.volume < other.volume ? -1 : 1));
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
      for (const { volume } of found) {
        await deps.runtime.volumes.remove(volume);
        await kernel.commit({
          records: [draft({ stream: 'home', type: 'object.removed', call, detail: { kind: cacheKind, name, volume } })],
        });
      }
      return found;
    },
  };
}

function labels(homeId: HomeId): Readonly<Record<string, string>> {
  return {
    [`${prefix}home`]: homeId,
    [`${prefix}task`]: '',
    [`${prefix}operation`]: '',
    [`${prefix}kind`]: cacheKind,
  };
}
