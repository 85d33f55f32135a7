import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  type HomeId,
  type LayerPort,
  type VolumePort,
  type WorkspaceStore,
  createIds,
  silentLogger,
  systemClock,
} from '@opencode-tools/core';
import { createDockerRuntime } from '@opencode-tools/docker-runtime';
import { createContentStore, createGit, createLayeredStore } from '@opencode-tools/workspace';
import { docker } from './volume-model.ts';

export const owner = { uid: 1000, gid: 1000 };
const image = 'opencode-sandbox-base:latest';
const ids = createIds(systemClock);

/** A store of layers for a directory and a home, as one process sees it. */
export interface LayerBed {
  readonly directory: string;
  readonly homeId: HomeId;
  readonly labels: Readonly<Record<string, string>>;
  readonly store: WorkspaceStore;
  /** The store that it keeps content in. */
  readonly content: WorkspaceStore;
  readonly layers: LayerPort;
  readonly volumes: VolumePort;
  /** Name of the engine's volume of layers. */
  readonly layersVolume: string;
  newVolume(): string;
  /** Runs a script of `sh` as root in the directory that a volume shows. Returns what it wrote. */
  run(volume: string, script: string): Promise<string>;
  /** Ends what this process has open. */
  close(): Promise<void>;
  /** As `close`; then everything of the home goes. */
  remove(): Promise<void>;
}

/** Opens a new home, or one that is there. */
export async function openLayerBed(
  given?: { readonly directory: string; readonly homeId: HomeId },
  wrap: (ports: { layers: LayerPort; volumes: VolumePort }) => { layers: LayerPort; volumes: VolumePort } = (ports) =>
    ports,
): Promise<LayerBed> {
  const directory = given?.directory ?? (await mkdtemp(join(tmpdir(), 'oct-layers-')));
  const homeId = given?.homeId ?? ids.next('home');
  const shared = { environment: process.env, logger: silentLogger };
  const { runtime, layers: plain, images } = createDockerRuntime({ ...shared, homeId, ids, clock: systemClock });
  if (given === undefined) await images.ensure('opencode-sandbox-base');
  const { layers, volumes } = wrap({ layers: plain, volumes: runtime.volumes });
  const labels = { 'io.opencode-tools.home': homeId };
  const content = createContentStore({
    ...shared,
    directory: join(directory, 'content'),
    volumes,
    git: createGit({ ...shared, bound: () => Promise.resolve([]) }),
  });
  const store = createLayeredStore({
    ...shared,
    directory: join(directory, 'layers'),
    content,
    layers,
    volumes,
    labels,
    flattenAt: 3,
    packFrom: 1,
  });
  const close = async (): Promise<void> => {
    await store.settle();
    await runtime.close();
  };
  return {
    directory,
    homeId,
    labels,
    store,
    content,
    layers,
    volumes,
    layersVolume: `oct-${homeId.slice(-10)}-layers`,
    newVolume: () => `oct-test-${ids.random().slice(0, 16)}`,
    run: async (volume, script) => {
      const mount = `type=volume,src=${volume},dst=/w,volume-nocopy`;
      const options = ['--network', 'none', '--user', '0:0', '-w', '/w', '--cap-add', 'SYS_ADMIN', '--mount', mount];
      return docker('run', '--rm', ...options, image, 'sh', '-ec', script);
    },
    close,
    remove: async () => {
      await close();
      const filter = `label=io.opencode-tools.home=${homeId}`;
      for (const id of (await docker('ps', '-aq', '--filter', filter)).split('\n').filter(Boolean))
        await docker('rm', '-f', id);
      for (const name of (await docker('volume', 'ls', '-q', '--filter', filter)).split('\n').filter(Boolean))
        await docker('volume', 'rm', name);
      await rm(directory, { recursive: true, force: true });
    },
  };
}
