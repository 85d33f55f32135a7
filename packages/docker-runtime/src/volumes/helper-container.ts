import { Readable } from 'node:stream';
import { pack } from 'tar-stream';
import type { Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { readLines } from '../images/progress-lines.ts';
import { fullLabels } from '../plan/labels.ts';

/** Where a helper has the volume. */
export const volumeTarget = '/volume';

/** An image without content: containers made from it are never started, so whatever tasks do to images is no matter. */
export const emptyImage = 'opencode-tools-empty:1';

/**
 * What every helper has: no network, no capability but those named, and labels by which a reaper knows it.
 *
 * @param volumeLabels what the volume gets, should the engine have to make it
 */
export function helperOptions(
  homeId: string,
  volume: string,
  readOnly: boolean,
  volumeLabels: Readonly<Record<string, string>> = {},
): object {
  return {
    Image: emptyImage,
    Cmd: ['none'],
    User: '0:0',
    Labels: fullLabels({ home: homeId, kind: 'helper' }),
    NetworkDisabled: true,
    HostConfig: {
      NetworkMode: 'none',
      CapDrop: ['ALL'],
      SecurityOpt: ['no-new-privileges'],
      LogConfig: { Type: 'none', Config: {} },
      Mounts: [
        {
          Type: 'volume',
          Source: volume,
          Target: volumeTarget,
          ReadOnly: readOnly,
          VolumeOptions: { NoCopy: true, Labels: volumeLabels },
        },
      ],
    },
  };
}

/** Makes a container that is never started, for the time of `use`: the engine itself reads and writes its files. */
export async function withHelper<T>(
  engine: { readonly client: EngineClient; readonly containers: Containers },
  options: object,
  use: (id: string) => Promise<T>,
): Promise<T> {
  const id = await createHelper(engine, options);
  try {
    return await use(id);
  } finally {
    await engine.containers.remove(id);
  }
}

async function createHelper(
  { client, containers }: { readonly client: EngineClient; readonly containers: Containers },
  options: object,
): Promise<string> {
  try {
    return await containers.create(undefined, options);
  } catch (error) {
    if (!hasStatus(error, 404)) throw error;
  }
  await importEmptyImage(client);
  return containers.create(undefined, options);
}

export async function importEmptyImage(client: EngineClient): Promise<void> {
  const tar = pack();
  tar.entry({ name: 'volume/', type: 'directory', mode: 0o755 });
  tar.finalize();
  const [repo, tag] = emptyImage.split(':');
  const answer = await client.stream({
    method: 'POST',
    path: '/images/create',
    query: { fromSrc: '-', repo, tag },
    file: Readable.from(tar),
  });
  await readLines(answer, () => undefined);
}
