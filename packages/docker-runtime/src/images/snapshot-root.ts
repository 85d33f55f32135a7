import type { ContainerDescription } from '../engine/containers.ts';
import { absentAsUndefined } from '../engine/containers.ts';
import { untilFrozen } from '../engine/try-again.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { fullLabels } from '../plan/labels.ts';
import { supervisorVariable } from '../lane/supervisor-command.ts';
import type { ImageDescription } from './docker-images.ts';
import { readLines } from './progress-lines.ts';

/** Engines refuse more than about 125 layers; a deep image is also slow to start. */
export const defaultMostLayers = 60;
const longLimitMs = 15 * 60_000;

/** Saves root file systems of containers as images. */
export class Snapshots {
  readonly #client: EngineClient;
  readonly #mostLayers: number;

  /** @param mostLayers an image with as many is not built upon but flattened to one layer */
  constructor(client: EngineClient, mostLayers: number) {
    this.#client = client;
    this.#mostLayers = mostLayers;
  }

  async save(
    container: ContainerDescription,
    image: { readonly tag: string; readonly labels: Readonly<Record<string, string>> },
  ): Promise<{ readonly imageId: string }> {
    const existing = await this.#find(image.tag);
    if (existing) return { imageId: existing.Id };
    const source = await this.#find(container.Image);
    const labels = { ...fullLabels({ kind: 'snapshot' }), ...image.labels };
    // An engine commits nothing onto an image that is gone; the container still has all of it.
    const config = imageConfig(source?.Config ?? { Env: container.Config.Env ?? null });
    const deep = source === undefined || (source.RootFS?.Layers?.length ?? 0) >= this.#mostLayers;
    if (deep && canBeSaid(config, labels)) await this.#flatten(container, image.tag, config, labels);
    else await this.#commit(container, image.tag, config, labels);
    return { imageId: (await this.#find(image.tag))?.Id ?? '' };
  }

  async #find(reference: string): Promise<ImageDescription | undefined> {
    const path = `/images/${encodeURIComponent(reference)}/json`;
    return absentAsUndefined(this.#client.call<ImageDescription>({ method: 'GET', path }));
  }

  async #commit(
    container: ContainerDescription,
    tag: string,
    config: ImageConfig,
    labels: Record<string, string>,
  ): Promise<void> {
    const query = { container: container.Id, ...splitTag(tag), pause: !container.State.Paused };
    const body = {
      Env: [...config.env, `${supervisorVariable}=`],
      Cmd: config.command,
      Entrypoint: [],
      User: config.user,
      WorkingDir: config.workingDirectory,
      Labels: labels,
    };
    const request = { method: 'POST', path: '/commit', query, body, limitMs: longLimitMs } as const;
    await untilFrozen(async () => this.#client.call(request));
  }

  async #flatten(
    container: ContainerDescription,
    tag: string,
    config: ImageConfig,
    labels: Record<string, string>,
  ): Promise<void> {
    const pause = container.State.Running && !container.State.Paused;
    const act = async (verb: 'pause' | 'unpause'): Promise<void> => {
      const request = { method: 'POST', path: `/containers/${container.Id}/${verb}` } as const;
      if (pause) await untilFrozen(async () => this.#client.call(request));
    };
    const { repo, tag: version } = splitTag(tag);
    await act('pause');
    try {
      const path = `/containers/${container.Id}/export`;
      const file = await this.#client.stream({ method: 'GET', path, moves: true });
      const query = { fromSrc: '-', repo, tag: version, changes: importChanges(config, labels) };
      const answer = await this.#client.stream({
        method: 'POST',
        path: '/images/create',
        query,
        file,
        moves: true,
      });
      await readLines(answer, () => undefined);
    } finally {
      await act('unpause');
    }
  }
}

interface ImageConfig {
  readonly env: readonly string[];
  readonly user: string;
  readonly workingDirectory: string;
  readonly command: readonly string[];
}

/** What the image says about itself stays; nothing of the container's own configuration gets in. */
function imageConfig(config: ImageDescription['Config']): ImageConfig {
  return {
    env: (config?.Env ?? []).filter((entry) => entry.includes('=') && !entry.startsWith(`${supervisorVariable}=`)),
    user: config?.User ?? '',
    workingDirectory: config?.WorkingDir || '/',
    command: config?.Cmd ?? ['/bin/sh'],
  };
}

/** The configuration as lines of a Dockerfile, which is how an import takes it. */
function importChanges(config: ImageConfig, labels: Record<string, string>): readonly string[] {
  return [
    ...config.env.map((entry) => {
      const equals = entry.indexOf('=');
      return `ENV ${entry.slice(0, equals)}=${quoted(entry.slice(equals + 1))}`;
    }),
    ...Object.entries(labels).map(([key, value]) => `LABEL ${quoted(key)}=${quoted(value)}`),
    ...(config.user ? [`USER ${quoted(config.user)}`] : []),
    `WORKDIR ${quoted(config.workingDirectory)}`,
    `CMD ${JSON.stringify(config.command)}`,
  ];
}

/** In a Dockerfile's double quotes a backslash keeps these three from meaning anything, and nothing else. */
function quoted(text: string): string {
  return `"${text.replaceAll(/["$\\]/g, '\\$&')}"`;
}

/** A line of a Dockerfile cannot hold the end of one: such an image is built upon, however deep it is. */
function canBeSaid(config: ImageConfig, labels: Record<string, string>): boolean {
  const texts = [...config.env, ...Object.entries(labels).flat(), config.user, config.workingDirectory];
  return texts.every((text) => !/[\r\n]/.test(text));
}

function splitTag(tag: string): { readonly repo: string; readonly tag: string } {
  const colon = tag.lastIndexOf(':');
  return colon > tag.lastIndexOf('/')
    ? { repo: tag.slice(0, colon), tag: tag.slice(colon + 1) }
    : { repo: tag, tag: 'latest' };
}
