import type {
  Clock,
  EngineProbe,
  HomeId,
  Ids,
  ImageStore,
  LayerPort,
  Logger,
  SandboxRuntime,
  SteeringFacts,
} from '@opencode-tools/core';
import { Engine } from './engine/engine.ts';
import type { Environment } from './engine/find-endpoints.ts';
import { DockerImages } from './images/docker-images.ts';
import { defaultMostLayers } from './images/snapshot-root.ts';
import { DockerNetworks } from './networks/docker-networks.ts';
import { DockerLayers } from './layers/docker-layers.ts';
import { DockerRuntime } from './sandbox/docker-runtime.ts';
import { DockerVolumes } from './volumes/docker-volumes.ts';

export interface DockerRuntimeOptions {
  /** Address of the engine; when absent it is looked for in the environment and at the usual places. */
  readonly endpoint?: string;
  /** Variables that name engines and directories (`DOCKER_HOST`, `DOCKER_CONTEXT`, `HOME`, …). */
  readonly environment: Environment;
  /** Only sandboxes of this home are found. */
  readonly homeId: HomeId;
  /** False lets sandboxes run where the engine cannot limit memory, processor time or processes; default true. */
  readonly requireLimits?: boolean;
  /** Directories of the host that sandboxes may have mounted, with what is in them; null, the default, for any that no rule refuses. */
  readonly mayMount?: readonly string[] | null;
  /** Looks for what programs of the host run or obey; nothing of that is mounted for writing. */
  readonly steering?: () => Promise<SteeringFacts>;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Images with GNU tar, find and coreutils, best first, for reading volumes and for layers; default: the standard images. */
  readonly baseImages?: readonly string[];
  /** A saved root file system is flattened when its image has as many layers; 1 to 120, default 60. */
  readonly mostLayers?: number;
  /** An engine that passes on no byte of a tree for as long is given up, in milliseconds; default 120,000. */
  readonly quietMs?: number;
}

export interface DockerRuntimeParts {
  readonly runtime: SandboxRuntime;
  readonly layers: LayerPort;
  readonly images: ImageStore;
  readonly probe: EngineProbe;
}

/** Gives the ports that a Docker Engine serves. No engine is looked for before the first call. */
export function createDockerRuntime(options: DockerRuntimeOptions): DockerRuntimeParts {
  const { environment, homeId, logger, requireLimits = true, mostLayers = defaultMostLayers } = options;
  const engine = new Engine(environment, options.endpoint, options.quietMs);
  const toolImages = options.baseImages ?? ['opencode-sandbox-base:latest', 'opencode-sandbox-developer:latest'];
  const layers = new DockerLayers(engine, { homeId, toolImages, logger, volume: `oct-${homeId.slice(-10)}-layers` });
  const volumes = new DockerVolumes(engine, homeId, toolImages, logger, (upper) => layers.discard(upper));
  const networks = new DockerNetworks(engine, homeId, logger);
  const host = { home: environment.HOME, mayMount: options.mayMount ?? null, steering: options.steering };
  const onClose = async (): Promise<void> => layers.close();
  const runtime = new DockerRuntime(
    engine,
    { volumes, networks },
    { homeId, host, requireLimits, mostLayers, logger, onClose },
  );
  const probe: EngineProbe = {
    probe: async () => {
      const answers = await engine.ask();
      const answered = answers.some((answer) => answer.answered);
      return { answers, capabilities: answered ? await runtime.capabilities() : null };
    },
  };
  return { runtime, layers, images: new DockerImages(engine, logger), probe };
}
