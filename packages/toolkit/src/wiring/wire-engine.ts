import type {
  Clock,
  EngineProbe,
  HomeId,
  Ids,
  ImageStore,
  LayerPort,
  Logger,
  NetworkPort,
  SandboxRuntime,
  SteeringFacts,
  VolumePort,
} from '@opencode-tools/core';
import type { Environment } from '../configuration/environment.ts';
import { lazy, lazyMethods } from './lazy.ts';

export interface EnginePorts {
  readonly runtime: SandboxRuntime;
  readonly layers: LayerPort;
  readonly images: ImageStore;
  readonly probe: EngineProbe;
}

/** The ports on the Docker Engine; its client is loaded at their first use. */
export function wireEngine(options: {
  readonly endpoint: string | null;
  readonly requireLimits: boolean;
  readonly mayMount: readonly string[] | null;
  readonly steering: () => Promise<SteeringFacts>;
  readonly environment: Environment;
  readonly homeId: HomeId;
  readonly ids: Ids;
  readonly clock: Clock;
  readonly logger: Logger;
}): EnginePorts {
  const { endpoint, ...rest } = options;
  const engine = lazy<EnginePorts>(async () => {
    const { createDockerRuntime } = await import('@opencode-tools/docker-runtime');
    return createDockerRuntime({ ...rest, ...(endpoint === null ? {} : { endpoint }) });
  });
  const runtime = lazy(async () => (await engine()).runtime);
  const volumes: VolumePort = lazyMethods(
    async () => (await runtime()).volumes,
    ['create', 'find', 'list', 'readTree', 'listTree', 'writeTree', 'remove'],
  );
  const networks: NetworkPort = lazyMethods(
    async () => (await runtime()).networks,
    ['attach', 'detach', 'tell', 'list'],
  );
  return {
    runtime: {
      name: 'docker',
      volumes,
      networks,
      ...lazyMethods(runtime, ['capabilities', 'create', 'find', 'list', 'listIn', 'listHelpers', 'removeHelper']),
      events: async function* (options) {
        yield* (await runtime()).events(options);
      },
      close: async () => {
        // Layers may have been all that was used: what they have open is closed with the runtime.
        await (await engine.peek())?.runtime.close();
      },
    },
    layers: lazyMethods(
      async () => (await engine()).layers,
      [
        'capability',
        'mostLayers',
        'prepare',
        'makeEmpty',
        'recipe',
        'stack',
        'stackOf',
        'stacks',
        'archive',
        'unpack',
        'fill',
        'flatten',
        'digest',
        'read',
        'identity',
        'names',
        'list',
        'remove',
        'retire',
      ],
    ),
    images: lazyMethods(
      async () => (await engine()).images,
      ['find', 'ensure', 'build', 'make', 'versions', 'rollBack', 'removeVersion', 'save', 'load', 'list', 'remove'],
    ),
    probe: lazyMethods(async () => (await engine()).probe, ['probe']),
  };
}
