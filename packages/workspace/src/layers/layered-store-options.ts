import type { LayerPort, Logger, VolumePort } from '@opencode-tools/core';
import type { ContentStore } from '../content-store-contract.ts';

export interface LayeredStoreOptions {
  /** Where this host's records of layers are. */
  readonly directory: string;
  /** Where everything goes that is not a volume of layers. */
  readonly content: ContentStore;
  readonly layers: LayerPort;
  /** False makes new volumes without layers, whatever the engine can do; those that have layers keep them. */
  readonly useLayers?: boolean;
  readonly volumes: VolumePort;
  /** Labels of volumes that are made for the time of one call. */
  readonly labels: Readonly<Record<string, string>>;
  readonly logger: Logger;
  /** Layers at which a snapshot is flattened; 2 to 40, default 24. */
  readonly flattenAt?: number;
  /** Names from which on a layer is packed until something needs it; default 64. */
  readonly packFrom?: number;
}
