import type { Duplex } from 'node:stream';
import type { Containers } from '../engine/containers.ts';
import type { EngineClient } from '../engine/engine-client.ts';
import { QuietWatch, engineSilent, stillThere, watched, whileProgressing, withinQuiet } from '../engine/progress.ts';
import { hasStatus } from '../engine/engine-error.ts';
import { Demultiplexer } from '../lane/demultiplex.ts';
import { programText } from '../lane/lane-program.ts';
import { bootCommand, controlDirectory, supervisorVariable } from '../lane/supervisor-command.ts';
import { helperOptions } from '../volumes/helper-container.ts';
import { fullLabels } from '../plan/labels.ts';
import { failed } from './layer-helper.ts';
import { layersTarget } from './layer-paths.ts';
import { layerPrograms } from './layer-programs.ts';

/** What it takes to copy a tree as it is: other users' files, device nodes by which an overlay hides names, its own attributes. */
const capabilities = ['SYS_ADMIN', 'DAC_OVERRIDE', 'FOWNER', 'CHOWN', 'MKNOD', 'SETFCAP', 'FSETID'];

const runLimitMs = 24 * 60 * 60_000;

export interface LayerContainer {
  readonly homeId: string;
  /** The volume of layers. */
  readonly layers: string;
  /** What it is labelled with, should the engine have to make it. */
  readonly labels: Readonly<Record<string, string>>;
  readonly image: string;
  /** Of the engine, as it names it. */
  readonly architecture: string;
  /** What the program is told; without words it serves requests. */
  readonly words: readonly string[];
  /** True for one that reads requests, or a tar. */
  readonly stdin: boolean;
  /** True for one that `runOnce` runs: its exit code has to be there when it is asked for, so it does not remove itself. */
  readonly ofOneCall: boolean;
  /** A volume to have at `mountedTarget`, for reading. */
  readonly mounted?: string;
}

/** Where a helper has a stacked volume. */
export const mountedTarget = '/mounted';

/** Containers that work on layers run an image of ours, never one that a task could have changed, and have no network. */
export function layerContainer(container: LayerContainer): object {
  const base = helperOptions(container.homeId, container.layers, false, container.labels) as {
    HostConfig: { readonly Mounts: readonly object[] };
  };
  const layers = { ...base.HostConfig.Mounts[0], Target: layersTarget };
  const options = { NoCopy: true };
  const mounted =
    container.mounted === undefined
      ? []
      : [{ Type: 'volume', Source: container.mounted, Target: mountedTarget, ReadOnly: true, VolumeOptions: options }];
  const { stdin } = container;
  return {
    ...base,
    Labels: fullLabels({ home: container.homeId, kind: container.ofOneCall ? 'helper' : 'layer-helper' }),
    Image: container.image,
    Entrypoint: [],
    Cmd: bootCommand(...container.words),
    Env: ['LC_ALL=C', `${supervisorVariable}=${programText(container.architecture, layerPrograms)}`],
    WorkingDir: layersTarget,
    Healthcheck: { Test: ['NONE'] },
    AttachStdin: stdin,
    OpenStdin: stdin,
    StdinOnce: stdin,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      ...base.HostConfig,
      Mounts: [layers, ...mounted],
      AutoRemove: !container.ofOneCall,
      CapAdd: capabilities,
      ReadonlyRootfs: true,
      Tmpfs: { [controlDirectory]: 'rw,exec,nosuid,nodev,size=1m,mode=700' },
      Init: true,
    },
  };
}

/** Runs a container that is `ofOneCall` to its end and gives what it wrote. @param input what it reads, to the end */
export async function runOnce(
  { client, containers }: { readonly client: EngineClient; readonly containers: Containers },
  options: object,
  signal?: AbortSignal,
  input?: AsyncIterable<Uint8Array>,
): Promise<Buffer> {
  const id = await containers.create(undefined, options, signal);
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []];
  const demultiplexer = new Demultiplexer(
    (chunk) => stdout.push(chunk),
    (chunk) => stderr.push(chunk),
  );
  const over = new AbortController();
  const stop = (): void => void containers.remove(id).catch(() => undefined);
  signal?.addEventListener('abort', stop, { once: true });
  try {
    const attached = await containers.startAttached(id, { stdin: input !== undefined }, (stream) => stream);
    const exited = containers.wait(id, runLimitMs, over.signal);
    exited.catch(() => undefined);
    const sent = input === undefined ? undefined : send(input, attached, client.quietMs, over.signal);
    sent?.catch(() => undefined);
    // Copying says nothing: while that lasts, the engine is asked whether it still lives.
    const chunks = whileProgressing(attached, client.quietMs, stillThere(containers, id, client.quietMs));
    for await (const chunk of chunks) demultiplexer.push(chunk);
    const code = await withinQuiet(exited, client.quietMs);
    signal?.throwIfAborted();
    if (code !== 0) throw failed(code, Buffer.concat(stderr));
    await sent;
    return Buffer.concat(stdout);
  } finally {
    signal?.removeEventListener('abort', stop);
    over.abort();
    await containers.remove(id);
  }
}

/** Writes all of it, a chunk while the next one is made, then says that this was all. What goes wrong with it, or an engine that takes nothing, ends the connection. */
async function send(input: AsyncIterable<Uint8Array>, to: Duplex, quietMs: number, signal: AbortSignal): Promise<void> {
  const silent = async () => Promise.reject(engineSilent(quietMs));
  const watch = new QuietWatch(quietMs, silent, (error) => to.destroy(error));
  try {
    let taken = Promise.resolve();
    for await (const chunk of watched(input, watch)) {
      await taken;
      taken = write(to, chunk, signal);
      taken.catch(() => undefined);
    }
    await taken;
    to.end();
  } catch (error) {
    to.destroy(error instanceof Error ? error : new Error(String(error)));
    throw error;
  } finally {
    watch.waitForUs();
  }
}

/** Writes a chunk; resolves once the connection has taken it. */
async function write(to: Duplex, chunk: Uint8Array, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const give = (): void => reject(signal.reason);
  signal.addEventListener('abort', give, { once: true });
  to.write(chunk, (error) => (error ? reject(error) : resolve()));
  try {
    await promise;
  } finally {
    signal.removeEventListener('abort', give);
  }
}

/** The first of the images that the engine has. */
export async function firstImage(
  find: (image: string) => Promise<{ readonly Id: string }>,
  images: readonly string[],
): Promise<string | undefined> {
  for (const image of images) {
    try {
      return (await find(image)).Id;
    } catch (error) {
      if (!hasStatus(error, 404)) throw error;
    }
  }
  return undefined;
}
