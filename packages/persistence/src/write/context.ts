import type { Clock, HomeId, OpencodeToolsError, StreamId } from '@opencode-tools/core';
import type { Engine } from '../query/engine.ts';

/** What every write of an opened store needs to know. */
export interface StoreContext {
  readonly engine: Engine;
  readonly homeId: HomeId;
  readonly clock: Clock;
  /** Why nothing may be written, or null. */
  readonly writeRefusal: OpencodeToolsError | null;
  /** The epoch as last seen by this process. */
  epoch: number;
  /** Told after a commit which streams grew. */
  onAppended(streams: readonly StreamId[]): void;
}
